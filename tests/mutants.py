"""Mutation testing of the deciding modules by mutmut: ``python -m tests.mutants``.

mutmut changes one thing in one function, a comparison, a number, a word, and runs the unit tests: a
mutant that none of them notices has survived. It is not to be confused with the mutations of the
suite (src/rolecall/selftest/mutations.py, docs/mutations.md), which are written by hand and are
about what conformance tests notice of servers.

mutmut follows import paths, so the packages are laid out in ``build/mutants`` as they are when
installed. The score of each module is printed. The exit code is 1 where one is below 90 %, or where
a survivor has no line in docs/mutants.md.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "mutants"
SURVIVORS = ROOT / "docs" / "mutants.md"
#: Per cent of a module's mutants that have to be noticed.
LEAST = 90.0
#: The modules, as they are when installed, and the tests that are to notice.
MODULES = {
    "harness/results.py": ["test_results.py", "test_waivers.py"],
    "toolkit/judge.py": [
        "test_judge.py",
        "test_judge_pieces.py",
        "test_judge_reads.py",
        "test_judge_rights.py",
        "test_judge_effects.py",
        "test_expectations.py",
        "test_participation.py",
    ],
    "toolkit/effect_judge.py": [
        "test_judge_effects.py",
        "test_judge_others.py",
        "test_judge_pieces.py",
        "test_judge_reads.py",
        "test_expectations.py",
    ],
    "toolkit/token_judge.py": ["test_token_judge.py", "test_claims.py"],
    "redaction.py": [
        "test_redaction.py",
        "test_redaction_parts.py",
        "test_redaction_shapes.py",
    ],
    "loadgen/objectives.py": [
        "test_objectives.py",
        "test_objectives_of_one_name.py",
        "test_aborting.py",
        "test_load_judgement.py",
    ],
    "loadgen/capacity/steps.py": [
        "test_capacity_steps.py",
        "test_capacity_scalability.py",
    ],
}
#: Where the packages are in a checkout, by where they are when installed.
PACKAGES = {"": "src/rolecall"} | {name: name for name in ("conformance", "load", "schemas")}
#: What unit tests read or import beside the packages.
BESIDE = ["conformance", "schemas"]
#: What stands in the place of a survivor's reason until it is known.
_OPEN = "why?"
_SCORE = re.compile(r"\| \d+ \| \d+ \| [\d.]+ % \|$")
#: How mutmut says that a mutant was noticed: the tests failed, or broke off, or took far too long.
NOTICED = (1, 3, 24, 36, -24)


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: its module, its function, and the line before and after."""

    module: str
    function: str
    before: str
    after: str

    @property
    def row(self) -> str:
        """Its row in docs/mutants.md, without the reason."""
        was, now = (_shown(text) for text in _apart(self.before, self.after))
        return f"| {self.module} | {self.function} | {was} | {now} |"


def lay_out(modules: list[str]) -> None:
    """Copy the packages to where mutmut can follow their imports, with its configuration."""
    shutil.rmtree(BUILD, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__")
    for name, folder in PACKAGES.items():
        shutil.copytree(ROOT / folder, BUILD / "rolecall" / name, ignore=ignore, dirs_exist_ok=True)
    for name in ("tests", *BESIDE):
        shutil.copytree(ROOT / name, BUILD / name, ignore=ignore)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pytest_table = project[project.index("[tool.pytest]") :].partition("\n[tool.ruff]")[0]
    tests = sorted({f"tests/unit/{name}" for module in modules for name in MODULES[module]})
    there = [path for path in tests if (ROOT / path).exists()]
    lines = [
        pytest_table,
        "[tool.mutmut]",
        'source_paths = ["rolecall"]',
        f"also_copy = {json.dumps(BESIDE)}",
        "use_git_change_detection = false",
        f"only_mutate = {json.dumps([f'rolecall/{module}' for module in modules])}",
        f"pytest_add_cli_args_test_selection = {json.dumps(there)}",
    ]
    (BUILD / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def judged(module: str) -> tuple[int, int, list[Survivor]]:
    """How many mutants of a module were noticed, of how many, and those that were not."""
    path = BUILD / "mutants" / "rolecall" / module
    codes = json.loads(path.with_name(f"{path.name}.meta").read_text(encoding="utf-8"))[
        "exit_code_by_key"
    ]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    survivors = []
    for key, code in codes.items():
        if code is None:
            raise SystemExit(f"{key} was not tried: mutmut was interrupted; run it again")
        if code not in NOTICED:
            name = key.rpartition(".")[2]
            whole = name.rpartition("__mutmut_")[0]
            lines = [
                ast.unparse(functions[form]).split("\n") for form in (f"{whole}__mutmut_orig", name)
            ]
            survivors.append(Survivor(module, _name(whole), *_changed(*lines)))
    return len(codes) - len(survivors), len(codes), survivors


def _name(mutmuts: str) -> str:
    """A function's name as Python has it: mutmut writes x_name, and xǁClassǁname."""
    return mutmuts.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")


def _changed(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that differ, as they were and as they are."""
    before, after = (
        [re.sub(r"__mutmut_\w+", "", line) for line in lines] for lines in (before, after)
    )
    changes = [line for line in difflib.ndiff(before, after) if line[:2] in ("- ", "+ ")]
    gone, new = (" ".join(line[2:].strip() for line in changes if line[0] == sign) for sign in "-+")
    return gone, new


def _apart(before: str, after: str) -> tuple[str, str]:
    """What differs in two lines, with the words around it."""
    pieces = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    front = pieces[0].size if pieces[0].a == pieces[0].b == 0 else 0
    back = (
        pieces[-2].size if len(pieces) > 1 and pieces[-2].a + pieces[-2].size == len(before) else 0
    )
    around = 24
    begin = max(0, front - around)
    return before[begin : len(before) - max(0, back - around)], after[
        begin : len(after) - max(0, back - around)
    ]


def _shown(text: str) -> str:
    return f"`{' '.join(text.split())}`".replace("|", "\\|") if text else "nothing"


def report(modules: list[str]) -> Iterator[str]:
    """Print the scores; what is wrong with them, in sentences."""
    explained = SURVIVORS.read_text(encoding="utf-8") if SURVIVORS.exists() else ""
    for module in modules:
        noticed, count, survivors = judged(module)
        score = 100 * noticed / max(count, 1)
        sys.stdout.write(f"{module:28} {noticed} of {count} mutants noticed: {score:.1f} %\n")
        if score < LEAST:
            yield f"{module}: the score is {score:.1f} %, and has to be {LEAST:g} %"
        for survivor in survivors:
            if survivor.row not in explained or f"{survivor.row} {_OPEN} |" in explained:
                yield f"docs/mutants.md has no reason for\n{survivor.row} {_OPEN} |"


def updated(text: str, modules: list[str]) -> str:
    """The page with the scores and survivors of these modules as they are now; a survivor keeps its
    reason, and a new one has none yet.
    """
    rows: list[str] = []
    kept: list[str] = []
    for line in text.splitlines():
        (rows if line.startswith(tuple(f"| {module} |" for module in MODULES)) else kept).append(
            line
        )
    scores = {row.split(" | ")[0].removeprefix("| "): row for row in rows if _SCORE.search(row)}
    told = [row.removesuffix(" |").rpartition("| ") for row in rows if not _SCORE.search(row)]
    reasons = {f"{front}|": reason for front, _, reason in told}
    survived = [row for row in reasons if not row.startswith(tuple(f"| {m} |" for m in modules))]
    for module in modules:
        noticed, count, survivors = judged(module)
        scores[module] = (
            f"| {module} | {noticed} | {count} | {100 * noticed / max(count, 1):.1f} % |"
        )
        survived += {survivor.row for survivor in survivors}
    tables = {
        "|---|---:|---:|---:|": [scores[module] for module in MODULES if module in scores],
        "|---|---|---|---|---|": [
            f"{row} {reasons.get(row, _OPEN)} |"
            for module in MODULES
            for row in sorted(survived)
            if row.startswith(f"| {module} |")
        ],
    }
    return "".join(f"{line}\n" for head in kept for line in (head, *tables.get(head, ())))


def main() -> int:
    """Run mutmut over the modules that are named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(MODULES)}")
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="at once; by default one a core",
    )
    parser.add_argument("--report", action="store_true", help="only tell of the last run")
    parser.add_argument(
        "--write", action="store_true", help="bring docs/mutants.md up to date, but for the reasons"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.modules) - set(MODULES))
    if unknown:
        parser.error(f"unknown module: {', '.join(unknown)}")
    modules = arguments.modules or list(MODULES)
    if not arguments.report:
        lay_out(modules)
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(arguments.processes)],
            cwd=BUILD,
            check=True,
        )
    if arguments.write:
        page = SURVIVORS.read_text(encoding="utf-8")
        SURVIVORS.write_text(updated(page, modules), encoding="utf-8")
    wrong = list(report(modules))
    sys.stdout.write("".join(f"{sentence}\n" for sentence in wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
