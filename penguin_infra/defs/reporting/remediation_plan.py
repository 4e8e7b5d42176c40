"""What the fleet would do now, as people read it in the UI. The rules and the sums stand below."""

from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table
from penguin_infra.domain.guardrails import Rule
from penguin_infra.operations.preview_plan import FleetPreview, Outcome, PlanLine, preview_plan
from penguin_infra.wiring import Wiring

_PRECEDENCE = "\n".join(f"{number}. `{rule}`: {rule.meaning}" for number, rule in enumerate(Rule, start=1))

_DESCRIPTION = f"""What the fleet would do now, what it may not and why, and what is open, with its sums.

Source: the fleet's own facts, read as the sensors read them, after they were measured (every minute: they change as
often, and a plan that is older than its facts misleads). Nothing is written; `penguin-infra plan` tells the same.
Readers: operators. What waits for approval is decided by `penguin-infra actions approve` or `reject`.

What is wanted passes these rules, and the first that applies refuses it:

{_PRECEDENCE}

What is left is done, or waits for approval where its kind is set to (`[guardrails] approve`) or its policy asks for it.
"""

_COLUMNS = {
    "what": "the kind of action",
    "node": "the node, or what of the fleet it is about",
    "verdict": "would do, waits for approval, planned, running, refused by a rule, or left alone",
    "why": "the reason with its sums, or the refusal's",
    "wanted by": "the policy or the person",
}


@dg.asset(
    group_name="reporting",
    description=_DESCRIPTION,
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1min", "reader": "operators"},
    # Not on node_health: its blocking check fails with a gateway that sleeps, and then above all a plan is to be read.
    deps=["delivery_rates", "capacity_utilisation", "warmup_progress"],
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, "text", description=meaning) for name, meaning in _COLUMNS.items()]
        )
    },
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=10), warn_window=timedelta(minutes=5)
    ),
)
def remediation_plan(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult[None]:
    """See `_DESCRIPTION`, which holds the rules' own words."""
    preview = preview_plan(fleet.engine, fleet.wanted_limits, fleet.clock.now())
    for said in preview.sums(growth_plan=fleet.policy.growth.plan):
        context.log.info(said)
    return dg.MaterializeResult(metadata=_metadata(preview, fleet.policy.growth.plan))


def _metadata(preview: FleetPreview, growth_plan: str) -> dict[str, int | dg.MarkdownMetadataValue]:
    of = {outcome: [line for line in preview.lines if line.outcome is outcome] for outcome in Outcome}
    return {
        **{outcome.name.lower(): count for outcome, count in preview.counts.items()},
        "nodes_lacking": preview.growth.needed if preview.growth else 0,
        "nodes_to_ask_for": preview.growth.count if preview.growth else 0,
        "nodes_to_spare": len(preview.shrink.node_ids) if preview.shrink else 0,
        "is_frozen": int(preview.frozen_by is not None),
        "by_verdict": bars({outcome.value: count for outcome, count in preview.counts.items()}),
        "fleet_size": dg.MetadataValue.md("\n\n".join(preview.sums(growth_plan=growth_plan))),
        "what_would_be_done": _table([*of[Outcome.WOULD_DO], *of[Outcome.WAITS]]),
        "what_is_refused": _table(of[Outcome.REFUSED]),
        "what_is_left_alone": _table(of[Outcome.LEFT_ALONE]),
        "what_is_open": _table([*of[Outcome.RUNNING], *of[Outcome.PLANNED]]),
    }


def _table(lines: list[PlanLine]) -> dg.MarkdownMetadataValue:
    return markdown_table(
        list(_COLUMNS),
        [(line.kind, line.subject, line.verdict, line.why, line.requested_by) for line in lines],
    )
