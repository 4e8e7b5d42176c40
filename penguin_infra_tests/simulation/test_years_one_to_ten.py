"""Ten of the twenty years that must keep every promise; two files, so that two processes share the work."""

import pytest

from penguin_infra_tests.simulation.promises import PromisesOfAYear
from penguin_infra_tests.simulation.record import Year
from penguin_infra_tests.simulation.weather import make_weather
from penguin_infra_tests.simulation.year import live


@pytest.fixture(scope="module", params=range(1, 11), ids="seed-{}".format)
def year(request: pytest.FixtureRequest) -> Year:
    return live(make_weather(request.param))


class TestYearsOneToTen(PromisesOfAYear):
    pass
