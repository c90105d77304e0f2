"""Finds JWTs (RFC 7519) in a text, in linear time.

Only what looks like a signed one counts: three parts, of which the first is the beginning of a JSON
object in base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: What every header begins with: an opening brace and a quotation mark in base64.
BEGIN = "eyJ"
#: Characters of base64url and the dots between them. The class takes whatever follows, so no
#: character is looked at again and again.
_RUN = re.compile(r"[\w.-]{22,}", re.ASCII)
_SHORTEST_SIGNATURE = 16  # characters; no algorithm makes a shorter one
_ONE = re.compile(rf"{BEGIN}[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def jwts_in(text: str) -> Iterator[str]:
    """Every JWT in a text, from left to right, also behind characters of something else."""
    if BEGIN not in text:
        return
    for run in _RUN.findall(text):
        parts = run.split(".")
        number = 0
        while number < len(parts) - 2:
            header, claims, signature = parts[number : number + 3]
            begin = header.find(BEGIN)
            if (
                begin >= 0
                and len(header) > begin + len(BEGIN)
                and claims
                and len(signature) >= _SHORTEST_SIGNATURE
            ):
                yield f"{header[begin:]}.{claims}.{signature}"
                number += 3
            else:
                number += 1


def is_jwt(text: str) -> bool:
    """Whether the whole text is a JWT by its looks, however short its signature is."""
    return bool(_ONE.fullmatch(text))
