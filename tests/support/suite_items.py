"""What the suite consists of: ``python -m tests.support.suite_items`` prints its tests with their
requirements, as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "conformance"


class Collector:
    """Keeps the tests that pytest finds."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep them."""
        self.items = session.items


def main() -> int:
    """Collect, and print."""
    collector, said = Collector(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main(
            [str(FOLDER), "--collect-only", "--capture=no", "--disable-plugin-autoload"],
            plugins=[collector],
        )
    if code:
        sys.stderr.write(said.getvalue())
        return int(code)
    tests = []
    for item in collector.items:
        mark = item.get_closest_marker("requirement")
        assert mark is not None
        assert isinstance(item, pytest.Function)
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        about = {"cell": str(parameters.get("cell", "")), "doc": item.obj.__doc__ or ""}
        tests.append({"id": item.nodeid, "name": item.name, "requirement": mark.args[0], **about})
    json.dump(tests, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
