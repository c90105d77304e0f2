"""Checks each file for secrets before it is written: a leak is masked and its place is named.

Only what may hold other people's words is looked at. Names, enumerations and ids of our own are no
secrets, whatever a server calls one. What ``rolecall report`` makes later is made of documents that
were checked, by functions that know no secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from rolecall.redaction import Secrets

#: Members of our JSON files in which other people's words stand: texts, and all that is below them.
FOREIGN = {
    "results.json": frozenset(
        {
            "reason",
            "reasons",
            "subject",
            "expected",
            "actual",
            "look_at",
            "notes",
            "note",
            "curl",
            "left_behind",
        }
    ),
    "evidence.har": frozenset(
        {
            *("url", "name", "value", "text", "mimeType", "redirectURL", "_error"),
            *("path", "domain"),  # of cookies
        }
    ),
    "ledger.jsonl": frozenset({"id", "undo"}),
    "replay.json": frozenset({"target", "tests"}),
    "report.html": frozenset({"texts", "cells", "tests", "exchanges", "lines"}),
}
_OF_ALLURE = frozenset({"message", "trace"})
#: How lines of our plain text files begin that say nothing of anybody else's.
_HEADING = "### exchange "
#: What stands in the place of a secret.
_LABEL = re.compile(
    r"<((?:reversed |part of )?[a-z]+(?:-[a-z]+)?-(?:\d+|unlearnt)\b[^<>]*|not shown:[^<>]*)>"
)
#: The data of a page, its code and its styles, its tags, and what is between them.
_PIECES = re.compile(
    r"""(?s)(?P<data><script\ type="application/json"[^>]*>)(?P<json>.*?)</script>
    | <(?P<ours>script|style)\b.*?</(?P=ours)> | <[^>]*> | [^<]+ | <""",
    re.VERBOSE,
)


def masked(name: str, text: str, secrets: Secrets) -> tuple[str, list[str]]:
    """The text of the file ``name`` with its secrets masked, and the places where they stood."""
    if not secrets.stands_in(text):
        return text, []
    places: list[str] = []
    if name.endswith((".json", ".har")):
        document = _masked(json.loads(text), "", FOREIGN.get(name, _OF_ALLURE), secrets, places)
        return (json.dumps(document, indent=1) + "\n" if places else text), places
    if name.endswith(".xml"):
        return _masked_xml(text, secrets, places), places
    if name.endswith(".html"):
        return _masked_page(name, text, secrets, places), places
    lines = list(_masked_lines(text.split("\n"), secrets, places, is_json=name.endswith(".jsonl")))
    text = "\n".join(lines)
    return (_shown(text) if places and name.endswith(".md") else text), places


def _masked(
    document: Any,
    place: str,
    members: frozenset[str],
    secrets: Secrets,
    places: list[str],
    *,
    look: bool = False,
) -> Any:
    """A document with its secrets masked: in what stands under one of the ``members``, if we are
    not below one already.
    """
    if isinstance(document, dict):
        return {
            name: _masked(
                value,
                f"{place}.{name}".lstrip("."),
                members,
                secrets,
                places,
                look=look or name in members,
            )
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [
            _masked(value, f"{place}[{number}]", members, secrets, places, look=look)
            for number, value in enumerate(document)
        ]
    if look and isinstance(document, str) and secrets.found_in(document):
        places.append(place)
        return secrets.redact(document)
    return document


def _masked_xml(text: str, secrets: Secrets, places: list[str]) -> str:
    """JUnit's file: what a test says of itself is the only thing in it that is not ours."""
    suites = ElementTree.fromstring(text)  # noqa: S314  # written a moment ago by ourselves
    for case in suites.iter("testcase"):
        for element in case:
            for said in (element.get("message", ""), element.text or ""):
                if secrets.found_in(said):
                    places.append(f"{case.get('classname')} {case.get('name')}")
                    element.set("message", secrets.redact(element.get("message", "")))
                    element.text = secrets.redact(element.text or "")
                    break
    return (
        ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
        if places
        else text
    )


def _masked_page(name: str, text: str, secrets: Secrets, places: list[str]) -> str:
    """A page: its data, and all that a reader sees; its code and its styles are ours, and a browser
    runs them by their digests.
    """

    def piece(found: re.Match[str]) -> str:
        whole = found[0]
        if found["json"]:
            inside: list[str] = []
            document = _masked(json.loads(found["json"]), "", FOREIGN[name], secrets, inside)
            places.extend(inside)
            data = json.dumps(document).replace("<", "\\u003c")
            return f"{found['data']}{data}</script>" if inside else whole
        if found["ours"] or not secrets.found_in(whole):
            return whole
        places.append(f"character {found.start()}")
        if not whole.startswith("<"):
            return _shown(secrets.redact(whole))
        return f"<{_shown(secrets.redact(whole[1:-1]))}>"

    return _PIECES.sub(piece, text)


def _shown(text: str) -> str:
    """A text in which labels are no tags."""
    return _LABEL.sub(r"&lt;\1&gt;", text)


def _masked_lines(
    lines: list[str], secrets: Secrets, places: list[str], *, is_json: bool
) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.startswith(_HEADING) or not secrets.found_in(line):
            yield line
            continue
        if not is_json:
            places.append(f"line {number}")
            yield secrets.redact(line)
            continue
        found: list[str] = []
        document = _masked(
            json.loads(line), f"line {number}", FOREIGN["ledger.jsonl"], secrets, found
        )
        places += found
        yield json.dumps(document) if found else line
