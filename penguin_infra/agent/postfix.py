"""Postfix, by its own commands: its outgoing transport held and released, restarted, up or down.

A host without Postfix is no error: the state is `absent` and nothing can be held. Not here: the queue
(`postfix_queue.py`).
"""

import logging
import os
import shutil
import subprocess
from pathlib import Path

from penguin_infra.agent.ports import MailTransport

_log = logging.getLogger(__name__)

OUTGOING = "smtp"

# Sbin is on root's path, not on everybody's.
SEARCH_PATH = os.pathsep.join((os.defpath, "/usr/local/sbin", "/usr/sbin", "/sbin"))

# `postfix stop` waits 5 s for deliveries to end before it kills them.
_COMMAND_TIMEOUT_SECONDS = 30.0


class Postfix(MailTransport):
    """The node's Postfix. `search_path` is where its commands are looked for."""

    def __init__(self, queue_folder: Path, search_path: str = SEARCH_PATH) -> None:
        self._queue_folder = queue_folder
        self._search_path = search_path
        # A process before this one may have been killed between the setting and the reload.
        self._must_reload = True

    def mta_state(self) -> str:
        """`up`, `down` or `absent`."""
        if self._command("postconf") is None:
            return "absent"
        try:
            pid = int((self._queue_folder / "pid" / "master.pid").read_text(encoding="ascii"))
            # The file outlives a killed master: only a living process of that name holds.
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
        except PermissionError:
            return "up" if self._run("postfix", "status") is not None else "down"
        except (OSError, ValueError):
            return "down"
        return "up" if name.strip() == "master" else "down"

    def state(self) -> str:
        """As `postconf` reads it back."""
        deferred = self._deferred_transports()
        if deferred is None:
            return "unknown"
        return "held" if OUTGOING in deferred else "released"

    def hold(self) -> bool:
        """Defer what would go out by SMTP; it waits in the queue."""
        return self._set_held(is_held=True)

    def release(self) -> bool:
        """Deliver again, and try at once what waits."""
        changed = self.state() != "released" or self._must_reload
        if not self._set_held(is_held=False):
            return False
        if changed and self.mta_state() == "up":
            self._run("postqueue", "-f")
        return True

    def restart(self) -> bool:
        """By the service manager where there is one, since it keeps the state."""
        if Path("/run/systemd/system").is_dir() and self._command("systemctl"):
            return self._run("systemctl", "restart", "postfix") is not None
        self._run("postfix", "stop")
        return self._run("postfix", "start") is not None

    def _set_held(self, *, is_held: bool) -> bool:
        deferred = self._deferred_transports()
        if deferred is None:
            return False
        if (OUTGOING in deferred) != is_held:
            # Other transports in the list are the operator's: they stay.
            wanted = [name for name in deferred if name != OUTGOING] + ([OUTGOING] if is_held else [])
            self._must_reload = True
            if self._run("postconf", "-e", f"defer_transports={' '.join(wanted)}") is None:
                return False
        if self._must_reload:
            # Without a running master there is nothing to reload: it will start with the setting.
            if self.mta_state() == "up" and self._run("postfix", "reload") is None:
                return False
            self._must_reload = False
        return self.state() == ("held" if is_held else "released")

    def _deferred_transports(self) -> list[str] | None:
        told = self._run("postconf", "-h", "defer_transports")
        return None if told is None else told.replace(",", " ").split()

    def _command(self, name: str) -> str | None:
        return shutil.which(name, path=self._search_path)

    def _run(self, name: str, *arguments: str) -> str | None:
        """The command's output, None when it is not there, failed or took too long."""
        program = self._command(name)
        if program is None:
            return None
        try:
            done = subprocess.run(
                (program, *arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMMAND_TIMEOUT_SECONDS,
                check=False,
                text=True,
                errors="replace",
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            _log.warning("%s %s: %s", name, " ".join(arguments), error)
            return None
        if done.returncode != 0:
            _log.warning("%s %s failed (%d): %s", name, " ".join(arguments), done.returncode, done.stderr.strip()[:500])
            return None
        return done.stdout
