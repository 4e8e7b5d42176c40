"""When a drain is over: each look at a draining node, and the words that are left of it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.drain import SETTLED_AFTER, DrainEnd, DrainView, Queue, look_at_drain
from penguin_infra_tests.fleets import NOW

BEGAN, UNTIL = NOW, NOW + timedelta(minutes=30)


def queue(
    active: int | None = 0,
    *,
    heard_after: float = 60,
    is_silent: bool = False,
    mta_state: str = "up",
    is_truncated: bool = False,
) -> Queue:
    rest = None if active is None else 0
    return Queue(
        heard_at=BEGAN + timedelta(seconds=heard_after),
        is_silent=is_silent,
        mta_state=mta_state,
        active=active,
        deferred=rest,
        held=rest,
        is_truncated=is_truncated,
    )


def end(view: DrainView, minutes: float = 5) -> DrainEnd | None:
    return look_at_drain(view, began_at=BEGAN, until=UNTIL, now=BEGAN + timedelta(minutes=minutes)).end


def sees(told: Queue | None, *, held_because: str | None = None, is_observer_alive: bool = True) -> DrainView:
    return DrainView(held_because, is_observer_alive, told)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (sees(queue()), DrainEnd.EMPTY),
        (sees(queue(heard_after=SETTLED_AFTER.total_seconds() - 1)), None),
        (sees(queue(is_truncated=True)), None),
        (sees(queue(mta_state="down")), None),
        (sees(queue(None)), None),
        (sees(queue(3)), None),
        (sees(queue(is_silent=True)), DrainEnd.SILENT),
        (sees(None), DrainEnd.SILENT),
        (sees(queue(3), held_because="it is paused"), DrainEnd.HELD),
        (sees(queue(), held_because="it is paused"), DrainEnd.HELD),
        (sees(queue(3), is_observer_alive=False), None),
    ],
)
def test_before_its_deadline_a_drain_ends_where_waiting_helps_no_more(
    view: DrainView, expected: DrainEnd | None
) -> None:
    assert end(view) is expected


@pytest.mark.parametrize("told", [queue(3), queue(None), queue(heard_after=1), queue(is_truncated=True)])
def test_at_its_deadline_a_drain_is_over_whatever_is_left(told: Queue) -> None:
    assert end(sees(told), 29.9) is None
    assert end(sees(told), 30) is DrainEnd.DEADLINE


@given(
    active=st.none() | st.integers(0, 5),
    heard_after=st.floats(-1000, 3000),
    minutes=st.floats(0, 90),
    is_silent=st.booleans(),
    is_truncated=st.booleans(),
    mta_state=st.sampled_from(["up", "down", "absent"]),
    is_observer_alive=st.booleans(),
    held_because=st.none() | st.just("it is paused"),
)
def test_no_drain_outlasts_its_deadline_and_none_is_called_empty_that_is_not(
    active: int | None,
    heard_after: float,
    minutes: float,
    is_silent: bool,
    is_truncated: bool,
    mta_state: str,
    is_observer_alive: bool,
    held_because: str | None,
) -> None:
    told = queue(active, heard_after=heard_after, is_silent=is_silent, mta_state=mta_state, is_truncated=is_truncated)
    found = end(DrainView(held_because, is_observer_alive, told), minutes)
    if minutes >= 30:
        assert found is not None
    if found is DrainEnd.EMPTY:
        assert (active, is_truncated, mta_state, is_silent) == (0, False, "up", False)
        assert heard_after >= SETTLED_AFTER.total_seconds()


@pytest.mark.parametrize(
    ("seconds", "left"), [(1800, "30 min"), (1741, "30 min"), (61, "2 min"), (60, "a minute or less"), (1, "a minute")]
)
def test_the_time_that_is_left_is_told_by_the_minute(seconds: int, left: str) -> None:
    now = UNTIL - timedelta(seconds=seconds)
    assert f"; {left}" in look_at_drain(sees(queue(3)), began_at=BEGAN, until=UNTIL, now=now).text


def test_what_waits_is_told_by_cause() -> None:
    told = Queue(NOW, False, "up", 2, 3, 1, 90, False, (("timed out", 3),))
    assert told.in_words() == ("6 mails wait (2 active, 3 deferred, 1 held, the oldest for 90 s; 3 because: timed out)")
    assert queue(1).in_words() == "1 mail waits (1 active, 0 deferred, 0 held)"
    assert queue(0).in_words() == "no mail waits"
    assert queue(None, mta_state="absent").in_words() == "its queue could not be read: the MTA is absent"
