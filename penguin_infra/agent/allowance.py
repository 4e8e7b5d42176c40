"""How much this node may send in this hour and this day, and whether it has to hold. Arithmetic only."""

from collections.abc import Mapping

from penguin_infra.messages.telemetry import Directive

HOUR_SECONDS = 3600
_HOURS_A_DAY = 24


def present_allowance(allowance: int | None, age_seconds: float, expires_in_seconds: int) -> int | None:
    """An allowance as it is worth now: it halves each time it was to be renewed and was not. None: no limit."""
    if allowance is None:
        return None
    halvings = int(max(0.0, age_seconds) // max(1, expires_in_seconds))
    return max(0, allowance) >> min(halvings, 63)


def hold_reason(directive: Directive, age_seconds: float, sent_by_hour: Mapping[int, int], now: float) -> str | None:
    """Why no mail may leave now, None when it may. Hours and days are UTC's."""
    if directive.transport == "hold":
        return "held by the platform"
    hour = int(now) // HOUR_SECONDS
    today = hour - hour % _HOURS_A_DAY
    for name, allowance, sent in (
        ("hour", directive.hourly_allowance, sent_by_hour.get(hour, 0)),
        ("day", directive.daily_allowance, sum(sent_by_hour.get(today + index, 0) for index in range(_HOURS_A_DAY))),
    ):
        left = present_allowance(allowance, age_seconds, directive.expires_in_seconds)
        if left is not None and sent >= left:
            return f"this {name}'s allowance of {left} is used up ({sent} sent)"
    return None
