"""What every remediation sensor does in a tick: plan, take back what died, ask for runs, or say why it asks for none.

A tick reads facts and writes the ledger; the network is the jobs'. Which facts lead to which actions is the policies'.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterRunStatus, RunRequest, RunsFilter, SensorEvaluationContext, SkipReason
from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import Refusal, Rule
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.operations.recover_actions import CANCELLED_WAITING, Recovery, recover_actions
from penguin_infra.store import actions as ledger
from penguin_infra.store import decisions
from penguin_infra.store.actions import Action
from penguin_infra.wiring import Wiring

ACTION_TAG = "penguin/action"
NODE_TAG = "penguin/node"
CAUSE_TAG = "penguin/cause"
REASON_TAG = "penguin/reason"

_RUN_KEY_TAG = "dagster/run_key"
_ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}

# Sums and all: a reason is read in the UI's list of runs.
_LONGEST_REASON = 500

# Runs of one kind asked for and not yet begun. Dagster starts a run every few seconds; asking for more would only
# fill its queue with decisions that grow old there.
MOST_WAITING_RUNS = 25

ReadWanted = Callable[[Connection], Iterable[PlannedAction]]


@dataclass(frozen=True, slots=True)
class Tick:
    """One evaluation of one kind's sensor."""

    context: SensorEvaluationContext
    fleet: Wiring
    kind: ActionKind

    def run(self, read_wanted: ReadWanted | None, *, is_batch: bool) -> list[RunRequest] | SkipReason:
        """Plan what is wanted (None: only persons ask for this kind), then ask for the runs that are due.

        A batch kind gets one run for all that is due, the others one run a node.
        """
        now = self.fleet.clock.now()
        engine = self.fleet.engine
        plan = Plan((), (), (), 0)
        if read_wanted:
            plan = plan_actions(engine, read_wanted, limits=self.fleet.policy.guardrails, now=now)
        statuses = self._run_statuses()
        recoveries = recover_actions(
            engine,
            self.kind,
            find_ended_runs=lambda keys: self._ended(keys, statuses, is_batch=is_batch),
            limits=self.fleet.policy.retry,
            now=now,
        )
        self._report_dead_runs(recoveries)
        with engine.begin() as connection:
            proposed = decisions.count_proposed(connection, self.kind)
            due = ledger.due_actions(connection, self.kind, now)
            waiting = [
                action for action in due if action.run_key in statuses and statuses[action.run_key] not in _ENDED
            ]
            fresh = [action for action in due if action not in waiting][: MOST_WAITING_RUNS - len(waiting)]
            if is_batch:
                fresh = [] if waiting else fresh[:1]
            ledger.mark_dispatched(connection, [action.action_id for action in fresh], now)
        if fresh:
            return [_request(action, len(due) if is_batch else 1) for action in fresh]
        return SkipReason(_why_nothing(self.kind, plan, recoveries, waiting, proposed))

    def _run_statuses(self) -> dict[str, DagsterRunStatus]:
        with self.fleet.engine.connect() as connection:
            keys = [action.run_key for action in ledger.dispatched_actions(connection, self.kind)]
        if not keys:
            return {}
        runs = self.context.instance.get_runs(RunsFilter(tags={_RUN_KEY_TAG: keys}))
        return {run.tags[_RUN_KEY_TAG]: run.status for run in runs}

    def _ended(
        self, keys: Collection[str], statuses: Mapping[str, DagsterRunStatus], *, is_batch: bool
    ) -> dict[str, str]:
        """Which runs are over, and how. To cancel a batch means this run of it: its actions go on."""
        ended = {key: statuses[key].value.lower() for key in keys if statuses.get(key) in _ENDED}
        cancelled = [key for key in ended if statuses[key] is DagsterRunStatus.CANCELED]
        if cancelled and not is_batch:
            records = self.context.instance.get_run_records(RunsFilter(tags={_RUN_KEY_TAG: cancelled}))
            # One that had begun was ended together with an earlier fleet: nobody decided against it.
            ended |= {
                record.dagster_run.tags[_RUN_KEY_TAG]: CANCELLED_WAITING
                for record in records
                if record.start_time is None
            }
        return ended

    def _report_dead_runs(self, recoveries: Sequence[Recovery]) -> None:
        """Tell Dagster of runs whose process is gone: it cannot see that itself once their code server died too."""
        instance = self.context.instance
        for run_id in {recovery.action.run_id for recovery in recoveries if recovery.action.run_id}:
            run = instance.get_run_by_id(run_id)
            if run is not None and run.status not in _ENDED:
                instance.report_run_failed(run, "the run's process is gone; its action is carried on by another run")


def action_tags(action: Action) -> dict[str, str]:
    """What a run's tags say of its action."""
    return {
        ACTION_TAG: str(action.action_id),
        NODE_TAG: action.label,
        CAUSE_TAG: action.requested_by,
        REASON_TAG: action.reason[:_LONGEST_REASON],
    }


def action_id_of(context: dg.OpExecutionContext) -> str:
    """The action that a run was asked for; raises `Failure` where it was launched by hand without one."""
    action_id = context.run.tags.get(ACTION_TAG)
    if action_id is None:
        raise dg.Failure(
            f"this job needs the tag {ACTION_TAG} with an action of the ledger: its sensor sets it. To ask for an "
            "action, use `penguin-infra nodes`",
            allow_retries=False,
        )
    return action_id


def _request(action: Action, action_count: int) -> RunRequest:
    tags = action_tags(action) | {"penguin/actions": str(action_count)}
    return RunRequest(run_key=action.run_key, tags=tags)


def _why_nothing(
    kind: ActionKind, plan: Plan, recoveries: Sequence[Recovery], waiting: Sequence[Action], proposed: int
) -> str:
    said = []
    if proposed:
        said.append(f"{proposed} {kind} waiting for approval (`penguin-infra actions list --status proposed`)")
    if waiting:
        said.append(f"{len(waiting)} {kind} waiting for a run that was asked for ({waiting[0].label})")
    by_rule: dict[Rule, list[Refusal]] = {}
    for refusal in plan.refused:
        by_rule.setdefault(refusal.rule, []).append(refusal)
    # What is open already is proposed, waiting or running, not held back.
    running = len(by_rule.pop(Rule.ONE_OPEN_ACTION, [])) - len(waiting) - proposed
    if running > 0:
        said.append(f"{running} {kind} under way or resting")
    for rule, refusals in by_rule.items():
        said.append(f"{len(refusals)} {kind} refused by {rule}: {refusals[0].explanation}")
    said += [f"{recovery.action.label}: {recovery.explanation}" for recovery in recoveries[:3]]
    return "; ".join(said) or f"no node needs {kind}"
