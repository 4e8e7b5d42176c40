"""The report's sections of actions: what the fleet did on a day and why, what was refused, what waits for a person.

Costs, mail and the fleet itself have modules of their own beside this one.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date

from penguin_infra.analytics.report_parts import (
    NOT_KNOWN,
    NOT_THEN,
    Column,
    Note,
    Part,
    Section,
    Table,
    counted,
    moment,
    number,
    on,
    table_of,
)
from penguin_infra.domain.alerts import AlertSeverity
from penguin_infra.domain.guardrails import Rule
from penguin_infra.store.report_facts import ACTIONS_TOLD, ActionFact, FleetFacts

_MOST_ROWS = 25


def done_section(facts: FleetFacts, day: date, *, is_now: bool) -> Section:
    """What the fleet did on that day and why, and what its own rules kept it from."""
    when = f"on {on(day)}{' so far' if is_now else ''}"
    lead = f"Every action {when}, with who wanted it, why, and what came of it; and what a rule refused."
    done = Counter({one.status: 0 for one in facts.action_sums})
    by_kind: dict[str, list[ActionFact]] = defaultdict(list)
    for one in facts.action_sums:
        done[one.status] += one.actions
    for action in facts.actions:
        by_kind[action.kind].append(action)
    parts: list[Part] = [_action_sums(facts, when)] if facts.action_sums else [Note(f"Nothing was done {when}.")]
    parts += [_actions(kind, actions, facts) for kind, actions in by_kind.items()]
    parts.append(_refusals(facts, when))
    numbers = {
        "actions": done.total(),
        "actions_failed": done["failed"],
        "refusals": sum(one.refused for one in facts.refusals),
    }
    return Section("done", "What the system did, and why", lead, tuple(parts), numbers)


def _action_sums(facts: FleetFacts, when: str) -> Table:
    columns = [Column("action", "name"), Column("state", "name"), Column("how many", "number")]
    rows = [(_words(one.kind), one.status, number(one.actions)) for one in facts.action_sums]
    return table_of(f"Actions {when}", columns, rows, empty="")


def _actions(kind: str, actions: Sequence[ActionFact], facts: FleetFacts) -> Table:
    columns = [
        Column("node", "name"),
        Column("state", "name"),
        Column("why"),
        Column("outcome"),
        Column("wanted by"),
        Column("at", "name"),
    ]
    rows = tuple(
        (one.label, one.status, one.reason, one.outcome or "none yet", one.requested_by, moment(one.at))
        for one in actions
    )
    every = sum(one.actions for one in facts.action_sums if one.kind == kind)
    caption = f"{_words(kind).capitalize()}: {'all' if every <= ACTIONS_TOLD else 'failed ones, then the newest'}"
    return Table(caption, tuple(columns), rows, "", max(0, every - len(rows)))


def _refusals(facts: FleetFacts, when: str) -> Table:
    columns = [
        Column("action", "name"),
        Column("rule", "name"),
        Column("meaning"),
        Column("refused", "number"),
        Column("nodes", "number"),
        Column("the last one"),
    ]
    meanings = {rule.value: rule.meaning for rule in Rule}
    rows = [
        (_words(one.kind), one.rule, meanings.get(one.rule, NOT_KNOWN), number(one.refused), number(one.nodes),
         one.last_explanation or "")
        for one in facts.refusals
    ]  # fmt: skip
    return table_of(f"Refused {when}", columns, rows, empty=f"No rule refused anything {when}.", most=_MOST_ROWS)


def waiting_section(facts: FleetFacts, *, savings: int, is_now: bool) -> Section:
    """What only a person can do."""
    lead = "What the fleet will not do by itself."
    high = [alert for alert in facts.alerts if alert.severity == AlertSeverity.HIGH]
    alert_columns = [
        Column("rule", "name"),
        Column("about", "name"),
        Column("what is the matter"),
        Column("since", "name"),
    ]
    alert_rows = [(one.rule, one.subject, one.summary, moment(one.opened_at)) for one in high]
    alerts = table_of("High alerts", alert_columns, alert_rows, empty="No High alert is open.", most=_MOST_ROWS)
    numbers = {"proposals": len(facts.proposals_now), "high_alerts": len(high)}
    if not is_now:
        return Section("waiting", "What waits for a person", lead, (alerts, Note(NOT_THEN)), numbers)
    columns = [
        Column("action", "name"),
        Column("node", "name"),
        Column("why"),
        Column("wanted by"),
        Column("since", "name"),
        Column("command", "command"),
    ]
    rows = [
        (_words(one.kind), one.label, one.reason, one.requested_by, moment(one.at),
         f"penguin-infra actions approve {str(one.action_id)[:8]}")
        for one in facts.proposals_now
    ]  # fmt: skip
    proposals = table_of("Actions to approve or reject", columns, rows, empty="No action waits.", most=_MOST_ROWS)
    told = f"{counted(savings, 'saving')} {'is' if savings == 1 else 'are'} worth making: see Cost, with its command."
    note = Note(told if savings else "No saving waits to be made.")
    return Section("waiting", "What waits for a person", lead, (proposals, alerts, note), numbers)


def _words(kind: str) -> str:
    return kind.replace("_", " ")
