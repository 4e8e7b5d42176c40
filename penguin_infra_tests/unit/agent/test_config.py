"""Settings and tokens that cannot be used are refused, with what to do."""

import json
from pathlib import Path

import pytest

from penguin_infra.agent.config import ConfigRefused, check_gateway_url, read_config
from penguin_infra.agent.link import read_token

MINIMUM = {
    "node_id": "n", "gateway_url": "https://gateway.example",
    "token_file": "/t", "spool_folder": "/s", "mail_log": "/l",
}  # fmt: skip


def config_file(folder: Path, **values: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(MINIMUM | values))
    return file


def test_the_minimum_is_enough(tmp_path: Path) -> None:
    config = read_config(config_file(tmp_path))
    assert config.token_file == Path("/t")
    assert config.heartbeat_seconds == 30


@pytest.mark.parametrize(
    "values",
    [
        {"node_id": ""},
        {"node_id": 5},
        {"hartbeat_seconds": 5},
        {"heartbeat_seconds": "5"},
        {"heartbeat_seconds": 0},
        {"heartbeat_seconds": True},
        {"ca_file": 5},
        {"gateway_url": "http://gateway.example"},
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(ConfigRefused, match=next(iter(values))):
        read_config(config_file(tmp_path, **values))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"node_id": "n"}'])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(ConfigRefused, match=r"config\.json"):
        read_config(file)


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.example/base",
        "http://127.0.0.1:8000",
        "http://127.9.9.9",
        "http://[::1]:1",
        "http://localhost:1",
    ],
)
def test_these_gateways_are_spoken_to(url: str) -> None:
    check_gateway_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://gateway.example", "http://192.0.2.1", "http://127.0.0.1.evil.example", "http://localhost.evil.example",
     "http://127.0.0.1@evil.example", "ftp://x", "gateway.example", "https://", "https://x:port", ""],
)  # fmt: skip
def test_these_gateways_are_refused(url: str) -> None:
    with pytest.raises(ConfigRefused, match="gateway_url"):
        check_gateway_url(url)


def test_a_private_token_is_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("abc.DEF-1\n")
    assert read_token(file) == "abc.DEF-1"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text("abc")
    file.chmod(mode)
    with pytest.raises(ConfigRefused, match=f"chmod 600 {file}"):
        read_token(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\r\nHost: evil", b"\xff\xfe"])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(ConfigRefused, match="no token"):
        read_token(file)


def test_a_token_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="cannot read the token"):
        read_token(tmp_path / "token")
