"""Alters refresh tokens in a part, or makes ones that were never issued."""

from __future__ import annotations

from rolecall.outcomes import Inconclusive
from rolecall.tokens import claims_of

#: Every digit and letter, moved by one; those of hexadecimal numbers stay such.
_MOVED = str.maketrans(
    "0123456789" + "abcdef" + "ABCDEF" + "ghijklmnopqrstuvwxyz" + "GHIJKLMNOPQRSTUVWXYZ",
    "1234567890" + "bcdefa" + "BCDEFA" + "hijklmnopqrstuvwxyzg" + "HIJKLMNOPQRSTUVWXYZG",
)
#: Characters of a token that are altered, so that what they say is altered in every encoding.
PART = 8


def altered_end(token: str) -> str:
    """The refresh token with another end of the same length."""
    return token[:-PART] + token[-PART:].translate(_MOVED)


def altered_front(token: str) -> str:
    """The refresh token with another part before its secret; unchanged if it has none."""
    front, dot, secret = token.rpartition(".")
    return f"{front.translate(_MOVED)}{dot}{secret}"


def altered_beginning(token: str) -> str:
    """The token whose secret part, as the signature of a JWT, begins otherwise, and is as long."""
    front, dot, secret = token.rpartition(".")
    return f"{front}{dot}{secret[:PART].translate(_MOVED)}{secret[PART:]}"


def never_issued(token: str, user: str) -> str:
    """A refresh token of the same form with another secret, such as another signature.

    Raises:
        Inconclusive: there is nothing in it that could be another.
    """
    parts = token.split(".")
    kept = parts[:-1] if claims_of(token) else [part for part in parts if part == user]
    other = ".".join(part if part in kept else part.translate(_MOVED) for part in parts)
    if other == token:
        raise Inconclusive(
            "a refresh token with digits or letters, to make another of",
            "the form of the refresh token",
        )
    return other
