"""Runs one playbook by ansible-runner, as a process of its own: events go out as JSON lines, and no child outlives it.

Started by `playbook_run.py` as `python playbook_process.py RUN_FOLDER PROJECT PLAYBOOK`, with Ansible's settings in an
environment that holds nothing else. It ends everything when its standard input does: by the caller's wish or death.
A file by itself: no import from this package.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import ansible_runner

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

# What the caller reads; everything else stays here.
_TOLD = frozenset({
    "playbook_on_task_start", "playbook_on_handler_task_start", "runner_on_ok", "runner_on_failed",
    "runner_on_unreachable", "playbook_on_stats", "verbose", "warning", "error",
})  # fmt: skip


def main(run_folder: Path, project: Path, playbook: str) -> int:
    """Run the playbook to its end; the exit code is Ansible's."""
    _outlive_nobody()
    # Not in the run's folder: a socket's path has 107 bytes at most, and SSH needs 27 of them.
    sockets = Path(tempfile.mkdtemp(prefix=f"penguin-{run_folder.name}-"))
    folders = (run_folder, sockets)
    threading.Thread(target=_end_with_the_caller, args=folders, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: _end(*folders))
    runner = ansible_runner.run(
        private_data_dir=str(run_folder),
        project_dir=str(project),
        inventory=str(run_folder / "inventory.json"),
        playbook=playbook,
        quiet=True,
        event_handler=_tell,
        # Without one, ansible-runner would put its own signal handlers in place of ours.
        cancel_callback=lambda: False,
        settings={"suppress_output_file": True, "pexpect_timeout": 1},
        envvars={"ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets)},
    )
    _end_children()
    shutil.rmtree(sockets, ignore_errors=True)
    return int(runner.rc)


def _tell(event: dict[str, Any]) -> bool:
    """Pass an event on; False: no file is to be made of it."""
    if event["event"] in _TOLD:
        data = event.get("event_data") or {}
        told = {"event": event["event"], "data": data, "stdout": event.get("stdout", "")}
        sys.stdout.write(json.dumps(told, default=str) + "\n")
        sys.stdout.flush()
    return False


def _outlive_nobody() -> None:
    """Become the parent of every orphan below, and be told of the caller's death.

    Ansible's workers and SSH's shared connections leave their sessions: no process group holds them all.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_with_the_caller(*folders: Path) -> None:
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1):
            pass
    _end(*folders)


def _end(*folders: Path) -> NoReturn:
    """End everything below, and leave nothing on disk: a caller that was killed cannot."""
    _end_children()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(143)


def _end_children() -> None:
    # A new one may be born while another is ended: until none is left.
    for _ in range(200):
        children = _descendants()
        if not children:
            return
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _descendants() -> list[int]:
    """Every process below this one, by their parents alone.

    psutil tells a process from a later one of the same number by its starting time: where the clock was set meanwhile,
    it takes one of ours for a stranger's and spares it.
    """
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        # One that ends meanwhile has no parent to read.
        with suppress(OSError):
            told = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            below.setdefault(int(told.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: list[int] = []
    parents = [os.getpid()]
    while parents:
        children = below.get(parents.pop(), [])
        found += children
        parents += children
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
