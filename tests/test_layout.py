"""The rules of the house that a reader can rely on: sizes, names, and one class of a name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.servers import ROOT

FOLDERS = ("src", "conformance", "load", "tests", "benchmarks")
MODULES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "foreign" not in path.parts
)
OURS = [
    path for path in MODULES if path.relative_to(ROOT).parts[0] in ("src", "conformance", "load")
]
#: Lines of a module and of a function, where neither says why it has more.
MOST_OF_A_MODULE, MOST_OF_A_FUNCTION = 400, 40
_REASON = re.compile(r"[Ll]onger than (400|40) lines|[Mm]ore than (400|40) lines")


def shown(path: Path) -> str:
    """A module's name in a message, and as a test's id."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_a_long_module_or_function_says_why(path: Path) -> None:
    """A module of more than 400 lines says why in its docstring, a function of more than 40
    in itself.
    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.splitlines()
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MOST_OF_A_FUNCTION
        and not _REASON.search(
            " ".join("\n".join(lines[node.lineno - 1 : node.end_lineno]).split())
        )
    ]

    assert long == []
    reason = " ".join((ast.get_docstring(tree) or "").split())
    assert len(lines) <= MOST_OF_A_MODULE or _REASON.search(reason), f"{len(lines)} lines"


def test_no_two_classes_have_one_name() -> None:
    """A search for a class of the product has one answer."""
    names = Counter(
        node.name
        for path in OURS
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert [name for name, count in names.items() if count > 1] == []
