"""Reads JSON that has one meaning for every reader (RFC 7493, I-JSON).

Python takes the last of two members of one name, another reader the first; JavaScript rounds large
whole numbers. A document that such readers could tell apart is refused: what is verified has to be
what somebody else sees.
"""

from __future__ import annotations

import json
import math
from typing import Any

_EXACT = 2**53 - 1  # the largest whole number that every reader keeps (RFC 7493, 2.2)

_LEVELS = 100  # of arrays and objects in each other; a run's files have about ten


class InexactJSON(ValueError):
    """The text is not such JSON; the exception's text says why, and repeats nothing of it."""


def loads(data: bytes) -> Any:
    """The document in a file's bytes.

    Raises:
        InexactJSON: it is not UTF-8, is not JSON, is nested too deeply, has two members of one name
            in an object, or has a number that not every reader reads alike.
    """
    try:
        return _shallow(_DECODER.decode(data.decode("utf-8")))
    except InexactJSON:
        raise
    except UnicodeDecodeError:
        raise InexactJSON("it is not text in UTF-8") from None
    except RecursionError:
        raise InexactJSON("it is nested too deeply to be read") from None
    except ValueError:
        raise InexactJSON("it is not JSON, or was cut off") from None


def _shallow(document: Any) -> Any:
    """The document; refused is what code that walks through it could not reach the bottom of."""
    level = [document]
    for _ in range(_LEVELS):
        level = [
            value
            for inner in level
            if isinstance(inner, dict | list)
            for value in (inner.values() if isinstance(inner, dict) else inner)
        ]
        if not level:
            return document
    raise InexactJSON("it is nested too deeply to be read")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(members)
    if len(document) < len(members):
        raise InexactJSON("an object in it has two members of one name")
    return document


def _whole(digits: str) -> int:
    # Longer ones are not even converted: that takes time by the square of their length.
    if len(digits) > 17 or abs(number := int(digits)) > _EXACT:
        raise InexactJSON("a whole number in it is beyond 2^53, so readers round it")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InexactJSON("a number in it is too large to be read")
    return number


def _constant(name: str) -> None:
    raise InexactJSON(f"it holds {name}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_finite, parse_constant=_constant
)
