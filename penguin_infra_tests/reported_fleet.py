"""A fleet with sixty days behind it, as the report reads it: analysts' tables, actions, alerts, warm-ups and demand.

Written straight into the tables: how their rows come to be, other tests hold.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from sqlalchemy import Connection, Engine, Table, insert, select, update

from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.analytics_tables import (
    cost_forecasts,
    cost_optimisation,
    listing_impacts,
    node_costs,
    provider_reputation,
    reputation_history,
    reputation_scores,
)
from penguin_infra.store.capacity_tables import capacity_utilisation, demand_hours, warmup_progress
from penguin_infra.store.tables import node_actions, sending_nodes
from penguin_infra.store.telemetry_tables import alerts
from penguin_infra_tests.fleets import NOW, add_node, address

HISTORY_DAYS = 60

_NODES = {NodeStatus.ACTIVE: 12, NodeStatus.WARMING: 6, NodeStatus.PAUSED: 2, NodeStatus.DECOMMISSIONED: 1}
_HOURLY_USD = Decimal("0.00693100")
_PROVIDERS = {"gmail": 0.5, "microsoft": 0.3, "yahoo": 0.2}
_NAMESPACE = UUID(int=7)


def add_reported_fleet(engine: Engine, now: datetime = NOW, *, label: str | None = None) -> list[UUID]:
    """Nodes of most statuses with all that a report tells of; `label` renames the first one. Returns their ids."""
    statuses = [status for status, count in _NODES.items() for _ in range(count)]
    node_ids = [add_node(engine, number, status) for number, status in enumerate(statuses, start=1)]
    with engine.begin() as connection:
        if label is not None:
            rename = update(sending_nodes).where(sending_nodes.c.id == node_ids[0]).values(label=label)
            connection.execute(rename)
        named = connection.execute(select(sending_nodes.c.id, sending_nodes.c.label))
        labels = {row.id: row.label for row in named}
        nodes = [(number, node_id, labels[node_id], statuses[number - 1]) for number, node_id in enumerate(node_ids, 1)]
        _put(connection, node_costs, _costs(nodes, now))
        _put(connection, cost_forecasts, [(
            now.date(), now.date().replace(day=1), Decimal("103.80"), Decimal("129.75"), Decimal("127.10"),
            Decimal("132.40"), Decimal(150), "the month's mean day",
        )])  # fmt: skip
        _put(connection, cost_optimisation, _savings(nodes, now))
        _put(connection, reputation_scores, _scores(nodes, now))
        _put(connection, reputation_history, _history(nodes, now))
        _put(connection, provider_reputation, _providers(nodes, now))
        _put(connection, listing_impacts, _listings(nodes, now))
        _add_present(connection, nodes, now)
        _add_actions(connection, nodes, now)
    return node_ids


_Node = tuple[int, UUID, str, NodeStatus]
_Rows = Iterator[tuple[object, ...]]


def _put(connection: Connection, table: Table, rows: "_Rows | list[tuple[object, ...]]") -> None:
    names = [column.name for column in table.columns]
    connection.execute(insert(table), [dict(zip(names, row, strict=False)) for row in rows])


def _days(now: datetime, count: int = HISTORY_DAYS) -> list[date]:
    return [now.date() - timedelta(days=ago) for ago in range(count)]


def _sent(number: int, day: date) -> int:
    """More in the week than at its end, growing, and no two days alike."""
    usual = (3_000 + 400 * number + 40 * (day - date(2026, 9, 1)).days) * (0.55 if day.weekday() > 4 else 1)
    return int(usual * (1 + (day.toordinal() * 7_919 % 13 - 6) / 100))


def _costs(nodes: list[_Node], now: datetime) -> _Rows:
    for day in _days(now):
        for number, node_id, label, status in nodes:
            plan, region = ("ssd-2", "seattle") if number % 4 == 0 else ("ssd-1", "dallas")
            price = _HOURLY_USD * (2 if plan == "ssd-2" else 1)
            # They came one after another, the last of them a month ago.
            age = (day - now.date()).days + HISTORY_DAYS - int(1.4 * number)
            if age < 0:
                continue
            usage = "provisioning" if age == 0 else "warming" if age <= 20 else status.value
            if status is NodeStatus.DECOMMISSIONED:
                usage = "orphan"
            yield (
                day, f"hw-{number}", plan, "plan", usage, node_id, label, region, 24, number % 3, number % 2,
                price * 24, "provider",
            )  # fmt: skip


def _savings(nodes: list[_Node], now: datetime) -> _Rows:
    for kind, (_, node_id, label, _status), saving in (("downsize", nodes[3], "4.99"), ("retire", nodes[19], "5.05")):
        yield (
            uuid5(_NAMESPACE, kind), now, kind, node_id, label, "dallas", "ssd-2", "ssd-1", Decimal(saving),
            Decimal("129.75"), Decimal("124.76"), 250_000, 240_000, 0.41, 0.43,
            f"{label} used 12 % of what ssd-2 carries on its busiest day of 30", "a busier day queues for longer",
            f"penguin-infra actions plan {str(uuid5(_NAMESPACE, kind))[:8]}", None,
        )  # fmt: skip


def _scores(nodes: list[_Node], now: datetime) -> _Rows:
    for number, node_id, label, status in nodes:
        if status is not NodeStatus.DECOMMISSIONED:
            score = max(12, 100 - 4 * number if number % 5 else 100 - 9 * number // 2)
            yield (
                node_id, label, address(number), "dallas", status.value, now, score, score, 100, 1,
                {"bounces": 100 - score},
                f"{score} of 100: {100 - score} points lost to hard bounces (2.1 % of 12,000)",
            )  # fmt: skip


def _history(nodes: list[_Node], now: datetime) -> _Rows:
    for day in _days(now):
        for number, node_id, label, _ in nodes:
            sent = _sent(number, day)
            yield (
                day, uuid5(_NAMESPACE, label), node_id, label, address(number),
                "seattle" if number % 4 == 0 else "dallas", 90 - number, 88 - number, int(number == 20),
                "critical" if number == 20 else None, 0.0, sent, sent // 90,
                3, 1, 2, sent // 25, 1, sent + sent // 90 + 6, 0.011, 0.009, 0.013, 0.0001, 0.0002, 0.04,
            )  # fmt: skip


def _providers(nodes: list[_Node], now: datetime) -> _Rows:
    for day in _days(now):
        for number, node_id, label, _ in nodes:
            for place, (provider, share) in enumerate(_PROVIDERS.items(), start=1):
                sent = int(_sent(number, day) * share)
                deferrals = sent * (place + day.day % 3) // 100
                yield (
                    day, uuid5(_NAMESPACE, label), provider, node_id, label, address(number), sent, sent // 90, 1,
                    place, 0, deferrals, sent + sent // 90 + 1 + place, 0.011, 0.0002, 0.02, True,
                )  # fmt: skip


def _listings(nodes: list[_Node], now: datetime) -> _Rows:
    told = (("Spamhaus", "critical", 20, 3.5, None, 41_200), ("Barracuda", "high", 19, 9.0, 4.0, 12_050),
            ("SORBS", "low", 5, 25.0, 20.5, 0), ("Spamhaus", "critical", 7, 28.0, 26.0, 8_000))  # fmt: skip
    for place, (operator, severity, number, ago, ended, lost) in enumerate(told):
        _, node_id, label, _ = nodes[number - 1]
        yield (
            uuid5(_NAMESPACE, str(place)), operator, f"{operator.lower()}.test", severity, address(number), node_id,
            label, now - timedelta(days=ago), None if ended is None else now - timedelta(days=ended),
            24 * (ago - (ended or 0)), lost + 500, 500, lost,
        )  # fmt: skip


def _add_present(connection: Connection, nodes: list[_Node], now: datetime) -> None:
    """Capacity, warm-ups, alerts and demand, as their measurements left them."""
    living = [node for node in nodes if node[3] is not NodeStatus.DECOMMISSIONED]
    _put(connection, capacity_utilisation, [
        (node_id, now, "dallas", status.value, "ssd-1", status in {NodeStatus.ACTIVE, NodeStatus.WARMING}, 20_000,
         None, 20_000 if status is NodeStatus.ACTIVE else 4_000, 7_000 + 100 * number, 300, 20 + number, 5, 60, 12.5,
         40.0, 0.4)
        for number, node_id, _label, status in living
    ])  # fmt: skip
    warming = [node for node in nodes if node[3] is NodeStatus.WARMING]
    _put(connection, warmup_progress, [
        (node_id, now, 2 + place // 2, 10, 500 * (1 + place), 700 * (1 + place), 600 * (1 + place), 20_000,
         450 * (1 + place), "stuck" if place == 5 else "hold", False, ["Deferrals of gmail are 14 %."],
         now - timedelta(days=12 - place // 2 * 4), now + timedelta(days=20))
        for place, (_, node_id, _label, _status) in enumerate(warming)
    ])  # fmt: skip
    told = (
        ("high", "node_listed", nodes[19], "is on Spamhaus's list"),
        ("medium", "many_bounces", nodes[4], "bounces 6 % of its mail"),
        ("low", "warmup_stuck", warming[5], "does not warm up"),
    )
    connection.execute(insert(alerts), [
        {"rule": rule, "subject": label, "severity": severity, "summary": f"{label} {what}", "node_id": node_id,
         "opened_at": now - timedelta(hours=30), "updated_at": now}
        for severity, rule, (_, node_id, label, _status), what in told
    ])  # fmt: skip
    midnight = datetime.combine(now.date(), time(), UTC)
    hours = int((now - midnight).total_seconds() // 3600)
    connection.execute(insert(demand_hours), [
        {"hour_at": midnight + timedelta(hours=hour), "region": "dallas",
         "ended": sum(_sent(number, (midnight + timedelta(hours=hour)).date()) for number, *_ in living) // 24,
         "refused": 25 if hour % 50 == 0 else 0, "queue_depth": 400}
        for hour in range(-24 * HISTORY_DAYS, hours)
    ])  # fmt: skip


def _add_actions(connection: Connection, nodes: list[_Node], now: datetime) -> None:
    """Today's: done, failed, refused and proposed."""
    by = "policy:pause_listed"
    told = (
        [("advance_warmup", "succeeded", number, "policy:advance_warmups", f"allowed {number},000 a day", None)
         for number in range(1, 12)]
        + [("pause", "succeeded", 20, by, "out of the rotation", None),
           ("resize", "failed", 4, "policy:resize_deep_queue", "the provider did not answer in 30 minutes", None),
           ("pause", "refused", 19, by, "2 of 2 nodes an hour are out already", "disruption_budget"),
           ("decommission", "proposed", 19, "person:ada", None, None)]
    )  # fmt: skip
    connection.execute(insert(node_actions), [
        {"node_id": nodes[number - 1][1], "kind": kind, "status": status, "requested_by": by,
         "reason": f"{nodes[number - 1][2]} called for it", "outcome": outcome, "refusal_rule": rule,
         "refusal_count": int(rule is not None), "run_id": None, "planned_at": now - timedelta(hours=2),
         "finished_at": None if status == "proposed" else now - timedelta(hours=1)}
        for kind, status, number, by, outcome, rule in told
    ])  # fmt: skip
