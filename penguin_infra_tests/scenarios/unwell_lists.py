"""What every incident of an unwell list has to come to: the fleet stays as it is, people are told once, it heals."""

from contextlib import AbstractContextManager

from penguin_infra.domain.listing_alerts import LISTED
from penguin_infra_tests.scenarios.blacklist_watch import AlertKey, Picture, Watch


def assert_nothing_happens_but(
    alert: AlertKey,
    watch: Watch,
    before: Picture,
    broken: AbstractContextManager[None],
    *,
    sweeps: int = 3,
    minutes: float = 5,
) -> str:
    """Over so many sweeps of it, and until it has healed, the fleet stays as it is; returns the alert's words."""
    with broken:
        for _ in range(sweeps):
            report = watch.sweep(minutes=minutes)
            assert (report.changes, report.frozen) == ([], [])
            assert watch.picture() == before
            assert watch.alerts().keys() == {alert}
        words = watch.alerts()[alert]
    assert_heals(alert, watch, before, minutes=minutes)
    return words


def assert_heals(alert: AlertKey, watch: Watch, before: Picture, *, minutes: float = 5) -> None:
    """The alert outlasts the first good look, and neither comes back nor was ever told twice."""
    # One good look may be a mirror that lags: the second lifts the quarantine.
    watch.sweep(minutes=minutes)
    assert watch.alerts().keys() == {alert}
    for _ in range(2):
        watch.sweep(minutes=minutes)
        assert watch.alerts() == {}
    assert watch.sweep(minutes=minutes).quarantined == {}
    assert watch.picture() == before
    assert_told_once(alert, watch)


def assert_told_once(alert: AlertKey, watch: Watch) -> None:
    for found in (watch.opened, watch.resolved):
        assert {key: count for key, count in found.items() if key[0] != LISTED} == {alert: 1}
