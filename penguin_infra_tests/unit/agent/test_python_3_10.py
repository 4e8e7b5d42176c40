"""What runs on a node is Python 3.10: its grammar, and no name of the standard library that came later."""

import ast
from pathlib import Path

import pytest

import penguin_infra

ROOT = Path(penguin_infra.__file__).parent
SOURCES = [ROOT / "__init__.py", *sorted((ROOT / "agent").glob("*.py")), *sorted((ROOT / "messages").glob("*.py"))]

LATER_NAMES = {
    "UTC",
    "StrEnum",
    "ExceptionGroup",
    "BaseExceptionGroup",
    "TaskGroup",
    "Self",
    "LiteralString",
    "assert_never",
}
LATER_MODULES = {"tomllib"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: f"{source.parent.name}/{source.name}")
def test_a_source_keeps_to_python_3_10(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 10))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module not in LATER_MODULES
            assert LATER_NAMES.isdisjoint(name.name for name in node.names)
        elif isinstance(node, ast.Import):
            assert LATER_MODULES.isdisjoint(name.name for name in node.names)
        elif isinstance(node, ast.Attribute):
            assert node.attr not in LATER_NAMES
        elif isinstance(node, ast.Name):
            assert node.id not in LATER_NAMES
        assert not isinstance(node, ast.TryStar)
