"""Where hosts cannot run, a test is skipped with the reason, and in CI it fails with it."""

from collections.abc import Iterator

import pytest

from penguin_infra_tests.hosts.requirements import missing_parts, require_hosts


@pytest.fixture
def poor_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine, without any program."""
    monkeypatch.setenv("PATH", "/nonexistent")
    missing_parts.cache_clear()
    yield
    missing_parts.cache_clear()


def test_every_missing_part_is_named_with_its_package(poor_machine: None) -> None:
    said = "; ".join(missing_parts())

    assert "no mmdebstrap (apt-get install mmdebstrap)" in said
    assert "no systemd-nspawn (apt-get install systemd-container)" in said


def test_a_missing_part_skips_with_the_reason(poor_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(BaseException, match="real hosts cannot run here: no mmdebstrap") as ended:
        require_hosts()

    assert ended.type is pytest.skip.Exception


def test_a_missing_part_is_a_failure_in_ci(poor_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(BaseException, match="real hosts cannot run here: no mmdebstrap") as ended:
        require_hosts()

    assert ended.type is pytest.fail.Exception
