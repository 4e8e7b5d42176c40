"""Take one node's step of warm-up, if fresh facts still lead to it: its state, its status and its progress together.

Which step that is, `measure_warmups.py` judges; nothing of an older judgement is believed.
"""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup import WarmupDecision
from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.measure_warmups import JudgedWarmup, judge_warmups, progress_of
from penguin_infra.store import nodes, warmup_progress, warmups
from penguin_infra.store.actions import Action


def advance_node(connection: Connection, action: Action, now: datetime, *, rules: WarmupRules) -> str:
    """Measure the action's node again and take its step; returns what was done, or why nothing was, in words.

    Safe to repeat: a step makes the facts before it stale, so that the same one is never taken twice.
    """
    warmup_progress.hold_progress(connection)
    # Nobody pauses it between the judgement and the step.
    warmups.lock_node(connection, action.node_id)
    judged = next(iter(judge_warmups(connection, rules, now, [action.node_id])), None)
    if judged is None:
        warmup_progress.forget_progress(connection, action.node_id)
        node = nodes.get_node(connection, action.node_id)
        return f"{node.label} is {node.status}: no step of warm-up is due any more"
    if not judged.is_step:
        warmup_progress.save_progress(connection, progress_of(judged, rules.limits, now))
        return f"{judged.subject.label} stays at {judged.subject.state.daily:,} a day: {' '.join(judged.reasons)}"
    _take(connection, action, judged, now)
    for again in judge_warmups(connection, rules, now, [action.node_id]):
        warmup_progress.save_progress(connection, progress_of(again, rules.limits, now))
    return f"{judged.subject.label}: {judged.step.decision}. {' '.join(judged.reasons)}"


def _take(connection: Connection, action: Action, judged: JudgedWarmup, now: datetime) -> None:
    subject, step = judged.subject, judged.step
    is_finished = step.decision is WarmupDecision.FINISH
    warmups.save_state(connection, subject.node_id, step.state, now, is_finished=is_finished)
    event = NodeEvent.WARMED_UP if is_finished else NodeEvent.WENT_COLD
    if not is_finished and subject.status is not NodeStatus.ACTIVE:
        return
    if is_finished:
        warmup_progress.forget_progress(connection, subject.node_id)
    nodes.apply_event(
        connection,
        subject.node_id,
        event,
        reason=" ".join(judged.reasons),
        requested_by=action.requested_by,
        now=now,
        action_id=action.action_id,
        run_id=action.run_id,
    )
