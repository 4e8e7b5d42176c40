"""Running a program as an account that is not root, with no more rights than it takes to reach its files.

PostgreSQL refuses root. Nothing outside the given folder is changed to let the account in.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs a program; without a uid, the caller. `prefix` is a command that becomes the account by itself."""

    uid: int | None = None
    gid: int | None = None
    prefix: Sequence[str] = ()

    def run(self, command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
        """Run to the end in `directory`, in a session of its own: Ctrl-C on the caller does not reach it."""
        by_itself = bool(self.prefix)
        return subprocess.run(
            [*self.prefix, *command],
            cwd=directory,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            user=None if by_itself else self.uid,
            group=None if by_itself else self.gid,
            extra_groups=None if by_itself or self.uid is None else [],
        )

    def own(self, path: Path) -> None:
        """Give the account one file or folder; nothing happens when the account is the caller."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def step_down(owner: int | None, directory: Path, probe: Sequence[str]) -> Account | None:
    """From root to `owner` (or `nobody`): the first way by which it enters `directory` and `probe` succeeds there.

    Under a closed folder (a clone in a 0700 home) one capability leads in; containers often grant only the second.
    """
    entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    accounts = [Account(entry.pw_uid, entry.pw_gid)]
    if setpriv := shutil.which("setpriv"):
        # access(2), by which PostgreSQL checks its programs, heeds capabilities only without the set-uid fix-up.
        fixup = "--securebits=+no_setuid_fixup"
        identity = (setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", fixup)
        accounts += [
            Account(entry.pw_uid, entry.pw_gid, (*identity, f"--inh-caps=+{name}", f"--ambient-caps=+{name}"))
            for name in ("dac_read_search", "dac_override")
        ]
    enter = ("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(directory), *probe)
    return next((account for account in accounts if account.run(enter, directory).returncode == 0), None)
