"""The documentation's page works in a closed network, and shows nobody else what is typed into it."""

import re

from penguin_infra_tests.gateway.conftest import Gateway


def test_the_documentation_loads_everything_from_the_gateway_itself(gateway: Gateway) -> None:
    page = gateway.client.get("/docs")
    assert page.is_success
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 2
    for each in loaded:
        assert each.startswith("/"), f"{each} is somewhere else"
        assert gateway.client.get(each).is_success, each
