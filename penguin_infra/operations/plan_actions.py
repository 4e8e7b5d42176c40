"""Turn what a policy or a person wants into ledger entries: planned, proposed to a person, or refused with the sum.

Which actions make sense is the policies'; who carries them out, the jobs'; who approves them, `approve_action.py`'s.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from penguin_infra.domain.actions import PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, Refusal, Rule, judge
from penguin_infra.store import actions as ledger
from penguin_infra.store.ledger_facts import plan_lock, read_ledger_facts
from penguin_infra.store.refusals import record_refusals

ReadWanted = Callable[[Connection], Iterable[PlannedAction]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What was planned and proposed, what was refused, and how many of the refusals were not in the ledger already."""

    planned: tuple[PlannedAction, ...]
    action_ids: tuple[UUID, ...]
    refused: tuple[Refusal, ...]
    newly_refused: int
    proposed: tuple[PlannedAction, ...] = ()
    proposed_ids: tuple[UUID, ...] = ()


def plan_actions(engine: Engine, read_wanted: ReadWanted, *, limits: GuardrailLimits, now: datetime) -> Plan:
    """Read what is wanted, pass it through the guardrails, and write all outcomes to the ledger, in one transaction.

    `read_wanted` reads its facts on the connection it is given, which holds the ledger's planning lock: no other
    process can spend the same budget in between.
    """
    with engine.begin() as connection:
        return plan_actions_within(connection, read_wanted, limits=limits, now=now)


def plan_actions_within(
    connection: Connection, read_wanted: ReadWanted, *, limits: GuardrailLimits, now: datetime
) -> Plan:
    """`plan_actions` in the caller's transaction, which holds the planning lock until it ends."""
    plan_lock(connection)
    wanted = tuple(read_wanted(connection))
    if not wanted:
        return Plan((), (), (), 0)
    facts = read_ledger_facts(connection, now, limits, kinds={action.kind for action in wanted})
    decision = judge(wanted, facts, limits, now)
    action_ids = ledger.insert_planned(connection, decision.allowed, now)
    proposed_ids = ledger.insert_proposed(connection, decision.proposed, now)
    # That a policy goes on wanting what is under way is no event: recorded, it would double every action.
    told = [each for each in decision.refused if each.action.is_by_person or each.rule is not Rule.ONE_OPEN_ACTION]
    newly_refused = record_refusals(connection, told, now)
    return Plan(
        planned=decision.allowed,
        action_ids=tuple(action_ids),
        refused=decision.refused,
        newly_refused=newly_refused,
        proposed=decision.proposed,
        proposed_ids=tuple(proposed_ids),
    )
