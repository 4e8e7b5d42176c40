"""Builds the agent's zipapp: one file, the same bytes for the same sources. Not part of what runs on a node."""

import sys
import zipfile
from pathlib import Path

_MAIN = b"import sys\n\nfrom penguin_infra.agent.__main__ import main\n\nsys.exit(main())\n"

# The oldest time that the format knows: an archive tells nothing of when and where it was built.
_TIME = (1980, 1, 1, 0, 0, 0)

_ROOMS = ("penguin_infra/agent", "penguin_infra/messages")


def build_archive(target: Path) -> Path:
    """Write the zipapp to `target`, from the sources beside this file."""
    root = Path(__file__).parents[2]
    sources = [root / "penguin_infra/__init__.py"]
    for room in _ROOMS:
        sources += sorted(file for file in (root / room).glob("*.py") if file.name != Path(__file__).name)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        # Stored, not compressed: compressors of different versions write different bytes.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _write(archive, "__main__.py", _MAIN)
            for source in sources:
                _write(archive, source.relative_to(root).as_posix(), source.read_bytes())
    unfinished.chmod(0o755)
    unfinished.replace(target)
    return target


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


if __name__ == "__main__":
    print(build_archive(Path(sys.argv[1])))
