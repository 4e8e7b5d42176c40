"""The agent: one loop, one thread, that follows the mail log, reports, and does what the gateway's answer says.

Its face for others: `Agent`, `AgentConfig`, `NodeProbes`, `MailTransport`, `Ended`. No signals, no globals, no
logging set-up: `__main__.py` does that.
"""

import threading
from enum import Enum

from penguin_infra.agent.config import AgentConfig
from penguin_infra.agent.ports import Clock, MailTransport, NodeProbes

__all__ = ["Agent", "AgentConfig", "Clock", "Ended", "MailTransport", "NodeProbes"]


class Ended(Enum):
    """Why `Agent.run` came back."""

    STOPPED = "stopped"
    RESTART = "restart"


class Agent:
    """One node's agent. Everything it keeps over a restart is in `config.spool_folder`."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        probes: NodeProbes | None = None,
        mta: MailTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._probes = probes
        self._mta = mta
        self._clock = clock or Clock()

    def run(self, stop: threading.Event) -> Ended:
        """Work until `stop` is set, or until told to restart; comes back within a request's time-out."""
        stop.wait()
        return Ended.STOPPED
