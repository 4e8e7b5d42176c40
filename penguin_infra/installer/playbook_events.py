"""What a playbook's events mean: a line to say, the failure in the host's own words, the sum at the end. No I/O.

The events are ansible-runner's, as `playbook_process.py` passes them on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_EXCERPT = 500

_DISK_FULL = "No space left on device"
# Said of any failure, by Ansible and by SSH; what the host said stands elsewhere in the result.
_EMPTY_WORDS = re.compile(
    r"(MODULE FAILURE.*|non-zero return code|Module result deserialization failed.*|One or more items failed|"
    r"Task failed: *|(Shared connection|Connection) to \S+ closed)?\.?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """The task that ended the playbook. `is_unreachable`: by the connection and not by the host."""

    role: str
    task: str
    words: str
    is_unreachable: bool

    def __str__(self) -> str:
        return f"{self.role}: {self.task}: {self.words}"


@dataclass(slots=True)
class PlaybookStory:
    """Follows one playbook on one host, event by event."""

    role: str = ""
    task: str = "starting Ansible"
    failure: Failure | None = None
    is_finished: bool = False
    changed: int = 0
    reported: dict[str, Any] = field(default_factory=dict)
    # Outside of any task: Ansible's own complaints, for the case that it does not even begin.
    complaints: list[str] = field(default_factory=list)

    @property
    def under_way(self) -> str:
        """The task that runs now."""
        return f"{self.role}: {self.task}" if self.role else self.task

    def read(self, event: Mapping[str, Any]) -> str | None:
        """Take one event; a line if it is worth one."""
        data: Mapping[str, Any] = event["data"]
        match event["event"]:
            case "playbook_on_task_start" | "playbook_on_handler_task_start":
                return self._begin(data)
            case "runner_on_ok" if data["res"].get("changed"):
                return f"{_role(data)}: {data['task']} (changed)"
            case "runner_on_failed" if not data.get("ignore_errors"):
                return self._fail(data, is_unreachable=False)
            case "runner_on_unreachable":
                return self._fail(data, is_unreachable=True)
            case "playbook_on_stats":
                self._finish(data)
            case "verbose" | "warning" | "error" if event["stdout"].strip():
                self.complaints = [*self.complaints[-9:], event["stdout"].strip()]
        return None

    def _begin(self, data: Mapping[str, Any]) -> str | None:
        role, self.task = _role(data), data["task"]
        if role == self.role:
            return None
        self.role = role
        return f"{role} begins"

    def _fail(self, data: Mapping[str, Any], *, is_unreachable: bool) -> str:
        words = host_words(data["res"])
        # A folder for Ansible's files that cannot be made looks like a lost connection to it.
        is_full = _DISK_FULL in words
        self.failure = Failure(_role(data), data["task"], words, is_unreachable and not is_full)
        return f"{self.failure.role}: {self.failure.task} failed: {words}"

    def _finish(self, data: Mapping[str, Any]) -> None:
        self.is_finished = True
        self.changed = sum(data["changed"].values())
        self.reported = dict(data["artifact_data"])


def host_words(result: Mapping[str, Any]) -> str:
    """What the host said of a failure, on one line and shortened to its end; nothing of what a task hides."""
    if "censored" in result:
        return "its output is hidden, it could hold a secret; look into the host's journal"
    failed = [item for item in result.get("results", ()) if isinstance(item, Mapping) and item.get("failed")]
    if failed:
        return host_words(failed[0])
    told = [str(result.get(name) or "").strip() for name in _SOURCES]
    chosen = next((text for text in told if text and not _EMPTY_WORDS.fullmatch(text)), "it said nothing")
    if any(_DISK_FULL in text for text in told) and _DISK_FULL not in chosen[-LONGEST_EXCERPT:]:
        chosen = f"{chosen} ({_DISK_FULL})"
    if _DISK_FULL in chosen and "disk is full" not in chosen:
        chosen = f"{chosen} (the host's disk is full)"
    return shorten(chosen)


# The nearest to the cause first.
_SOURCES = ("msg", "stderr", "module_stderr", "stdout", "module_stdout", "exception")


def shorten(text: str) -> str:
    """One line of at most 500 characters: the end of it, since commands come first and causes last."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_EXCERPT else f"...{line[3 - LONGEST_EXCERPT :]}"


def _role(data: Mapping[str, Any]) -> str:
    return str(data.get("role") or "host")
