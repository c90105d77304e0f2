"""The pages of the documentation as data: blocks, commands, and the output that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Pages that are made from tables or by a program quote what others wrote.
MADE = {"requirements.md", "readings.md", "kill-table.md", "mutations.md"}
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in {*MADE, "CHANGELOG.md"}]

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(
    r"`((?:\.venv/bin/)?(?:rolecall|make|tox|pytest|locust|python|pre-commit) [^`]+)`"
)
_PROMPT = re.compile(r"^(?:\w*\$ +)(.*)$")
_VARYING = (
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\b[0-9a-f]{24}\b"), "ID"),
    (re.compile(r"(?<=rolecall\.load\.)[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"[-+]?\d[\d,.]*"), "0"),
    (re.compile(r": (no difference beyond noise|faster|slower)$"), ": COMPARED"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, without the indentation of a list that it is in."""

    page: Path
    language: str
    text: str

    @property
    def session(self) -> list[tuple[str, list[str]]]:
        """A console's commands, each with the lines that are shown as its output."""
        commands: list[tuple[str, list[str]]] = []
        for line in self.text.replace("\\\n", "").splitlines():
            if prompted := _PROMPT.match(line):
                commands.append((prompted[1], []))
            elif line.strip():
                assert commands, f"{self.page.name}: a console begins with a command: {line}"
                commands[-1][1].append(line)
        return commands


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page that are of one of these languages."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [
        Block(
            page,
            block[2],
            "".join(line.removeprefix(block[1]) for line in block[3].splitlines(keepends=True)),
        )
        for block in found
        if block[2] in languages
    ]


def commands(page: Path) -> list[str]:
    """Every command of a page: those of its consoles, and those within its sentences."""
    shown = [command for block in blocks(page, "console") for command, _ in block.session]
    return [*shown, *_INLINE.findall(page.read_text(encoding="utf-8"))]


def words(command: str) -> Iterator[list[str]]:
    """A command line's commands as words: without comments, redirections, variables before them and
    the folder of a tool.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    current: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|"):
            if current:
                yield [current[0].removeprefix(".venv/bin/"), *current[1:]]
            current = []
        elif current or not re.fullmatch(r"\w+=.*", word):
            current.append(word)


def without_redirection(command: list[str]) -> list[str]:
    """The words before the first > or 2>."""
    ends = [index for index, word in enumerate(command) if set(word) <= set("<>")]
    return command[: ends[0]] if ends else command


def shown_in(shown: Iterable[str], printed: str) -> list[str]:
    """Which of the lines that are shown as output are missing from it; they stand in their order,
    and numbers may differ.
    """
    lines = iter([alike(line) for line in printed.splitlines()])
    return [line for line in shown if line.strip() not in {"", "..."} and alike(line) not in lines]


def alike(line: str) -> str:
    """A line without what differs from run to run: numbers, ids, the width of columns."""
    for pattern, replacement in _VARYING:
        line = pattern.sub(replacement, line)
    return line.strip()
