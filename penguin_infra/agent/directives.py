"""What the gateway told this node to do: kept over a restart, carried out again until it is so.

Not here: the arithmetic of allowances (`allowance.py`), and Postfix (`postfix.py`).
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from penguin_infra.agent.allowance import hold_reason
from penguin_infra.agent.ports import MailTransport
from penguin_infra.agent.spool import Spool
from penguin_infra.messages.telemetry import Directive

_log = logging.getLogger(__name__)


class Directives:
    """The directive in force, and its effect on the MTA."""

    def __init__(self, spool: Spool, mta: MailTransport) -> None:
        self._spool = spool
        self._mta = mta
        self._directive: Directive | None = None
        self._told_at = 0.0
        self._wanted: str | None = None
        self._applied: str | None = None
        if kept := spool.kept("directive"):
            body = json.loads(kept)
            self._directive, self._told_at = Directive(**body["directive"]), float(body["told_at"])

    @property
    def version(self) -> int | None:
        """Of the directive in force."""
        return self._directive.version if self._directive else None

    @property
    def restart_done_id(self) -> str | None:
        """The last restart that was carried out."""
        return self._spool.kept("restart_done_id")

    def take(self, answer: Any, now: float) -> None:
        """Take a heartbeat's answer; an older version than the one in force is a late answer, and is left out."""
        try:
            directive = Directive.from_json(answer)
        except ValueError as error:
            _log.warning("the directive in force stays: %s", error)
            return
        if self._directive is not None and directive.version < self._directive.version:
            _log.warning("directive %d came after %d: left out", directive.version, self._directive.version)
            return
        self._directive, self._told_at = directive, now
        self._spool.keep({"directive": json.dumps({"directive": asdict(directive), "told_at": now})})

    def enforce(self, sent_by_hour: Mapping[int, int], now: float, *, is_check: bool) -> None:
        """Hold or release as the directive and the allowances say; `is_check`: read back even when nothing changed."""
        if self._directive is None:
            return
        reason = hold_reason(self._directive, now - self._told_at, sent_by_hour, now)
        wanted = "held" if reason else "released"
        # Between checks only a change is acted on: what failed is tried again with the next heartbeat, not each second.
        if not is_check and wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted == self._applied and self._mta.state() in {wanted, "unknown"}:
            return
        is_done = self._mta.hold() if reason else self._mta.release()
        if is_done and wanted != self._applied:
            _log.info("outgoing mail is %s%s", wanted, f": {reason}" if reason else "")
        self._applied = wanted if is_done else None

    def transport(self) -> str:
        """As the MTA reads it back; unknown while the wanted state could not be reached."""
        return "unknown" if self._directive is not None and self._applied is None else self._mta.state()

    def restart_wanted(self) -> str | None:
        """`mta` or `agent`, once for each restart id: it is noted before, so that no crash makes it twice."""
        directive = self._directive
        if directive is None or directive.restart == "none" or not directive.restart_id:
            return None
        if self._spool.kept("restart_tried_id") == directive.restart_id:
            return None
        self._spool.keep({"restart_tried_id": directive.restart_id})
        return directive.restart

    def restart_mta(self) -> None:
        """Restart the MTA; what failed is not reported as done."""
        if self._mta.restart():
            self.restart_done()
        else:
            _log.error("the MTA could not be restarted")
        # The new process reads its settings by itself, but nobody has read them back yet.
        self._applied = None

    def restart_done(self) -> None:
        """Report the wanted restart as done from now on."""
        if self._directive is not None and self._directive.restart_id:
            self._spool.keep({"restart_done_id": self._directive.restart_id})
