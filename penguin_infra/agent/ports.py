"""What an agent needs of its node, as small protocols: the real ones read /proc and drive Postfix, a lab's pretend.

No code here; the real sides are `probes.py`, `postfix.py` and `link.py`.
"""

import time
from typing import Protocol

from penguin_infra.messages.telemetry import Probes


class NodeProbes(Protocol):
    """The node's state. Nothing here raises: what could not be read is None (or `unknown`)."""

    def boot_id(self) -> str:
        """The running kernel's id; a reboot changes it."""

    def read(self) -> Probes:
        """Everything as it is now, the mail queue included."""


class MailTransport(Protocol):
    """The outgoing transport of the node's MTA."""

    def state(self) -> str:
        """Read back from the MTA: `held`, `released`, or `unknown` (also: no MTA here)."""

    def hold(self) -> bool:
        """Let no mail out from now on; True when that was read back."""

    def release(self) -> bool:
        """Let mail out again, what waits first; True when that was read back."""

    def restart(self) -> bool:
        """Restart the MTA; True when that was done."""


class Clock:
    """The node's clock; a test gives another."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()
