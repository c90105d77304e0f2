"""Fills in the templates of paths and bodies that the tables of operations hold."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rolecall.outcomes import Inconclusive
from rolecall.spec.ids import in_path

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ESCAPED = re.compile(r"\\\{\w+\\\}")  # a placeholder, as `re.escape` writes it
_WHOLE = re.compile(r"^\{(\w+)\}$")
#: Characters of a text that is searched for names in another spelling.
_LOOKED_THROUGH = 10_000
_BETWEEN = re.compile(r"[\W_]+")
#: The beginning of a run's name that no other name has: up to its number.
_UNIQUE = re.compile(r"rolecall\d{14}[0-9a-f]{6}\d+[a-z]")


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """A body with its placeholders replaced, without members whose placeholder has no value."""
    if isinstance(template, Mapping):
        filled = {key: fill(value, values) for key, value in template.items()}
        return {
            key: value
            for key, value in filled.items()
            if value is not None or template[key] is None
        }
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if whole := _WHOLE.match(template):
        return values.get(whole.group(1))
    return fill_text(template, values)


def fill_text(template: str, values: Mapping[str, Any]) -> str:
    """A text with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda match: str(values.get(match.group(1), "")), template)


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """A path with its placeholders replaced; a value stays within its segment, or its parameter
    (RFC 3986 2.1).

    Raises:
        Inconclusive: a value is missing; without an id the path would be that of the whole
            collection.
    """
    for name in _PLACEHOLDER.findall(template):
        if not str(values.get(name, "")).strip():
            raise Inconclusive(
                f"what stands for {{{name}}} in {template}", "the answer that should have told it"
            )
    return fill_text(template, {name: in_path(str(value)) for name, value in values.items()})


def path_pattern(template: str, value: str) -> str:
    """A regular expression of the paths that a template may become; ``value`` is one of what may
    take a placeholder's place.
    """
    return _ESCAPED.sub(value, re.escape(template))


def with_query(path: str, query: str) -> str:
    """A path with more in its query."""
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path


def in_address(name: str) -> str:
    """A name, or the beginning of names, as it stands in an e-mail address."""
    return f"rolecall.{name.removeprefix('rolecall-').replace('-', '.')}"


def bare(text: str) -> str:
    """The letters and digits of a text, in small letters: so the run's names are looked for, which
    a target may write in a way of its own (AMB-16), and an address has with dots.
    """
    return _BETWEEN.sub("", text).casefold()


@lru_cache(maxsize=4096)  # asked for with every item of every list
def mark_in(name: str) -> str:
    """What is looked for of a run's name, as `bare` has it: a target may cut names short."""
    found = _UNIQUE.match(letters := bare(name))
    return found[0] if found else letters


def bears(text: str, name: str) -> bool:
    """Whether a text holds a run's name; in a long text, which takes time, only as it was sent."""
    return name in text or (len(text) <= _LOOKED_THROUGH and mark_in(name) in bare(text))


def made_up_password() -> str:
    """A password of chance that every common policy takes: 20 characters of four kinds (AMB-21)."""
    kinds = (string.ascii_uppercase, string.ascii_lowercase, string.digits, "!@#$%^&*_-")
    letters = [secrets.choice(kind) for kind in kinds]
    letters += [secrets.choice(string.ascii_letters + string.digits) for _ in range(16)]
    secrets.SystemRandom().shuffle(letters)
    return "".join(letters)
