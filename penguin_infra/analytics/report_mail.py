"""The report's section of reputation: scores, listings and what they cost, and how mailbox providers take the mail."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

from penguin_infra.analytics.report_charts import FEW, bars, layout, line
from penguin_infra.analytics.report_parts import (
    Chart,
    Column,
    Figure,
    Figures,
    Note,
    Part,
    Section,
    Table,
    counted,
    days,
    messages,
    moment,
    number,
    on,
    percent,
    ratio,
    table_of,
)
from penguin_infra.store.report_mail import MailFacts, ProviderDay

# Of a hundred points, in tens; the last holds 100 too.
_BAND = 10
_WEAK_BELOW = 50

_MOST_LISTINGS = 25
_WEEK = timedelta(days=7)
_PROVIDERS = {"gmail": "5", "microsoft": "1", "yahoo": "7", "apple": "4", "other": "8"}


def mail_section(facts: MailFacts, day: date, *, is_now: bool) -> Section:
    """How addresses and mail are taken."""
    when = "now" if is_now else f"at the end of {on(day)}"
    addresses = sum(facts.scores.values())
    weak = sum(count for score, count in facts.scores.items() if score < _WEAK_BELOW)
    lost = sum(one.lost_messages for one in facts.lists)
    figures = (
        Figure("Addresses with a score", number(addresses), when),
        Figure(f"Below {_WEAK_BELOW} of 100 points", number(weak), when),
        Figure("Listings open", number(len(facts.listings)), when),
        Figure("Mail lost to listings", messages(lost), f"by listings that stood in the 30 days until {on(day)}"),
    )
    parts: list[Part] = [Figures(figures)]
    if facts.scores:
        parts += [_scores_chart(facts, addresses, when), _worst(facts, when)]
    else:
        parts.append(Note(f"No address had a score {when}."))
    parts += [_listings(facts, when), *_lists(facts, day), *_providers(facts, day)]
    return Section(
        "reputation",
        "Reputation",
        "Scores from 0 (burnt) to 100 (spotless), the blacklist listings behind them, and how mailbox providers take "
        "the mail.",
        tuple(parts),
        {
            "addresses_scored": addresses,
            "addresses_below_50": weak,
            "listings_open": len(facts.listings),
            "messages_lost_30_days": lost,
        },
    )


def _scores_chart(facts: MailFacts, addresses: int, when: str) -> Chart:
    bands = {f"{low}-{low + _BAND - 1 if low < 90 else 100}": 0 for low in range(0, 100, _BAND)}
    names = list(bands)
    for score, count in facts.scores.items():
        bands[names[min(score, 99) // _BAND]] += count
    usual = max(bands, key=lambda name: bands[name])
    return Chart(
        "scores",
        "Addresses by score",
        f"{counted(addresses, 'score')} {when}; most stand at {usual} points ({bands[usual]:,}).",
        (bars(dict(bands), name="addresses", tone="1", unit="addresses"),),
        layout(y="addresses", x="points of 100", category=names, is_few=max(bands.values()) < FEW),
        Table(
            f"Addresses by score {when}",
            (Column("points", "name"), Column("addresses", "number")),
            tuple((name, number(count)) for name, count in bands.items()),
            "",
        ),
    )


def _worst(facts: MailFacts, when: str) -> Table:
    columns = [Column("node", "name"), Column("address", "name"), Column("score", "number"), Column("why")]
    rows = [(one.label, one.address, str(one.score), one.explanation) for one in facts.worst]
    return table_of(f"The ten lowest scores {when}", columns, rows, empty="None.")


def _listings(facts: MailFacts, when: str) -> Table:
    columns = [
        Column("list", "name"),
        Column("severity", "name"),
        Column("node", "name"),
        Column("address", "name"),
        Column("since", "name"),
        Column("for", "number"),
    ]
    rows = [
        (one.blacklist_provider, one.severity, one.label or "none", one.address, moment(one.listed_at),
         days(one.days_open))
        for one in facts.listings
    ]  # fmt: skip
    empty = f"No address was listed {when}."
    return table_of(f"Listings open {when}, the oldest first", columns, rows, empty=empty, most=_MOST_LISTINGS)


def _lists(facts: MailFacts, day: date) -> Iterable[Part]:
    columns = [
        Column("list", "name"),
        Column("listings", "number"),
        Column("open", "number"),
        Column("days to delist (median)", "number"),
        Column("messages lost", "number"),
    ]
    rows = [
        (one.blacklist_provider, number(one.listings), number(one.still_open),
         days(one.median_days) if one.median_days is not None else "none was delisted", number(one.lost_messages))
        for one in facts.lists
    ]  # fmt: skip
    table = table_of(
        f"Lists that listed in the 30 days until {on(day)}", columns, rows, empty="No list listed an address of ours."
    )
    lost = {one.blacklist_provider: float(one.lost_messages) for one in facts.lists if one.lost_messages}
    if not lost:
        return [table]
    dearest = max(lost, key=lambda name: lost[name])
    # Plotly draws lying bars from below.
    lying = dict(reversed(lost.items()))
    chart = Chart(
        "lost-mail",
        "Mail lost, by list",
        f"{messages(sum(lost.values()))} lost in the 30 days until {on(day)}, most of them to {dearest} "
        f"({lost[dearest]:,.0f}).",
        (bars(lying, name="messages lost", tone="5", unit="messages", is_lying=True),),
        layout(x="messages not sent", y=""),
        table,
        is_table_open=True,
    )
    return [chart]


def _providers(facts: MailFacts, day: date) -> Iterable[Part]:
    columns = [
        Column("mailbox provider", "name"),
        Column("attempted messages", "number"),
        Column("hard bounces", "number"),
        Column("policy rejections", "number"),
        Column("deferred", "number"),
    ]
    by_name: dict[str, list[ProviderDay]] = defaultdict(list)
    for one in facts.providers:
        by_name[one.mailbox_provider].append(one)
    names = [name for name in _PROVIDERS if name in by_name]
    of_week = {name: [one for one in by_name[name] if one.day > day - _WEEK] for name in names}
    rows = [(name, *_rates(of_week[name])) for name in names]
    table = table_of(
        f"Mailbox providers, the 7 days until {on(day)}",
        columns,
        rows,
        empty="No mail was counted by mailbox provider.",
    )
    if not names:
        return [table]
    lines = tuple(
        line(
            {one.day: _deferred([one]) for one in by_name[name]},
            name=name, tone=_PROVIDERS[name], shape=".2%", unit="deferred",
        )
        for name in names
    )  # fmt: skip
    worst = max(names, key=lambda name: _deferred(of_week[name]) or 0)
    share = percent(_deferred(of_week[worst]))
    in_words = f"30 days until {on(day)}. In the last 7 of them {worst} deferred most: {share} of its messages."
    title, axes = "Messages that had to wait, by mailbox provider", layout(y="share of messages", is_share=True)
    return [Chart("deferrals", title, in_words, lines, axes, table, is_table_open=True)]


def _rates(of_days: list[ProviderDay]) -> tuple[str, str, str, str]:
    attempted = sum(one.attempted for one in of_days)
    return (
        number(attempted),
        percent(ratio(sum(one.hard_bounces for one in of_days), attempted)),
        percent(ratio(sum(one.policy_rejections for one in of_days), attempted)),
        percent(_deferred(of_days)),
    )


def _deferred(of_days: list[ProviderDay]) -> float | None:
    deferrals = sum(one.deferrals for one in of_days)
    return ratio(deferrals, deferrals + sum(one.attempted for one in of_days))
