"""The analysts' guide says of every column what the code says, and its queries run as an analyst runs them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from penguin_infra.operations.admit_analysts import admit_analyst
from penguin_infra.store.cost_summaries import CostsBy, add_up, sum_costs
from penguin_infra_tests.analysts_fleet import add_analysts_fleet
from penguin_infra_tests.analysts_guide import (
    GUIDE,
    READABLE,
    Query,
    described_tables,
    queries,
    read_guide,
    sample_columns,
    with_columns,
)
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.database_roles import login, name_in

QUERIES = queries(read_guide())


@pytest.fixture(scope="module", params=["databases", "debian_databases"], ids=["newest server", "oldest server"])
def reader(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An analyst's connections to a fleet with rows in every table, once for all queries: they change nothing."""
    server: Databases = request.getfixturevalue(request.param)
    for engine in fresh_engine(server):
        add_analysts_fleet(engine, datetime.now(UTC))
        name = name_in(engine)
        with engine.begin() as connection:
            password = admit_analyst(connection, name)
        with login(engine, name, password) as found:
            yield found
        with engine.begin() as connection:
            connection.execute(text(f'DROP ROLE IF EXISTS "{name}"'))


def test_the_guide_describes_all_that_an_analyst_may_read_as_the_code_does() -> None:
    guide = read_guide()
    assert sorted(described_tables(guide)) == sorted(READABLE)
    assert with_columns(guide) == guide, "python -m penguin_infra_tests.analysts_guide makes it anew"


def test_the_guide_says_of_each_what_a_row_is_and_how_fresh() -> None:
    overview = read_guide().partition("## What there is")[2].partition("## How tables join")[0]
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", overview, re.MULTILINE)) == set(READABLE)


def test_the_guides_queries_are_numbered_and_none_is_missed() -> None:
    assert [query.number for query in QUERIES] == list(range(1, 12))
    # One more shows how mail and money join.
    assert read_guide().count("```sql") == len(QUERIES) + 1


@pytest.mark.parametrize("query", QUERIES, ids=[str(query.number) for query in QUERIES])
def test_a_query_of_the_guide_answers_an_analyst_with_the_columns_that_it_shows(reader: Engine, query: Query) -> None:
    with reader.connect() as connection:
        result = connection.execute(text(query.sql))
        assert list(result.keys()) == sample_columns(query.sample)
        assert result.all(), query.question


def test_the_way_to_join_mail_and_money_counts_each_dollar_and_message_once(reader: Engine) -> None:
    (sql,) = re.findall(r"```sql\n(WITH money AS.*?FULL JOIN.*?)```", read_guide(), re.DOTALL)
    with reader.connect() as connection:
        rows = connection.execute(text(sql)).all()
        money = connection.scalar(text("SELECT sum(amount_usd) FROM analytics.node_costs"))
        mail = connection.scalar(text("SELECT sum(sent) FROM analytics.reputation_history"))
    assert sum(row.usd for row in rows) == money
    assert sum(row.delivered for row in rows) == mail
    assert any(row.node_id is None for row in rows)


def test_waste_is_reckoned_by_the_guide_as_by_the_command(reader: Engine) -> None:
    today = datetime.now(UTC).date()
    (query,) = [query for query in QUERIES if query.question.startswith("What brought no mail")]
    with reader.connect() as connection:
        by_guide = sum(row.usd for row in connection.execute(text(query.sql)))
        sums = sum_costs(connection, CostsBy.USAGE, first_day=today.replace(day=1), last_day=today)
    assert float(by_guide) == pytest.approx(float(add_up(sums, name="all").wasted_usd), abs=0.03)


def test_the_guides_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", read_guide()):
        assert (GUIDE.parent / target).exists(), target
