"""One run of a playbook on one host: its private folder, its process, its events as lines, and its end at any price.

What the playbook is given is `ansible_installer.py`'s affair, what its events mean `playbook_events.py`'s.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penguin_infra.installer.host_keys import host_key_changed, known_hosts_line
from penguin_infra.installer.installer import Host, HostUnreachable, InstallFailed, Say
from penguin_infra.installer.playbook_events import PlaybookStory, shorten
from penguin_infra.installer.run_folders import write_private
from penguin_infra.installer.ssh import SshAccess, is_about_the_host_key

PROJECT = Path(__file__).with_name("project")
_PROCESS = Path(__file__).with_name("playbook_process.py")

# A task that takes longer is spoken of again: whoever listens may have to end the work meanwhile.
_QUIET_SECONDS = 15.0
# The process kills everything below it within a second or two; a machine in distress takes longer.
_END_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """What to run where, within which time. `folder` is private and the caller's to remove."""

    folder: Path
    playbook: str
    host: Host
    access: SshAccess
    variables: Mapping[str, Any]
    timeout_seconds: float
    project: Path = PROJECT

    def carry_out(self, say: Say) -> PlaybookStory:
        """Run it to its end.

        Errors: `HostUnreachable`, `InstallFailed`, `HostKeyChanged`; what `say` raises, after the run was ended.
        """
        self._prepare()
        story = PlaybookStory()
        with (self.folder / "stderr").open("wb") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-P", str(_PROCESS), str(self.folder), str(self.project), self.playbook],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=self.folder,
                env=self._environment(),
            )
        try:
            self._follow(process, story, say)
        finally:
            _end(process)
        self._judge(story)
        return story

    def _prepare(self) -> None:
        if self.host.host_key is None:
            raise InstallFailed(f"{self.host.label} was never contacted, its host key is not known: install it first")
        (self.folder / "known_hosts").write_text(
            known_hosts_line(self.host.ip_address, self.access.port, self.host.host_key), encoding="ascii"
        )
        connection = {
            "ansible_host": str(self.host.ip_address),
            "ansible_port": self.access.port,
            "ansible_user": self.access.user,
        }
        hosts = {self.host.label: {**connection, **self.variables}}
        write_private(self.folder / "inventory.json", json.dumps({"all": {"hosts": hosts}}))

    def _environment(self) -> dict[str, str]:
        """All that the process sees: this machine's own environment may hold secrets, and is not passed on."""
        shared = "-o ControlMaster=auto -o ControlPersist=60s"
        options = " ".join(f"'{option}'" for option in self.access.options(self.folder / "known_hosts"))
        return {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.project / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.access.key_file),
            "ANSIBLE_SSH_ARGS": f"{options} {shared}",
        }

    def _follow(self, process: "subprocess.Popen[bytes]", story: PlaybookStory, say: Say) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        deadline = time.monotonic() + self.timeout_seconds
        said_at = begun_at = time.monotonic()
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if now >= deadline:
                    raise self._too_late(story)
                if now - said_at >= _QUIET_SECONDS:
                    said_at = now
                    seconds = now - begun_at
                    say(story.under_way if seconds < _QUIET_SECONDS else f"{story.under_way}, for {seconds:.0f} s now")
                if not selector.select(timeout=min(1.0, deadline - now)):
                    continue
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    task = story.under_way
                    if text := story.read(json.loads(line)):
                        said_at = time.monotonic()
                        say(text)
                    if story.under_way != task:
                        begun_at = time.monotonic()

    def _judge(self, story: PlaybookStory) -> None:
        """Raise what the run's end calls for."""
        where = f"{self.host.label} at {self.host.ip_address}"
        if failure := story.failure:
            if is_about_the_host_key(failure.words):
                raise host_key_changed(self.host, None)
            if failure.is_unreachable:
                raise HostUnreachable(f"no connection to {where} any more, in {failure}. A repeat goes on from there")
            raise InstallFailed(f"{where}: {failure}")
        if not story.is_finished:
            told = (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")
            words = shorten("\n".join([*story.complaints, told]))
            raise InstallFailed(f"Ansible did not run to its end on {where}, in {story.under_way}: {words}")

    def _too_late(self, story: PlaybookStory) -> InstallFailed:
        return InstallFailed(
            f"{self.host.label} at {self.host.ip_address}: not done within {self.timeout_seconds:g} s; "
            f"under way was {story.under_way}. A repeat goes on from there"
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all that it started; it does so itself once its standard input is closed."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
