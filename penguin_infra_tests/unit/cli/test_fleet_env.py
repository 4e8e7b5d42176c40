"""Lab or real: what `up` decides, and what other terminals find in `fleet.env`."""

import os
from pathlib import Path

import pytest

from penguin_infra.cli.fleet_env import (
    build_fleet_env,
    build_process_env,
    plan_fleet,
    read_fleet_env,
    write_fleet_env,
)
from penguin_infra.settings import Settings, SettingsError, read_settings

EMBEDDED = (
    "postgresql://penguin:pw@127.0.0.1:20001/penguin_lab",
    "postgresql://penguin:pw@127.0.0.1:20001/dagster_lab",
)
CREDENTIALS = {
    "HOSTWIND_API_URL": "https://hostwind.example/api",
    "HOSTWIND_API_KEY": "the-key",
    "HOSTWIND_API_SECRET": "the-secret",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PENGUIN_", "HOSTWIND_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PENGUIN_HOME", str(tmp_path))


def user_settings() -> Settings:
    return read_settings(with_fleet_env=False)


def bring_up_a_lab(home: Path) -> dict[str, str]:
    earlier = read_fleet_env(home)
    values = build_fleet_env(plan_fleet(user_settings(), earlier), user_settings(), earlier, EMBEDDED)
    write_fleet_env(home, values)
    return values


def test_without_credentials_the_fleet_is_a_lab_that_another_terminal_finds(tmp_path: Path) -> None:
    written = bring_up_a_lab(tmp_path)
    found = read_settings()

    assert found.lab
    assert str(found.hostwind_api_url) == "http://127.0.0.1:4268/"
    assert found.resolvers == ("127.0.0.1:4269",)
    assert found.sweep_cron == "* * * * *"
    assert read_fleet_env(tmp_path) == written
    assert (tmp_path / "fleet.env").stat().st_mode & 0o777 == 0o600


def test_an_earlier_lab_does_not_count_as_credentials_and_its_key_is_kept(tmp_path: Path) -> None:
    assert bring_up_a_lab(tmp_path) == bring_up_a_lab(tmp_path)


def test_a_shell_that_sourced_the_file_decides_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = bring_up_a_lab(tmp_path)
    for name, value in written.items():
        monkeypatch.setenv(name, value)
    plan = plan_fleet(user_settings(), written)

    assert plan.is_lab
    assert plan.is_embedded
    assert bring_up_a_lab(tmp_path) == written


def test_a_users_secrets_never_reach_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PENGUIN_DATABASE_URL", "postgresql://me:secret@db.example/penguin")
    plan = plan_fleet(user_settings(), {})
    written = build_fleet_env(plan, user_settings(), {}, None)

    assert not plan.is_lab
    assert written == {}
    assert "secret" not in repr(plan)
    assert build_process_env(plan, written) == {
        "PENGUIN_DAGSTER_DATABASE_URL": "postgresql+psycopg2://me:secret@db.example/dagster"
    }


def test_the_lab_and_the_provider_never_share_an_embedded_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = plan_fleet(user_settings(), {})
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    real = plan_fleet(user_settings(), {})

    assert lab.database_name != real.database_name
    assert lab.dagster_database_name != real.dagster_database_name


def test_credentials_beside_a_running_lab_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_up_a_lab(tmp_path)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match="runs in the lab"):
        read_settings()
    assert not user_settings().lab
