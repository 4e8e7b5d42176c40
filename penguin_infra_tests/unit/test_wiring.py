"""The wiring: adapters chosen by the settings, made when first used, and what is said where a setting is missing."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from penguin_infra.cli.database import prepare
from penguin_infra.dnsbl.catalogue import CatalogueError, RetiredZone, UnknownZone
from penguin_infra.dnsbl.resolvers import ResolverError
from penguin_infra.policy_file import PolicyFileError
from penguin_infra.settings import Settings
from penguin_infra.store.database import DatabaseError
from penguin_infra.wiring import NotConfigured, Wiring


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PENGUIN_DATABASE_URL", "PENGUIN_DAGSTER_DATABASE_URL", "PENGUIN_POLICY_FILE", "HOSTWIND_API_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PENGUIN_BLACKLIST_FILE", "PENGUIN_BLACKLIST_KEYS", "PENGUIN_BLACKLIST_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PENGUIN_RESOLVERS", "HOSTWIND_API_KEY", "HOSTWIND_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENGUIN_HOME", str(tmp_path))


def wired(**settings: object) -> Wiring:
    return Wiring(Settings(**settings))  # type: ignore[arg-type]


def with_database(url: str) -> Wiring:
    return wired(database_url=SecretStr(url))


def test_without_a_database_both_ways_to_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as refused:
        _ = wired().database_url
    for words in (str(tmp_path), "penguin-infra up", "PENGUIN_DATABASE_URL"):
        assert words in str(refused.value)


def test_dagsters_database_lies_on_the_fleets_server_unless_it_is_named() -> None:
    fleet = with_database("postgresql://u:p@db.example:5433/penguin")
    assert fleet.dagster_database_url.render_as_string() == "postgresql+psycopg2://u:***@db.example:5433/dagster"
    named = wired(
        database_url=SecretStr("postgresql://h/penguin"), dagster_database_url=SecretStr("postgresql://other/runs")
    )
    assert (named.dagster_database_url.host, named.dagster_database_url.database) == ("other", "runs")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("hush", "not a URL"),
        ("postgresql://u:hush@h:port/penguin", "not a URL"),
        ("mysql://u:hush@h/penguin", "expected a postgresql:// URL, not mysql://"),
        ("sqlite:///hush.db", "expected a postgresql:// URL, not sqlite://"),
        ("postgresql://u:hush@h", "names no database"),
        ("postgresql://u:top@hush@h/penguin", "as %40"),
    ],
)
@pytest.mark.parametrize("setting", ["PENGUIN_DATABASE_URL", "PENGUIN_DAGSTER_DATABASE_URL"])
def test_a_url_that_is_none_names_its_setting_and_shows_nothing_of_it(setting: str, url: str, complaint: str) -> None:
    fleet = wired(**{setting.removeprefix("PENGUIN_").lower(): SecretStr(url)})
    with pytest.raises(DatabaseError) as refused:
        _ = fleet.database_url if setting == "PENGUIN_DATABASE_URL" else fleet.dagster_database_url
    assert str(refused.value).startswith(f"{setting}: ")
    assert complaint in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_any_spelling_of_postgresql_is_served_by_psycopg_3(scheme: str) -> None:
    assert with_database(f"{scheme}://u:p@h/penguin").engine.url.drivername == "postgresql+psycopg"


def test_a_password_with_an_at_sign_can_be_said() -> None:
    assert with_database("postgresql://u:p%40ss@h/penguin").database_url.password == "p@ss"


def test_without_credentials_the_provider_names_their_settings() -> None:
    with pytest.raises(NotConfigured, match="HOSTWIND_API_URL, HOSTWIND_API_KEY and HOSTWIND_API_SECRET"):
        _ = wired().provider


def test_no_wiring_shows_a_secret() -> None:
    fleet = with_database("postgresql://u:hush@h/penguin")
    assert "hush" not in f"{fleet!r} {fleet.database_url!r} {fleet.database_url} {fleet.engine!r}"


def test_a_retired_list_is_refused_by_name_with_the_reason(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[blacklists]\nzones = ["zen.spamhaus.org", "dnsbl.sorbs.net"]\n')
    with pytest.raises(RetiredZone) as refused:
        _ = wired(policy_file=policy).blacklists
    for words in ("dnsbl.sorbs.net is refused", "SORBS", "retired on 5 June 2024"):
        assert words in str(refused.value)


def test_a_misspelt_list_is_refused_with_the_nearest(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[blacklists]\nzones = ["zen.spamhaus.com"]\n')
    with pytest.raises(UnknownZone, match=r"zen\.spamhaus\.org"):
        _ = wired(policy_file=policy).blacklists


def test_the_policy_file_is_the_one_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match=r"missing\.toml"):
        _ = wired(policy_file=tmp_path / "missing.toml").policy


def test_keys_open_paid_lists_but_not_in_the_lab_whose_servers_know_nothing_of_them() -> None:
    keys = {"spamhaus": SecretStr("hush4711")}
    asked = {one.zone: one.query_zone for one in wired(blacklist_keys=keys).blacklists}
    assert asked["zen.spamhaus.org"] == "hush4711.zen.dq.spamhaus.net"
    in_the_lab = {one.zone: one.query_zone for one in wired(blacklist_keys=keys, lab=True).blacklists}
    assert in_the_lab["zen.spamhaus.org"] == "zen.spamhaus.org"
    assert "hush" not in repr(wired(blacklist_keys=keys))


def test_the_users_file_of_lists_is_the_one_of_the_settings(tmp_path: Path) -> None:
    own = tmp_path / "lists.toml"
    own.write_text('[[retired]]\nzone = "psbl.surriel.com"\nname = "PSBL"\nreason = "is not for us"\n')
    assert "psbl.surriel.com" not in {one.zone for one in wired(blacklist_file=own).blacklists}
    own.write_text("[[lists]]\n")
    with pytest.raises(CatalogueError, match=r"lists\.toml: lists\[0\]: zone: "):
        _ = wired(blacklist_file=own).blacklists


def test_a_fleet_does_not_come_up_with_a_wrong_file_of_lists(tmp_path: Path) -> None:
    own = tmp_path / "lists.toml"
    own.write_text('[[lists]]\nzone = "spam.dnsbl.sorbs.net"\n')
    told = Settings(lab=True, database_url=SecretStr("postgresql://h/penguin"), blacklist_file=own)
    # Before it touches the database, which is not there.
    with pytest.raises(CatalogueError, match=r"lists\.toml: spam\.dnsbl\.sorbs\.net: name: "):
        prepare(told)


def test_a_policy_without_budgets_loads_no_catalogue(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[retry]\nmax_attempts = 3\n")
    assert wired(policy_file=policy, blacklist_file=tmp_path / "missing.toml").policy.retry.max_attempts == 3


@pytest.mark.parametrize("resolver", ["ns.example:53", "127.0.0.1:dns", "127.0.0.1:0", "127.0.0.1:53/x"])
def test_a_wrong_resolver_names_its_setting(resolver: str) -> None:
    fleet = wired(database_url=SecretStr("postgresql://h/penguin"), resolvers=(resolver,))
    with pytest.raises(ResolverError, match=f"PENGUIN_RESOLVERS: '{resolver}'"):
        fleet.blacklist_sweep(print)


def test_loading_the_wiring_loads_neither_http_nor_dagster() -> None:
    script = "import sys, penguin_infra.wiring; print(sorted({'httpx', 'dagster'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
