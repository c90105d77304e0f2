"""Fills in the file of waivers when each was first and last seen; all else in it stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from rolecall.errors import UsageError
from rolecall.waivers import Waiver, located
from rolecall.whole_files import NotWrittenWhole, replace_file

_BLANK_OR_COMMENT = re.compile(r"[ \t]*(?:#.*)?\r?")


def note_seen(path: Path, text: str, seen: Iterable[Waiver], today: date) -> str:
    """Write into the file that these waivers were needed today; a sentence where that cannot be.

    Args:
        text: of the file, as the run read it; a file that was changed since then is left alone.
    """
    days = {
        waiver.line - 1: {"first_seen": waiver.first_seen or today, "last_seen": today}
        for waiver in seen
        if waiver.last_seen != today or waiver.first_seen is None
    }
    if not days:
        return ""
    said = f"{path}: first and last seen were not filled in: "
    try:
        path = path.resolve()  # a link stays one
        before = path.read_bytes()
        if before.decode("utf-8-sig") != text:
            return f"{said}the file was changed during the run"
        after = filled_in(before.decode(), days)
        replace_file(path, after.encode())
    except OSError as error:
        return f"{said}{error.strerror}"
    except NotWrittenWhole as error:
        return f"{said}{error.why}"
    except ValueError:
        return f"{said}write each setting on a line of its own"
    return ""


def filled_in(text: str, days: Mapping[int, Mapping[str, date]]) -> str:
    """The text with dates set; ``days`` has them by the index of the entry's first line.

    Raises:
        ValueError: the entries are written such that this cannot be done line by line.
    """
    if not text.endswith("\n"):
        text += "\r\n" if "\r\n" in text else "\n"
    lines = text.split("\n")
    entries = located(text.removeprefix("\ufeff"), "")
    for begin, end, _ in reversed(entries):
        if begin in days:
            lines[begin:end] = _entry(lines[begin:end], days[begin])
    new = "\n".join(lines)
    expected = [{**values, **days.get(begin, {})} for begin, _, values in entries]
    try:
        found = [values for _, _, values in located(new.removeprefix("\ufeff"), "")]
    except UsageError:
        found = []
    if found != expected:
        raise ValueError("the entries cannot be filled in")
    return new


def _entry(lines: list[str], dates: Mapping[str, date]) -> list[str]:
    """The lines of one entry with its dates: in their places, or behind its last setting."""
    ending = "\r" if lines[0].endswith("\r") else ""
    for name, day in dates.items():
        setting = re.compile(rf"([ \t]*{name}[ \t]*=[ \t]*)[^\s#]+(.*)")
        for number, line in enumerate(lines):
            if match := setting.fullmatch(line):
                lines[number] = f"{match[1]}{day.isoformat()}{match[2]}"
                break
        else:
            last = max(
                number for number, line in enumerate(lines) if not _BLANK_OR_COMMENT.fullmatch(line)
            )
            # it may have been the file's last
            lines[last] = lines[last].removesuffix("\r") + ending
            lines.insert(last + 1, f"{name} = {day.isoformat()}{ending}")
    return lines
