"""Lab or real: what `up` decides, and what other terminals find in `fleet.env`."""

import os
from base64 import b64decode
from pathlib import Path

import pytest

from penguin_infra.cli.fleet_env import (
    build_fleet_env,
    build_process_env,
    lab_policy_file,
    plan_fleet,
    read_fleet_env,
    write_fleet_env,
    write_lab_policy,
)
from penguin_infra.policy_file import read_policy
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


def test_the_lab_tells_where_its_nodes_are_named_installed_and_verified(tmp_path: Path) -> None:
    bring_up_a_lab(tmp_path)
    found = read_settings()

    assert (found.dns_zone, found.dns_server) == ("nodes.lab.test", "127.0.0.1:4269")
    assert str(found.installer_url) == "http://127.0.0.1:4271/"
    assert str(found.gateway_url) == "http://127.0.0.1:4270/"
    assert (found.sink_mailbox, found.sink_route) == ("verify@sink.lab.test", "127.0.0.1:4272")
    assert found.dns_key_secret is not None
    assert len(b64decode(found.dns_key_secret.get_secret_value())) == 32


def test_two_labs_have_two_keys(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    keys = {bring_up_a_lab(tmp_path / name)["PENGUIN_DNS_KEY_SECRET"] for name in ("one", "other")}
    assert len(keys) == 2


def test_what_the_user_set_for_a_real_fleet_does_not_reach_the_labs_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = {
        "PENGUIN_DNS_ZONE": "nodes.example.org",
        "PENGUIN_DNS_SERVER": "192.0.2.53:53",
        "PENGUIN_DNS_KEY_NAME": "real",
        "PENGUIN_DNS_KEY_SECRET": "cmVhbA==",
        "PENGUIN_DNS_KEY_ALGORITHM": "hmac-sha512",
        "PENGUIN_GATEWAY_URL": "https://gateway.example.org",
        "PENGUIN_INSTALLER_URL": "https://installer.example.org",
        "PENGUIN_SINK_MAILBOX": "verify@example.org",
        "PENGUIN_SINK_ROUTE": "192.0.2.25:25",
        "PENGUIN_SINK_HOST": "192.0.2.25",
    }
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    plan = plan_fleet(user_settings(), {})
    told = build_process_env(plan, build_fleet_env(plan, user_settings(), {}, EMBEDDED))

    assert plan.is_lab
    assert {name: told[name] for name in real if told[name] == real[name]} == {}


def test_a_new_labs_policy_leaves_the_ports_alone_and_a_users_stays_his(tmp_path: Path) -> None:
    assert read_policy(None).provisioning.scan_ports
    write_lab_policy(tmp_path)
    assert not read_policy(lab_policy_file(tmp_path)).provisioning.scan_ports
    lab_policy_file(tmp_path).write_text("# mine\n")
    write_lab_policy(tmp_path)
    assert lab_policy_file(tmp_path).read_text() == "# mine\n"


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
