"""JSON read strictly (RFC 8259, and no member twice) and written as the server sends it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

DEEPEST = 64

Document = dict[str, Any]


class NotJson(ValueError):  # says it better
    """The text is not JSON, or is JSON that two readers could understand differently."""


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise NotJson("a member appears twice")
    return document


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJson("a number is too large")
    return number


def _constant(text: str) -> None:
    raise NotJson(f"{text} is not JSON")


strict = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_constant)
lenient = json.JSONDecoder()
as_pairs = json.JSONDecoder(object_pairs_hook=list)

dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode


def loads(data: bytes, decoder: json.JSONDecoder = strict) -> Any:
    """What the bytes say, or NotJson."""
    try:
        text = data.decode("utf-8")
        if text.count("{") + text.count("[") > DEEPEST:
            _measure(text)
        return decoder.decode(text)
    except (ValueError, RecursionError) as problem:
        raise NotJson(str(problem)) from None


def _measure(text: str) -> None:
    """Refuse what is nested too deeply, before a recursive reader sees it."""
    depth = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
            if depth > DEEPEST:
                raise NotJson("nested too deeply")
        elif character in "}]":
            depth -= 1
