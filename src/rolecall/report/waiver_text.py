"""What a person reads of waivers: what is waived and why, and entries to paste for new failures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.screen import harmless_document
from rolecall.wording import counted

#: Entries that are printed; of more failures the first ones are the causes.
MOST = 5


def text(results: Mapping[str, Any]) -> str:
    """Both blocks, or an empty string where there is nothing to say."""
    told_of = ("waivers", "waiver_file", "findings")
    results = harmless_document({name: results[name] for name in told_of if name in results})
    return "\n\n".join(filter(None, ("\n".join(_live(results)), "\n".join(_ready(results)))))


def _live(results: Mapping[str, Any]) -> Iterator[str]:
    """Every waiver that covered a failure, with its reason."""
    live = [waiver for waiver in results.get("waivers", ()) if waiver["state"] == "live"]
    if live:
        yield "Waived:"
    for waiver in live:
        tests = counted(len(waiver["failures"]), "test")
        yield (
            f"   {subject(waiver)}: {waiver['reason']} ({waiver['owner']}, until "
            f"{waiver['until']}; {tests}"
            f"{', first seen ' + waiver['first_seen'] if waiver['first_seen'] else ''})"
        )
        if waiver["link"]:
            yield f"      {waiver['link']}"


def subject(waiver: Mapping[str, Any]) -> str:
    """What a waiver covers, in a few words."""
    return f"{waiver['requirement']} {waiver['cell']}".rstrip()


def _ready(results: Mapping[str, Any]) -> Iterator[str]:
    """An entry for each new failure: the date and the reason are for a person to give."""
    if not results.get("waiver_file"):
        return
    failures = list(
        dict.fromkeys(
            (finding["requirement"], finding["cell"] or "") for finding in results["findings"]
        )
    )
    known = {
        (waiver["requirement"], waiver["cell"])
        for waiver in results["waivers"]
        if waiver["state"] == "expired"
    }
    new = [failure for failure in failures if failure not in known]
    if not new:
        return
    file = results["waiver_file"]
    yield f"To waive a failure, say why, who answers for it and until when, in {file}:"
    for requirement, cell in new[:MOST]:
        yield ""
        yield from entry(requirement, cell)
    if len(new) > MOST:
        yield ""
        yield f"... and {len(new) - MOST} more failures"


def entry(requirement: str, cell: str) -> Iterator[str]:
    """The lines of an entry that is refused until somebody has filled it in."""
    yield "[[waiver]]"
    yield f"requirement = {json.dumps(requirement)}"
    if cell:
        yield f"cell = {json.dumps(cell)}"
    yield 'reason = ""'
    yield 'owner = ""'
    yield 'link = ""'
    yield "# until = YYYY-MM-DD, its last day"
