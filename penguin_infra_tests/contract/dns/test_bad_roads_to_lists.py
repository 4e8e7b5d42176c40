"""The sweep over a road that loses, delays or meters its questions: dnsdist in front of real lists."""

from collections.abc import Iterator

import pytest

from penguin_infra.domain.listing import Verdict
from penguin_infra_tests.blacklist_resolvers import DnsdistServer
from penguin_infra_tests.blacklist_servers import BlacklistServer
from penguin_infra_tests.contract.dns.real_lists import FLEET, PSBL, SPAMCOP, list_every_tenth, look, verdicts

# What is never lost: the names of test points, of the negative ones and of the address that nobody lists.
SURE_NAMES = "^([12][.]0[.]0[.]127|1[.]2[.]0[.]192)[.]"
LOST_SHARE = 0.3


@pytest.fixture(scope="module")
def bad_roads(running_server: BlacklistServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsdistServer]:
    DnsdistServer.require(in_ci=False)
    directory = tmp_path_factory.mktemp("roads") / "dnsdist"
    with DnsdistServer(directory, running_server, lost_share=LOST_SHARE, sure=SURE_NAMES) as roads:
        yield roads


def test_on_a_road_that_loses_every_third_question_none_is_forgotten_and_none_judged_wrongly(
    server: BlacklistServer, bad_roads: DnsdistServer
) -> None:
    zones = [SPAMCOP, PSBL]
    expected = list_every_tenth(server, FLEET, zones)
    result = look(FLEET, zones, bad_roads.lossy)
    seen = verdicts(result)
    assert seen.keys() == expected.keys()
    wrong = {key: verdict for key, verdict in seen.items() if verdict not in (expected[key], Verdict.ERROR)}
    assert wrong == {}
    # Two tries are both lost once in eleven times; twice as often is some ten deviations away.
    right = sum(verdict is expected[key] for key, verdict in seen.items())
    assert right > len(expected) * (1 - 2 * LOST_SHARE**2)
    assert sum(result.asked.values()) > len(expected)


def test_on_a_slow_road_every_address_is_judged_right(server: BlacklistServer, bad_roads: DnsdistServer) -> None:
    expected = list_every_tenth(server, FLEET, [SPAMCOP, PSBL])
    result = look(FLEET, [SPAMCOP, PSBL], bad_roads.slow)
    assert verdicts(result) == expected


def test_a_list_that_says_too_many_questions_is_asked_no_more_and_lists_nobody(
    server: BlacklistServer, bad_roads: DnsdistServer
) -> None:
    listed = FLEET[: len(FLEET) // 2]
    server.list_networks(SPAMCOP, listed)
    result = look(FLEET, [SPAMCOP], bad_roads.metered)
    assert result.quota_hit == {SPAMCOP}
    seen = verdicts(result)
    assert len(seen) == len(FLEET)
    assert Verdict.CLEAN not in {seen[address, SPAMCOP] for address in listed}
    assert Verdict.LISTED not in {seen[address, SPAMCOP] for address in set(FLEET) - set(listed)}
    # What was in flight when the first such answer came, and not the rest.
    assert result.asked[SPAMCOP] < len(FLEET)
