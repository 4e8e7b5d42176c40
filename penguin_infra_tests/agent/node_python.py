"""Where Ubuntu 22.04's Python, 3.10, is on this machine, if it is: Debian has no package of it."""

import shutil
import subprocess
from pathlib import Path


def find_python_3_10() -> str | None:
    """One on the path or among pyenv's that really runs."""
    candidates = [shutil.which("python3.10"), *map(str, Path.home().glob(".pyenv/versions/3.10.*/bin/python"))]
    for candidate in filter(None, candidates):
        version = subprocess.run(
            [candidate, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if version.stdout.strip() == b"(3, 10)":
            return candidate
    return None
