"""What stands in a replay for the secrets that the evidence does not hold.

The same label is the same secret. What the target gave out is made up, in the form that it had;
what a test made up (a password, a forged token) is found by laying its request beside the recorded
one.
"""

from __future__ import annotations

import base64
import random
import re
import string
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

_LABEL = re.compile(r"<(?:password|token|refresh-token|key|signing-key|cookie)-[A-Z]*\d+[A-Z]*>")
_LETTERS = {
    "9": string.digits,
    "a": string.ascii_lowercase,
    "A": string.ascii_uppercase,
    "f": "abcdef",
    "F": "ABCDEF",
}
_PASSWORD = 20  # characters
_LONGEST = 4096  # characters of a request that are laid beside each other


class StandIns:
    """The stand-ins of one replay, by label."""

    def __init__(self, shapes: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._shapes = shapes
        self._values: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """A recorded text with a stand-in in place of each label."""
        if "<" not in text:
            return text
        return _LABEL.sub(lambda match: self._value(match[0]), text)

    def filled(self, document: Any) -> Any:
        """The same for all texts of a JSON document."""
        if isinstance(document, dict):
            return {name: self.filled(value) for name, value in document.items()}
        if isinstance(document, list):
            return [self.filled(value) for value in document]
        return self.fill(document) if isinstance(document, str) else document

    def fits(self, recorded: str, sent: str) -> dict[str, str] | None:
        """Whether a text that is sent now is a recorded one, but for secrets that have no stand-in
        yet; those, by label. None if it is not.
        """
        recorded, sent = unquote(recorded), unquote(sent)
        if recorded == sent:
            return {}
        if "<" not in recorded or len(recorded) > _LONGEST or not _LABEL.search(recorded):
            return None
        match = _pattern(self._partly_filled(recorded)).fullmatch(sent)
        if match is None:
            return None
        names = _names(self._partly_filled(recorded))
        return {label: match[name] for label, name in names.items()}

    def bind(self, found: Mapping[str, str]) -> None:
        """Take what `fits` found for the stand-ins from now on."""
        self._values |= found

    def _partly_filled(self, text: str) -> str:
        return _LABEL.sub(lambda match: self._values.get(match[0], match[0]), text)

    def _value(self, label: str) -> str:
        if label not in self._values:
            self._values[label] = _made_up(label, self._shapes.get(label, ()))
        return self._values[label]


@cache
def _names(text: str) -> dict[str, str]:
    """A group's name for each label in a text."""
    labels = dict.fromkeys(_LABEL.findall(text))
    return {label: f"secret{number}" for number, label in enumerate(labels)}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Finds what stands in a text in place of its labels."""
    names, seen = _names(text), set()
    parts = []
    done = 0
    for match in _LABEL.finditer(text):
        label = match[0]
        parts.append(re.escape(text[done : match.start()]))
        parts.append(f"(?P={names[label]})" if label in seen else f"(?P<{names[label]}>.+?)")
        seen.add(label)
        done = match.end()
    return re.compile("".join((*parts, re.escape(text[done:]))), re.DOTALL)


def _made_up(label: str, shape: Sequence[Sequence[str]]) -> str:
    """A secret of this form, the same one whenever it is asked for; of a password the form is not
    known.
    """
    chance = random.Random(label)  # noqa: S311  # it opens nothing
    if not shape:
        return "Aa1-" + "".join(
            chance.choice(string.ascii_letters + string.digits) for _ in range(_PASSWORD - 4)
        )
    return "".join(_part(kind, text, chance) for kind, text in shape)


def _part(kind: str, text: str, chance: random.Random) -> str:
    if kind == "base64url":
        data = chance.randbytes(int(text))
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    if kind == "like":
        return "".join(
            chance.choice(_LETTERS[letter]) if letter in _LETTERS else letter for letter in text
        )
    return text
