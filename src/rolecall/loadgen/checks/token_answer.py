"""The content of an answer with a token: its JSON, its texts, and the parts of its JWT."""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any

import orjson
from pybase64 import b64decode

from rolecall.schema_validation import validation_errors
from rolecall.spec.ids import id_text

#: What a length lacks to whole groups of four; of the one that no text has, too much.
_PADDING = ("", "===", "==", "=")


_LONG = 19  # digits of a number that may have more than 64 bits


_MEMBERS = itemgetter("tokenType", "token", "refreshToken", "user", "scope")


Texts = tuple[str, str, str, str]


def read_json(body: bytes) -> Any:
    """The JSON in a body, None without any; as `Exchange.json` reads it, and 2.5 times as fast.

    Only whole numbers of more than 64 bits come out otherwise, as floats; they are no instants, and
    no counts.
    """
    try:
        return orjson.loads(body)
    except (
        orjson.JSONDecodeError
    ):  # other encodings, NaN, half characters: it is stricter than Python, which decides
        pass
    try:
        return json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG else float(digits)


def jwt_segment(text: str) -> Any:
    """The JSON in a part of a JWT, in base64url without padding (RFC 7515 2); None without any."""
    if "+" in text or "/" in text:
        return None
    try:
        data = b64decode(text + _PADDING[len(text) % 4], b"-_", validate=True)
        return orjson.loads(data) if len(data) == len(text) * 3 // 4 else None
    except orjson.JSONDecodeError:
        return read_json(data)
    except ValueError:
        return None


def texts_of(document: Any) -> Texts | None:
    """Token, refresh token, user and scope; None where schemas/token.schema.json is broken."""
    try:
        kind, token, refresh_token, user, scope = _MEMBERS(document)
    except (KeyError, TypeError):
        return None
    if (
        type(document) is dict
        and kind == "Bearer"
        and type(token) is type(refresh_token) is type(scope) is str
        and token
        and refresh_token
        and (user if type(user) is str else (user := id_text(user)))
        and scope
        and (
            (organization := document.get("organization")) is None
            or type(organization) is str
            or id_text(organization)
        )
        and ((expires := document.get("expiresAt")) is None or type(expires) is str)
    ):
        return token, refresh_token, user, scope
    return None


def id_as_text(document: dict[str, Any], member: str) -> str:
    """An id in a document, made a text there: ids are texts or numbers (AMB-19)."""
    value = document.get(member)
    if type(value) is str:
        return value
    document[member] = text = id_text(value)
    return text


def is_unicode(*texts: str) -> bool:
    """Whether texts can be sent again: JSON can hold half a surrogate pair."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def what_is_wrong(document: Any) -> str:
    """How an answer differs from schemas/token.schema.json, in words."""
    try:
        return (
            "; ".join(validation_errors("token", document))
            if document is not None
            else "it is not JSON"
        )
    except RecursionError:
        return "it is nested too deeply to be shown"


def shown(value: Any) -> str:
    """A value for people, cut."""
    try:
        return f"{value!r:.100}"
    except RecursionError:
        return "nested too deeply to be shown"
