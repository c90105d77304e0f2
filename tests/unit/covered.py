"""Says what the unit tests cover of each module that decides: ``python -m tests.unit.covered``.

The exit code is 1 where less than ``fail_under`` of ``coverage.ini``, in per cent, is covered of a
module, of its branches or of its lines and branches together: an average hides the worst.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coverage import Coverage


def shares(summary: dict[str, Any]) -> tuple[float, float]:
    """What is covered in per cent, of lines and branches together and of branches alone, by the
    ``summary`` of a module in the JSON report.
    """
    count = summary["num_branches"]
    return summary["percent_covered"], 100 * summary["covered_branches"] / count if count else 100.0


def row(path: str, module: dict[str, Any]) -> str:
    """A module of the JSON report in one line: what is covered, and the lines and jumps that are
    not.
    """
    whole, branches = shares(module["summary"])
    lines = module["missing_lines"]
    left_out = [str(line) for line in lines] + [
        f"{begin}->{end if end > 0 else 'exit'}"
        for begin, end in module["missing_branches"]
        if not {begin, end} & {*lines}
    ]
    return f"{path:40} {whole:6.1f} % {branches:6.1f} %  {', '.join(left_out)}".rstrip()


def report(modules: dict[str, Any], least: float) -> tuple[list[str], list[str]]:
    """The table of all modules, and those of which less than ``least`` per cent is covered."""
    table = [f"{'module':40} {'covered':>8} {'branches':>8}  left out"]
    table += [row(path, module) for path, module in modules.items()]
    return table, [
        path for path, module in modules.items() if min(shares(module["summary"])) < least
    ]


def main() -> int:
    """Combine what all processes measured, and print the table."""
    measured = Coverage(config_file=str(Path(__file__).with_name("coverage.ini")))
    measured.combine()
    with TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        measured.json_report(outfile=str(path))
        modules = json.loads(path.read_text(encoding="utf-8"))["files"]
    least = float(str(measured.get_option("report:fail_under")))
    table, too_little = report(modules, least)
    print(*table, sep="\n")  # noqa: T201  # it is a command
    if too_little:
        print(f"less than {least:g} % is covered of {', '.join(too_little)}")  # noqa: T201  # as above
    return 1 if too_little else 0


if __name__ == "__main__":
    sys.exit(main())
