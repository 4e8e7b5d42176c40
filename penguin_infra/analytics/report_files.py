"""The folder of daily reports: a file a day, written whole or not at all, and the oldest ones removed.

What a report says is `fleet_report.py`'s.

    ReportError             a report cannot be had
    ├── NoSuchDay           of a day that is to come
    └── FolderNotWritable   the folder cannot be made or written
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import NamedTemporaryFile

# A quarter: what is older can be made anew from the tables. At five megabytes each they take half a gigabyte.
REPORTS_KEPT = 90

# Read by whoever serves or copies it; there is no secret in it.
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644

_NAME = re.compile(r"fleet-report-(\d{4}-\d{2}-\d{2})\.html\Z", re.ASCII)


class ReportError(Exception):
    """A report cannot be had; the message says what to do."""


class NoSuchDay(ReportError):
    """Asked for a day that is to come."""


class FolderNotWritable(ReportError):
    """The folder cannot be made or written."""


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A day's report on disk."""

    day: date
    path: Path
    size: int


def path_of(folder: Path, day: date) -> Path:
    """Where a day's report stands, or would."""
    return folder / f"fleet-report-{day.isoformat()}.html"


def write_file(path: Path, text: str) -> int:
    """Put the text in the file's place at once, readable by all; returns its bytes. Raises `FolderNotWritable`."""
    content = text.encode()
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        # Beside its place: a rename is one step within one file system only.
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            unfinished = Path(file.name)
            try:
                file.write(content)
                file.flush()
                unfinished.chmod(_FILE_MODE)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise FolderNotWritable(
            f"cannot write the report {path}: {error.strerror}; set PENGUIN_REPORT_FOLDER to a folder that can be "
            "written, or name another file"
        ) from None
    return len(content)


def list_files(folder: Path) -> Sequence[ReportFile]:
    """All reports, the newest first; none where there is no folder."""
    if not folder.is_dir():
        return []
    found = [file for path in folder.iterdir() if (file := _file_of(path))]
    return sorted(found, key=lambda file: file.day, reverse=True)


def remove_old(folder: Path, *, kept: int = REPORTS_KEPT) -> int:
    """Remove all but the newest reports; returns how many."""
    old = list_files(folder)[kept:]
    for file in old:
        file.path.unlink(missing_ok=True)
    return len(old)


def _file_of(path: Path) -> ReportFile | None:
    """None of what is no report: another name, a day that never was, or removed meanwhile."""
    matched = _NAME.match(path.name)
    try:
        return ReportFile(date.fromisoformat(matched[1]), path, path.stat().st_size) if matched else None
    except (ValueError, FileNotFoundError):
        return None
