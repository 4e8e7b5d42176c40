"""The settings: where they come from, how a wrong one is named, and that secrets are never shown."""

from pathlib import Path

import pytest

from penguin_infra.settings import FLEET_ENV_FILE, Settings, SettingsError, read_settings

SECRETS = {
    "PENGUIN_DATABASE_URL": "postgresql://u:pw-hush-1@h/penguin",
    "PENGUIN_DAGSTER_DATABASE_URL": "postgresql://u:pw-hush-2@h/dagster",
    "HOSTWIND_API_KEY": "key-hush-3",
    "HOSTWIND_API_SECRET": "secret-hush-4",
}
URL = "https://api.hostwind.example/v1"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home, and nothing of the developer's own settings."""
    for name in ("PENGUIN_BLACKLIST_FILE", "PENGUIN_BLACKLIST_KEYS", "PENGUIN_BLACKLIST_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PENGUIN_LAB", "PENGUIN_RESOLVERS", "PENGUIN_FLEET_NAME", "HOSTWIND_API_URL", *SECRETS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENGUIN_HOME", str(tmp_path))
    return tmp_path


def refusal() -> str:
    with pytest.raises(SettingsError) as refused:
        read_settings()
    return str(refused.value)


def test_without_any_setting_the_fleet_is_an_embedded_one() -> None:
    found = read_settings()
    assert (found.database_url, found.hostwind_api_url, found.resolvers, found.lab) == (None, None, (), False)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PENGUIN_UI_PORT", "0", "greater than or equal to 1"),
        ("PENGUIN_UI_PORT", "65536", "less than or equal to 65535"),
        ("PENGUIN_LAB_DNS_PORT", "dns", "valid integer"),
        ("PENGUIN_FLEET_NAME", "Penguin", "pattern"),
        ("PENGUIN_FLEET_NAME", "penguin-2", "pattern"),
        ("PENGUIN_FLEET_NAME", "a" * 21, "pattern"),
        ("PENGUIN_FLEET_NAME", "penguin\n", "pattern"),
        ("PENGUIN_LAB", "perhaps", "boolean"),
        ("HOSTWIND_API", "soap", "rest"),
        ("HOSTWIND_API_URL", "api.hostwind.example", "URL"),
        ("HOSTWIND_REQUESTS_PER_SECOND", "0", "greater than 0"),
    ],
)
def test_a_wrong_setting_is_named_as_the_environment_spells_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)
    (line,) = refusal().splitlines()
    assert line.startswith(f"{name}: ")
    assert complaint in line


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_UI_PORT", "0")
    monkeypatch.setenv("HOSTWIND_API", "soap")
    assert sorted(line.split(":")[0] for line in refusal().splitlines()) == ["HOSTWIND_API", "PENGUIN_UI_PORT"]


@pytest.mark.parametrize("missing", ["HOSTWIND_API_URL", "HOSTWIND_API_KEY", "HOSTWIND_API_SECRET"])
def test_credentials_that_are_not_whole_name_what_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    whole = {"HOSTWIND_API_URL": URL, "HOSTWIND_API_KEY": "key-hush-3", "HOSTWIND_API_SECRET": "secret-hush-4"}
    for name, value in whole.items():
        monkeypatch.setenv(name, "" if name == missing else value)
    message = refusal()
    assert message.startswith(f"{missing} must be set too")
    assert "hush" not in message


def test_the_lab_is_not_steered_by_the_providers_credentials(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / FLEET_ENV_FILE).write_text("PENGUIN_LAB=true\n")
    for name, value in (SECRETS | {"HOSTWIND_API_URL": URL}).items():
        monkeypatch.setenv(name, value)
    message = refusal()
    assert "HOSTWIND_API_URL names the provider" in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENGUIN_DNS_SERVER", "192.0.2.53:53"),
        ("PENGUIN_INSTALLER_URL", "https://installer.example.com"),
        ("PENGUIN_GATEWAY_URL", "https://gateway.example.com"),
        ("PENGUIN_SINK_ROUTE", "sink.example.com:25"),
        ("PENGUIN_SINK_HOST", "192.0.2.9"),
    ],
)
def test_the_lab_is_not_led_into_the_real_world(
    monkeypatch: pytest.MonkeyPatch, home: Path, name: str, value: str
) -> None:
    (home / FLEET_ENV_FILE).write_text("PENGUIN_LAB=true\nPENGUIN_DNS_SERVER=127.0.0.1:4269\n")
    monkeypatch.setenv(name, value)
    assert f"{name}: set for the real world" in refusal()


def test_the_environment_goes_before_the_homes_file_and_the_file_before_the_default(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / FLEET_ENV_FILE).write_text("PENGUIN_UI_PORT=3001\nPENGUIN_FLEET_NAME=fromfile\nHOSTWIND_API=rest\n")
    monkeypatch.setenv("PENGUIN_UI_PORT", "3002")
    found = read_settings()
    assert (found.ui_port, found.fleet_name, found.code_server_port) == (3002, "fromfile", 4266)


def test_the_homes_file_can_be_left_out(home: Path) -> None:
    (home / FLEET_ENV_FILE).write_text("PENGUIN_UI_PORT=3001\n")
    assert read_settings(with_fleet_env=False).ui_port == 3000


def test_a_wrong_setting_in_the_homes_file_is_named_too(home: Path) -> None:
    (home / FLEET_ENV_FILE).write_text("PENGUIN_UI_PORT=none\n")
    assert refusal().startswith("PENGUIN_UI_PORT: ")


def test_an_empty_setting_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENGUIN_DATABASE_URL", "HOSTWIND_API_KEY", "PENGUIN_UI_PORT", "PENGUIN_RESOLVERS"):
        monkeypatch.setenv(name, "")
    found = read_settings()
    assert (found.database_url, found.hostwind_api_key, found.ui_port, found.resolvers) == (None, None, 3000, ())


def test_resolvers_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_RESOLVERS", " 127.0.0.1:53 ,, [::1]:5353 ")
    assert read_settings().resolvers == ("127.0.0.1:53", "[::1]:5353")


def test_a_home_is_absolute_whatever_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENGUIN_HOME", "here")
    assert read_settings().home == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PENGUIN_HOME", "~/fleet")
    assert read_settings().home == tmp_path / "user" / "fleet"


def all_set(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in (SECRETS | {"HOSTWIND_API_URL": URL}).items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_no_way_to_print_settings_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    found = all_set(monkeypatch)
    for shown in (repr(found), str(found), f"{found.model_dump()}", found.model_dump_json()):
        assert "hush" not in shown
        assert "**********" in shown
    assert found.hostwind_api_secret is not None
    assert found.hostwind_api_secret.get_secret_value() == SECRETS["HOSTWIND_API_SECRET"]


def test_a_settings_error_shows_no_secret_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_UI_PORT", "0")
    with pytest.raises(SettingsError) as refused:
        all_set(monkeypatch)
    assert "hush" not in f"{refused.value!r} {refused.value}"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings().ui_port = 1  # type: ignore[misc]


def test_keys_of_paid_lists_are_read_by_operator_and_print_as_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS", " Spamhaus=hush47, abusix = hush11 ,")
    found = read_settings()
    assert {name: key.get_secret_value() for name, key in found.blacklist_keys.items()} == {
        "spamhaus": "hush47",
        "abusix": "hush11",
    }
    assert "hush" not in f"{found} {found!r} {found.model_dump_json()}"


def test_keys_of_paid_lists_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "keys").write_text("# of the team\nspamhaus=hush47\n\nabusix=hush11\n")
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS_FILE", str(home / "keys"))
    assert {name: key.get_secret_value() for name, key in read_settings().blacklist_keys.items()} == {
        "spamhaus": "hush47",
        "abusix": "hush11",
    }
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS", "abusix=hush")
    assert "not both" in refusal()


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("hush4711", "part 1 is not operator=key"),
        ("spamhaus=hush47,=hush11", "part 2 is not operator=key"),
        ("spamhaus=hush.4711", "part 1 is not operator=key"),
        ("spamhaus=hush47,Spamhaus=hush11", "part 2 is a second key"),
    ],
)
def test_a_wrong_key_is_named_by_its_place_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, home: Path, keys: str, complaint: str
) -> None:
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS", keys)
    message = refusal()
    assert message.startswith("PENGUIN_BLACKLIST_KEYS: ")
    assert complaint in message
    assert "hush" not in message
    monkeypatch.delenv("PENGUIN_BLACKLIST_KEYS")
    (home / "keys").write_text(keys.replace(",", "\n"))
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS_FILE", str(home / "keys"))
    message = refusal()
    assert complaint.replace("part", "line") in message
    assert "hush" not in message


def test_a_file_of_keys_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS_FILE", str(home / "none"))
    assert f"cannot read PENGUIN_BLACKLIST_KEYS_FILE ({home / 'none'})" in refusal()
