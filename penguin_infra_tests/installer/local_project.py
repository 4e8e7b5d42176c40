"""A playbook for this machine instead of a host: real Ansible, no SSH."""

import json
from pathlib import Path
from typing import Any

from penguin_infra.installer.installer import Host
from penguin_infra.installer.playbook_run import PlaybookRun
from penguin_infra.installer.ssh import SshAccess


def local_run(
    folder: Path, work: Path, host: Host, tasks: list[dict[str, Any]], *, timeout_seconds: float = 60
) -> PlaybookRun:
    """The run of a playbook of these tasks, under `work`; its project is in `folder`."""
    project = folder / "project"
    project.mkdir(exist_ok=True)
    (project / "ansible.cfg").write_text("[defaults]\ngathering = explicit\n")
    # JSON is YAML.
    (project / "site.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    key = folder / "key"
    key.touch(mode=0o600)
    return PlaybookRun(
        folder=work,
        playbook="site.yml",
        host=host,
        access=SshAccess(key, "root", 22),
        variables={"ansible_connection": "local"},
        timeout_seconds=timeout_seconds,
        project=project,
    )


def command(text: str, *, name: str = "Do it", **words: Any) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.command": {"cmd": text}, **words}
