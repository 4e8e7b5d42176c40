"""The Ansible project as it is shipped: whole, of built-in modules only, silent about secrets."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from penguin_infra.installer.playbook_run import PROJECT

ROLES = ("base", "firewall", "fail2ban", "postfix", "opendkim", "redis", "worker", "agent")

# Words of a task that are no module's name.
_KEYWORDS = frozenset({
    "name", "when", "loop", "register", "changed_when", "failed_when", "until", "retries", "delay", "notify", "vars",
    "no_log", "diff", "listen",
})  # fmt: skip


def task_files() -> list[Path]:
    return [file for file in PROJECT.rglob("*.yml") if file.parent.name in {"tasks", "handlers"}]


def all_tasks() -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in task_files():
        for task in yaml.safe_load(file.read_text()):
            yield file.relative_to(PROJECT), task


@pytest.mark.parametrize("playbook", ["site.yml", "restart.yml"])
def test_ansible_reads_every_playbook(playbook: str, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = {
        "PATH": os.defpath, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
    }  # fmt: skip
    done = subprocess.run(
        [program, "--syntax-check", "--inventory", "localhost,", PROJECT / playbook],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_every_role_is_there_and_used() -> None:
    assert {folder.name for folder in (PROJECT / "roles").iterdir()} == set(ROLES)
    [play] = yaml.safe_load((PROJECT / "site.yml").read_text())
    assert set(play["roles"]) == set(ROLES)


def test_only_modules_that_ansible_itself_brings_are_used() -> None:
    for file, task in all_tasks():
        [module] = set(task) - _KEYWORDS
        assert module.startswith("ansible.builtin."), f"{file}: {task['name']}"


def test_every_task_has_a_name_that_can_be_said() -> None:
    for file, task in all_tasks():
        assert re.fullmatch(r"[A-Z][^{}]{5,70}", task["name"]), f"{file}: {task}"


def test_what_differs_between_the_distributions_is_said_for_both() -> None:
    ubuntu, debian = (
        yaml.safe_load((PROJECT / f"roles/base/vars/{name}.yml").read_text()) for name in ("Ubuntu", "Debian")
    )
    assert set(ubuntu) == set(debian)
    look = (PROJECT / "tasks/look.yml").read_text()
    assert "Ubuntu 22[.]04|Debian 12" in look


def test_the_key_by_which_an_agent_holds_mail_is_nobodys_here() -> None:
    settings = yaml.safe_load((PROJECT / "roles/postfix/defaults/main.yml").read_text())["postfix_settings"]
    assert "defer_transports" not in settings
    replaced = [task for _, task in all_tasks() if "/etc/postfix/main.cf" in str(task)]
    assert not replaced


def test_no_template_holds_a_secret() -> None:
    for file in [*PROJECT.rglob("templates/*"), *PROJECT.rglob("vars/*"), *PROJECT.rglob("defaults/*")]:
        text = file.read_text()
        assert "agent_token" not in text, file
        assert "lookup(" not in text, file
        assert "PRIVATE KEY" not in text, file


def test_the_token_is_copied_as_a_file_and_not_shown() -> None:
    touching = [task for _, task in all_tasks() if "agent_token_file" in str(task)]
    assert touching
    assert all(task["no_log"] is True and "ansible.builtin.copy" in task for task in touching)


def test_host_keys_are_always_checked() -> None:
    text = "".join(file.read_text() for file in PROJECT.rglob("*") if file.is_file())
    assert "host_key_checking = true" in text
    assert "StrictHostKeyChecking" not in text


def test_a_wheel_holds_the_whole_project(tmp_path: Path) -> None:
    root = PROJECT.parents[2]
    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / "penguin_infra").symlink_to(root / "penguin_infra")
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with zipfile.ZipFile(tmp_path / "dist" / done.stdout.splitlines()[-1]) as wheel:
        packed = set(wheel.namelist())
    shipped = {
        file.relative_to(root).as_posix()
        for file in [*PROJECT.rglob("*"), *(PROJECT.parent / "worker").glob("*.py")]
        if file.is_file()
    }
    assert len(shipped) > 40
    assert shipped <= packed
