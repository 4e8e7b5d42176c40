"""Turn what a policy or a person wants into ledger entries: planned, or refused with the sum.

Which actions make sense is the policies'; who carries them out, the jobs'.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from penguin_infra.domain.actions import PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, Refusal, Rule, judge
from penguin_infra.store import actions as ledger
from penguin_infra.store.refusals import record_refusals


@dataclass(frozen=True, slots=True)
class Plan:
    """What was planned, what was refused, and how many of the refusals were not in the ledger already."""

    planned: tuple[PlannedAction, ...]
    action_ids: tuple[UUID, ...]
    refused: tuple[Refusal, ...]
    newly_refused: int


def plan_actions(
    engine: Engine,
    read_wanted: Callable[[Connection], Iterable[PlannedAction]],
    *,
    limits: GuardrailLimits,
    now: datetime,
) -> Plan:
    """Read what is wanted, pass it through the guardrails, and write both outcomes to the ledger, in one transaction.

    `read_wanted` reads its facts on the connection it is given, which holds the ledger's planning lock: no other
    process can spend the same budget in between.
    """
    with engine.begin() as connection:
        ledger.plan_lock(connection)
        wanted = tuple(read_wanted(connection))
        if not wanted:
            return Plan((), (), (), 0)
        facts = ledger.ledger_facts(connection, now, cool_down_minutes=limits.cool_down_minutes)
        decision = judge(wanted, facts, limits, now)
        action_ids = ledger.insert_planned(connection, decision.allowed, now)
        # That a policy goes on wanting what is under way is no event: recorded, it would double every action.
        told = [each for each in decision.refused if each.action.is_by_person or each.rule is not Rule.ONE_OPEN_ACTION]
        newly_refused = record_refusals(connection, told, now)
        return Plan(decision.allowed, tuple(action_ids), decision.refused, newly_refused)
