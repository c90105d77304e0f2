"""Causes as blocks of text for a terminal: wrapped between words, but for lines that are pasted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rolecall.report.causes import Cause
from rolecall.report.curl import token_command
from rolecall.report.undecided import Undecided
from rolecall.screen import wrapped_line
from rolecall.wording import counted, first_few, shortened

_INDENT, _HANGING = " " * 3, " " * 13
_LONGEST_LINE = 1_000  # characters of a line to be pasted
_LABEL = re.compile(r"<[a-z-]+-\d+>")  # what redaction puts in the place of a secret
_ROLE = re.compile(r"([a-z]+\d*) \((token|api-key)\)")
#: Requirements that are shown with their names; all are in results.json.
_NAMED = 3
_LONGEST = 800  # characters of what was expected, or came


def findings(causes: Sequence[Cause], folder: str, width: int | None) -> Iterator[list[str]]:
    """A block for each cause; what an earlier one has said is not said again."""
    said: set[object] = set()
    for number, cause in enumerate(causes, 1):
        head = (
            f"{number}. {cause.requirement} ({cause.level}): {cause.kind}, {len(cause.tests)} of "
            f"{cause.total} tests ({first_few(cause.names, _NAMED)})"
        )
        # Forty-seven rows of the table that fail alike need one explanation.
        like = cause.requirement.partition("-")[0], cause.clause, cause.kind
        lines = wrapped_line(head, width, "", _INDENT)
        if not said & {cause.requirement, like}:
            lines += wrapped_line(f"{cause.statement}  [{cause.clause}]", width, _INDENT, _INDENT)
            lines += _line("follows", cause.step, width) if cause.step else []
        if like not in said:
            lines += _line("expected", cause.expected, width)
            lines += _line("actual", cause.actual, width)
            lines += _line("look at", cause.look_at, width)
        said |= {cause.requirement, like}
        yield lines + _proof(cause, folder)


def _proof(cause: Cause, folder: str) -> list[str]:
    """Two lines to be pasted, never wrapped; one of many screens is in the evidence."""
    is_shown = cause.curl and (len(cause.curl) <= _LONGEST_LINE or not cause.exchange)
    lines = [f"{_INDENT}{'try':<10}{cause.curl}"] if is_shown else []
    if cause.exchange:
        command = f"rolecall show {shlex.quote(folder)} {cause.exchange}"
        lines.append(f"{_INDENT}{'evidence':<10}{command}")
    return lines


def tokens(causes: Sequence[Cause], target: Mapping[str, Any], width: int | None) -> list[str]:
    """How to get the $TOKEN of the lines to try: one line for each role, ready to be pasted;
    ``target`` is that of results.json.
    """
    shown = [cause for cause in causes if cause.curl and "$TOKEN" in cause.curl]
    callers = dict.fromkeys(cause.caller for cause in shown)
    has_label = any(_LABEL.search(cause.curl or "") for cause in causes)
    lines = []
    for caller in callers:
        found = _ROLE.fullmatch(caller)
        command = token_command(found[1], target) if found else ""
        if found and found[2] == "token" and command:
            lines += [f"$TOKEN of {found[1]}:", command]
        elif found and found[2] == "api-key":
            text = f"$TOKEN of {caller}: an API key with that scope"
            lines += wrapped_line(text, width, "", _INDENT)
        elif caller:
            text = f"$TOKEN of {caller}: made by the test; the exchange shows what it was"
            lines += wrapped_line(text, width, "", _INDENT)
    if any("expired" in cause.expected for cause in shown):
        lines.append("Where an expired token is tested, wait for the end of that one.")
    if has_label:
        text = "<password-1> and the like: a secret that the run does not write down"
        lines += wrapped_line(text, width, "", _INDENT)
    return lines


def undecided(cause: Undecided, width: int | None) -> list[str]:
    """A block of what was left open: the cause, how much rests on it, and where to look."""
    lines = wrapped_line(cause.kind, width, _INDENT, _INDENT * 2)
    if cause.operations:
        lines += wrapped_line(first_few(cause.operations, 6), width, _INDENT * 2, _INDENT * 2)
    ids = cause.requirements
    count = counted(len(cause.tests), "test")
    lines += wrapped_line(f"{count} of {first_few(ids, _NAMED)}", width, _INDENT * 2, _INDENT * 2)
    if cause.look_at:
        more = f" (exchange {cause.exchange})" if cause.exchange else ""
        lines += wrapped_line(f"look at {cause.look_at}{more}", width, _INDENT * 2, _INDENT * 3)
    return lines


def summed_up(title: str, causes: Sequence[Undecided], width: int | None) -> list[str]:
    """One line for what needs no more: how many tests, of which requirements."""
    ids = list(dict.fromkeys(id for cause in causes for id in cause.requirements))
    number = sum(len(cause.tests) for cause in causes)
    text = f"{title}: {counted(number, 'test')} of {first_few(ids, _NAMED)}"
    return wrapped_line(text, width, "", _INDENT)


def advice(causes: Sequence[Cause], width: int | None) -> list[str]:
    """Hardening that failed, in one line."""
    if not causes:
        return []
    ids = list(dict.fromkeys(cause.requirement for cause in causes))
    number = sum(len(cause.tests) for cause in causes)
    text = (
        f"Advice (decides nothing): {counted(number, 'test')} of "
        f"{', '.join(ids)} failed; results.json has them"
    )
    return wrapped_line(text, width, "", _INDENT)


def _line(name: str, text: str, width: int | None) -> list[str]:
    text = shortened(text, _LONGEST)  # a target's words may be of any length
    return wrapped_line(f"{name:<10}{text}", width, _INDENT, _HANGING)
