"""What a lab node pretends: its probes, its outgoing transport, its restarts. The agent around them is the real one."""

import random
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from penguin_infra.lab.node_mail import NodeMail
from penguin_infra.lab.node_moods import USUAL, Mood, Scenario, mood_of
from penguin_infra.lab.node_postbox import Postbox
from penguin_infra.messages.telemetry import DelayReason, Mta, Probes


@dataclass
class SimulatedNode:
    """One node's pretended inside: implements what an agent needs of its host, and sends mail as time passes."""

    folder: Path
    seed: int
    scenario: Scenario = Scenario.CALM
    reboots: int = 0
    mood: Mood = USUAL
    mail: NodeMail = field(init=False)
    postbox: Postbox = field(init=False)
    _boot_id: str = field(default_factory=lambda: str(uuid4()))
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.mail = NodeMail(self.folder / "mail.log", seed=self.seed, first_id=time.time_ns())
        self.postbox = Postbox(self.folder / "queue")
        self._random = random.Random(self.seed)
        self.mood = mood_of(self.scenario)

    def play(self, scenario: Scenario) -> None:
        """Behave so from now on."""
        self.scenario, self.mood = scenario, mood_of(scenario)
        if scenario is Scenario.CALM:
            self.mail.empty_queue()

    def pass_time(self, seconds: float, now: datetime, *, factor: float = 1.0) -> None:
        """Send what the node sends in that time; `factor`: how much of its usual rate it is asked for."""
        mood = replace(self.mood, messages_per_minute=self.mood.messages_per_minute * factor)
        self.mail.pass_time(seconds, mood, is_held=self.is_held, now=now)

    @property
    def is_held(self) -> bool:
        """Whether no mail is let out. A file, as it is Postfix's configuration on a node: it outlives a restart."""
        return self._held_file.exists()

    @property
    def queued(self) -> int:
        """How many mails wait, real ones and pretended ones."""
        return self.mail.queue + self.postbox.count()

    def reboot(self) -> None:
        """Come up afresh: what was stuck is not any more."""
        self._boot_id = str(uuid4())
        self.reboots += 1
        if self.scenario in {Scenario.SILENCE, Scenario.MTA_DOWN}:
            self.play(Scenario.CALM)

    def resize(self) -> None:
        """Come up afresh on another plan: it is large enough for what flooded it."""
        self._boot_id = str(uuid4())
        if self.scenario is Scenario.FLOOD:
            self.play(Scenario.CALM)

    # What the agent asks of its host.

    def boot_id(self) -> str:
        """The running kernel's id; a reboot changes it."""
        return self._boot_id

    def read(self) -> Probes:
        """Everything as it is now."""
        busy = min(1.0, self.mood.messages_per_minute / 600)
        cpu_percent = 3 + 80 * busy if self.mood.cpu_percent is None else self.mood.cpu_percent - 2
        return Probes(
            cpu_percent=round(cpu_percent + self._random.uniform(0, 4), 1),
            memory_percent=round(38 + self._random.uniform(-1, 1), 1),
            disk_percent=round(21 + min(60, self.mail.queue / 1000), 1),
            rx_bytes_per_second=round(900 + 400 * self.mood.messages_per_minute),
            tx_bytes_per_second=round(1_200 + 900 * self.mood.messages_per_minute),
            mta=self._mta(),
        )

    def state(self) -> str:
        """Whether the outgoing transport is held, read back."""
        return "held" if self.is_held else "released"

    def hold(self) -> bool:
        """Let no mail out."""
        self._held_file.touch()
        return True

    def release(self) -> bool:
        """Let mail out again."""
        self._held_file.unlink(missing_ok=True)
        return True

    def restart(self) -> bool:
        """Restart the mail server."""
        if self.scenario is Scenario.MTA_DOWN:
            self.play(Scenario.CALM)
        return True

    @property
    def _held_file(self) -> Path:
        return self.folder / "held"

    def _mta(self) -> Mta:
        """The queue, apart by what it waits for. A mail that piles up is late already: a thousand of them are old."""
        if self.mood.is_mta_down:
            return Mta(state="down")
        waiting, put_off = self.mail.waiting, self.mail.put_off + self.postbox.count()
        reasons = (DelayReason("host said: 421 4.7.0 try again later", put_off),) if put_off else ()
        return Mta(
            state="up",
            active=waiting,
            deferred=put_off,
            held=0,
            oldest_age_seconds=min(3_600, self.queued) if self.queued else None,
            delay_reasons=reasons,
        )
