"""Many log files as one stream of lines: each prefixed with its program's name, followed through rotation."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


class LogFollower:
    """Follows one file from its present end; a rotated file is read to its end before the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._part = ""
        if path.exists():
            self._file = self._open()
            self._file.seek(0, 2)

    def read_lines(self) -> Iterator[str]:
        """Yield the whole lines that were written since the last call."""
        yield from self._read_open_file()
        if self._is_replaced():
            self.close()
            self._file = self._open()
            yield from self._read_open_file()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> TextIO:
        return self._path.open(errors="replace")

    def _is_replaced(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        return found.st_ino != os.fstat(self._file.fileno()).st_ino or found.st_size < self._file.tell()

    def _read_open_file(self) -> Iterator[str]:
        while self._file is not None and (chunk := self._file.read(65_536)):
            *lines, self._part = (self._part + chunk).split("\n")
            yield from lines


class LogStream:
    """The stream of all programs' files, printed whenever `print_news` is called."""

    def __init__(self, files: Mapping[str, Path], console: Console) -> None:
        self._followers = {name: LogFollower(path) for name, path in files.items()}
        self._width = max((len(name) for name in files), default=0)
        self._console = console

    def print_news(self) -> None:
        """Print what came since the last call."""
        for index, (name, follower) in enumerate(self._followers.items()):
            prefix = Text(f"{name:>{self._width}} │ ", style=COLOURS[index % len(COLOURS)])
            for line in follower.read_lines():
                self._console.print(prefix + Text.from_ansi(line), soft_wrap=True)

    def close(self) -> None:
        """Let go of the files."""
        for follower in self._followers.values():
            follower.close()
