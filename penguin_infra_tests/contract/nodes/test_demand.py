"""More demand in the lab: what the last hours would have been is told once, by each node's own token, and kept."""

from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.contract.nodes.conftest import Lab
from penguin_infra_tests.waiting import until

# What has ended at all, and what was told for hours that are over: live mail comes in all the time.
ENDED = (
    "SELECT coalesce(sum(messages), 0) FROM fleet.delivery_counts WHERE node_id = :node_id AND result <> 'deferred' "
    "AND bucket_at < date_trunc('hour', now(), 'UTC') "
    "AND bucket_at >= date_trunc('hour', now(), 'UTC') - interval '24 h'"
)


def test_more_demand_moves_the_sums_of_a_day_at_once_and_is_told_once(lab: Lab) -> None:
    host = lab.installed(NodeStatus.WARMING)
    until("its history is told", lambda: lab.scalar(ENDED, host) > 10_000)
    usual = lab.scalar(ENDED, host)
    told = lab.nodes.ask("POST", "/demand", {"percent": 60})
    assert told.status_code == 200, told.text
    assert (told.json()["percent"], told.json()["hours"]) == (60, 30)
    until("the sums have moved", lambda: 1.55 < lab.scalar(ENDED, host) / usual < 1.65)
    raised = lab.scalar(ENDED, host)
    lab.nodes.kill()
    lab.nodes.start()
    try:
        until("it serves again", lambda: lab.nodes.ask("POST", "/demand", {"percent": 60}).status_code == 200)
        assert lab.scalar(ENDED, host) == raised
        # Who takes over a part of it had no customers before.
        fresh = lab.installed(NodeStatus.WARMING)
        until("it is looked at", (lab.folder / "nodes" / fresh.label / "history-told").exists)
        assert lab.scalar(ENDED, fresh) == 0
    finally:
        lab.nodes.ask("POST", "/demand", {"percent": 0})


def test_demand_that_is_no_number_is_refused_by_its_name(lab: Lab) -> None:
    for percent in (-1, 501, "much", None):
        answer = lab.nodes.ask("POST", "/demand", {"percent": percent})
        assert (answer.status_code, "percent" in answer.text) == (422, True)
