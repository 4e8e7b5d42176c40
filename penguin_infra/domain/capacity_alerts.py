"""Alerts on capacity: CPUs that are busy for long, and a rotation that cannot carry what is asked of it.

Level-triggered with a margin: what is open stays until the figures are calm again. What is not known opens nothing and
resolves nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from uuid import UUID

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.guardrails import GuardrailLimits

CPU_HIGH = "cpu_high"
CAPACITY_FLOOR = "capacity_floor"
FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class CpuLimits:
    """85 % for 15 min is the specification's: three windows of five minutes. It calms down below 80 %."""

    high_percent: float = 85
    calm_percent: float = 80
    windows: int = 3
    oldest_minutes: int = 20


@dataclass(frozen=True, slots=True)
class BusyNode:
    """A node with the CPU's mean in each of its last windows, the oldest first; None where it is not known."""

    node_id: UUID
    label: str
    cpu_percents: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class RotationFacts:
    """What the nodes in the rotation can send in a day together, and what a day asks of them; None: not known."""

    nodes: int
    capacity_per_day: int | None
    present_demand: float | None


DEFAULT_CPU_LIMITS = CpuLimits()

# A rotation that wavers about its floor is one alert, not many.
_CALM_FACTOR = 1.05


def cpu_high(
    nodes: Iterable[BusyNode], already_open: Mapping[str, Alert], *, limits: CpuLimits = DEFAULT_CPU_LIMITS
) -> list[Alert]:
    """One a node: Low. `already_open` holds those that are open now, by label; of nodes that are not given none stays.

    All windows above the limit open it; their median below the calm one resolves it.
    """
    found = []
    for node in nodes:
        known = [percent for percent in node.cpu_percents[-limits.windows :] if percent is not None]
        if len(known) < limits.windows:
            if node.label in already_open:
                found.append(already_open[node.label])
        elif min(known) > limits.high_percent or (node.label in already_open and median(known) >= limits.calm_percent):
            found.append(_busy(node, known, limits))
    return found


def capacity_floor(facts: RotationFacts, already_open: Mapping[str, Alert], limits: GuardrailLimits) -> list[Alert]:
    """High: what may send now carries less than the share of present demand below which the fleet stops itself."""
    if facts.capacity_per_day is None or facts.present_demand is None:
        return list(already_open.values())
    least = limits.smallest_demand_share * facts.present_demand
    enough = least * _CALM_FACTOR if already_open else least
    if facts.capacity_per_day >= enough:
        return []
    return [
        Alert(
            CAPACITY_FLOOR,
            FLEET,
            AlertSeverity.HIGH,
            f"the {facts.nodes} nodes in the rotation can send {facts.capacity_per_day:,} < {enough:,.0f} messages a "
            f"day ({limits.smallest_demand_share:.0%} of the present demand of {facts.present_demand:,.0f}"
            f"{f', and {_CALM_FACTOR - 1:.0%} more until it is over' if already_open else ''}): bring held nodes back, "
            "or ask for more",
            {
                "rotation": facts.nodes,
                "capacity_per_day": facts.capacity_per_day,
                "present_demand": round(facts.present_demand),
                "smallest_demand_share": limits.smallest_demand_share,
            },
        )
    ]


def _busy(node: BusyNode, percents: list[float], limits: CpuLimits) -> Alert:
    # Whole percents: an alert that changes with every decimal would be written anew in every minute.
    shown = [round(percent) for percent in percents]
    return Alert(
        CPU_HIGH,
        node.label,
        AlertSeverity.LOW,
        f"{node.label}'s CPU was at {', '.join(map(str, shown))} % in its last {limits.windows} windows of five "
        f"minutes: above {limits.high_percent:g} %, or not below {limits.calm_percent:g} % since",
        {"cpu_percents": shown, "high_percent": limits.high_percent, "calm_percent": limits.calm_percent},
        node.node_id,
    )
