"""Which process is the PostgreSQL of a data folder: read from `postmaster.pid`, and not believed without proof.

A pid file outlives its server, and its pid may be a zombie's or a stranger's by now. Nothing is started here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Set on the server's command line: recognises the postmaster where its working directory may not be read.
DIRECTORY_SETTING = "penguin.directory"


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server that lives. It answers once `is_ready`."""

    process: psutil.Process
    port: int
    is_ready: bool


def find_postmaster(data: Path) -> Postmaster | None:
    """Find the server of a data folder, or None when it is gone, whatever the pid file says."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        process, port = psutil.Process(int(lines[0])), int(lines[3])
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    is_ready = len(lines) > 7 and lines[7].strip() == "ready"
    return Postmaster(process, port, is_ready) if _serves(process, data) else None


def find_server_processes(data: Path) -> Sequence[psutil.Process]:
    """Find all processes of the folder's server, also those whose postmaster was killed."""
    return [process for process in psutil.process_iter() if _serves(process, data)]


def _serves(process: psutil.Process, data: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            return False
        try:
            return process.cwd() == str(data.resolve())
        except psutil.AccessDenied:  # root in a container without CAP_SYS_PTRACE; macOS
            return f"{DIRECTORY_SETTING}={data}" in process.cmdline()
    except psutil.Error:
        return False
