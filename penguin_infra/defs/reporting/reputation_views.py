"""What the UI shows of reputation by days, by providers and by listings, and what their columns are made of."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from penguin_infra.defs.column_lineage import column_lineage
from penguin_infra.defs.tables import bars, lines_over_time, markdown_table

if TYPE_CHECKING:
    from pandas import DataFrame

Figures = dict[str, int | float | dg.MarkdownMetadataValue]

_COUNTS = ("sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired", "deferrals")
_ATTEMPTED = ("sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired")


def _rates(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {name: (f"delivery_rates.{name}",) for name in names}


HISTORY_LINEAGE = column_lineage(
    {
        "node_id": ("reputation_scores.node_id",),
        "label": ("reputation_scores.label",),
        "ip_address": ("reputation_scores.ip_address",),
        "region": ("reputation_scores.region",),
        "score_last": ("reputation_scores.score", "reputation_scores.measured_at"),
        "score_lowest": ("reputation_scores.score", "reputation_scores.measured_at"),
        "listings_open": ("blacklist_status.listed_at", "blacklist_status.delisted_at"),
        "worst_severity": ("blacklist_status.severity",),
        "listed_hours": ("blacklist_status.listed_at", "blacklist_status.delisted_at", "blacklist_status.severity"),
        **_rates((*_COUNTS, "complaints", "attempted")),
        **dict.fromkeys(
            ("bounce_rate", "bounce_lower", "bounce_upper"), ("delivery_rates.hard_bounces", "delivery_rates.attempted")
        ),
        "complaint_rate": ("delivery_rates.complaints", "delivery_rates.sent"),
        "policy_rejection_rate": ("delivery_rates.policy_rejections", "delivery_rates.attempted"),
        "deferral_rate": ("delivery_rates.deferrals", "delivery_rates.attempted"),
    }
)

PROVIDER_LINEAGE = column_lineage(
    {
        **_rates(("node_id", "mailbox_provider", *_COUNTS, "attempted")),
        "bounce_rate": ("delivery_rates.hard_bounces", "delivery_rates.attempted"),
        "policy_rejection_rate": ("delivery_rates.policy_rejections", "delivery_rates.attempted"),
        "deferral_rate": ("delivery_rates.deferrals", "delivery_rates.attempted"),
        "has_volume": ("delivery_rates.attempted",),
    }
)

IMPACT_LINEAGE = column_lineage(
    {
        "event_id": ("blacklist_status.id",),
        **{
            name: (f"blacklist_status.{name}",)
            for name in ("blacklist_provider", "zone", "severity", "ip_address", "listed_at", "delisted_at")
        },
        "node_id": ("blacklist_status.ip_address", "blacklist_status.listed_at"),
        "listed_hours": ("blacklist_status.listed_at", "blacklist_status.delisted_at"),
        "sent_messages": ("delivery_rates.sent", "blacklist_status.listed_at"),
        "expected_messages": ("delivery_rates.sent", "blacklist_status.listed_at"),
        "lost_messages": ("delivery_rates.sent", "blacklist_status.listed_at", "blacklist_status.delisted_at"),
    }
)


def history_metadata(frame: "DataFrame") -> Figures:
    """Some days of history for the UI."""
    days = frame.groupby("day")
    scored = frame.dropna(subset=["score_last"])
    by_day = scored.groupby("day")["score_last"]
    last_day = frame[frame["day"] == frame["day"].max()].sort_values(["score_last", "listed_hours", "label"])
    return {
        "addresses": int(frame["tenure_id"].nunique()),
        "days": int(frame["day"].nunique()),
        **{name: int(frame[name].sum()) for name in (*_COUNTS, "complaints", "attempted")},
        "listed_hours": float(frame["listed_hours"].sum()),
        "mean_score": float(scored["score_last"].mean()) if len(scored) else 0.0,
        "lowest_score": int(scored["score_lowest"].min()) if len(scored) else 0,
        "score_by_day": lines_over_time(
            {
                "mean score": [round(float(score)) for score in by_day.mean()],
                "lowest score": [int(score) for score in by_day.min()],
            }
            if len(scored)
            else {}
        ),
        "mail_by_day": lines_over_time(
            {name: [int(count) for count in days[name].sum()] for name in ("sent", "hard_bounces", "complaints")}
            if len(frame)
            else {}
        ),
        "worst_addresses": markdown_table(
            ["address", "node", "score", "listings", "listed, h", "sent", "bounces, at least", "complaint rate"],
            [
                (
                    row.ip_address, row.label, _known(row.score_last), row.listings_open, f"{row.listed_hours:.1f}",
                    row.sent, _known(row.bounce_lower, ".2%"), _known(row.complaint_rate, ".3%"),
                )
                for row in last_day.itertuples()
            ],
        ),
    }  # fmt: skip


def _known(value: float, form: str = "") -> str | None:
    """A number as it is shown; nothing of what is not known, in pandas' word for that."""
    from pandas import isna  # noqa: PLC0415 - not for whoever only loads this

    return None if isna(value) else format(value, form)


def provider_metadata(frame: "DataFrame") -> Figures:
    """Some days of mailbox providers for the UI."""
    summed = frame.groupby("mailbox_provider")[[*_COUNTS, "attempted"]].sum()
    judged = frame[frame["has_volume"]].sort_values("policy_rejection_rate", ascending=False)
    per_mille = (1000 * summed["policy_rejections"] / summed["attempted"]).fillna(0)
    return {
        "providers": len(summed),
        "rows_with_volume": len(judged),
        **{name: int(summed[name].sum()) for name in (*_COUNTS, "attempted")},
        "sent_to": bars({str(name): int(sent) for name, sent in summed["sent"].items()}),
        "rejected_by": bars({f"{name}, of 1,000 messages": round(share) for name, share in per_mille.items()}),
        "worst_pairs": markdown_table(
            ["day", "node", "address", "provider", "attempted", "bounced", "rejected", "deferred"],
            [
                (
                    row.day, row.label, row.ip_address, row.mailbox_provider, row.attempted, f"{row.bounce_rate:.2%}",
                    f"{row.policy_rejection_rate:.2%}", f"{row.deferral_rate:.2%}",
                )
                for row in judged.head(100).itertuples()
            ],
        ),
    }  # fmt: skip


def impact_metadata(frame: "DataFrame") -> Figures:
    """What listings cost, for the UI."""
    by_list = frame.groupby("zone")
    lost = by_list["lost_messages"].sum().sort_values(ascending=False)
    ended = frame[frame["delisted_at"].notna()]
    days = ended.groupby("zone")["listed_hours"].median() / 24
    return {
        "listings": len(frame),
        "listings_open": len(frame) - len(ended),
        "lost_messages": int(frame["lost_messages"].sum()),
        "expected_messages": int(frame["expected_messages"].sum()),
        "lost_by_list": bars({str(zone): int(count) for zone, count in lost.items()}),
        "days_to_delist": markdown_table(
            ["list", "listings", "ended", "days, median", "messages lost"],
            [
                (zone, len(of_list), int(of_list["delisted_at"].notna().sum()),
                 f"{days[zone]:.1f}" if zone in days.index else "none ended", lost[zone])
                for zone, of_list in by_list
            ],
        ),
        "worst_listings": markdown_table(
            ["list", "severity", "address", "node", "listed", "hours", "messages lost"],
            [
                (row.zone, row.severity, row.ip_address, row.label, f"{row.listed_at:%Y-%m-%d %H:%M}",
                 f"{row.listed_hours:.1f}", row.lost_messages)
                for row in frame.sort_values("lost_messages", ascending=False).head(100).itertuples()
            ],
        ),
    }  # fmt: skip
