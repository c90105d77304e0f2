"""The content of an answer with a token: its JSON, its members, and the claims of its JWT."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

import orjson
from msgspec import DecodeError, Meta, Struct, ValidationError, convert, field
from msgspec.json import Decoder
from pybase64 import b64decode

from rolecall.loadgen.transport.wire import Response
from rolecall.schema_validation import validation_errors
from rolecall.spec.ids import id_text

#: What a length lacks to whole groups of four; of the one that no text has, too much.
_PADDING = ("", "===", "==", "=")
_LONG = 19  # digits of a number that may have more than 64 bits
Text = Annotated[str, Meta(min_length=1)]
#: Seconds since 1970 (RFC 7519 2): whole ones of 64 bits, or with a fraction.
Instant = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Meta(ge=0, lt=2**53)]


class TokenAnswer(Struct, rename="camel", gc=False):
    """schemas/token.schema.json as a type; an id that is a number has become a text (AMB-19)."""

    token_type: Literal["Bearer"]
    token: Text
    refresh_token: Text
    user: Text
    scope: Text


class Claims(Struct, gc=False):
    """Claims of an access token that are looked at; the user is a text, as above."""

    user: Text = field(name="_id")
    iat: Instant
    exp: Instant
    scope: Any = None
    jti: Any = None


Kind = TypeVar("Kind", TokenAnswer, Claims)

_answer_in, _claims_in = Decoder(TokenAnswer).decode, Decoder(Claims).decode
#: What a `Decoder` raises where the JSON is not of its type, or is read by Python alone.
_OTHER = (DecodeError, UnicodeDecodeError, RecursionError)


def read_json(body: bytes) -> Any:
    """The JSON in a body, None without any; as `Exchange.json` reads it, and 2.5 times as fast.

    Only whole numbers of more than 64 bits come out otherwise, as floats; they are no instants, and
    no counts.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # other encodings, NaN, half characters: it is stricter than Python, which decides
    try:
        return json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG else float(digits)


def is_said_to_be_json(response: Response) -> bool:
    """Whether the Content-Type of an answer is that of JSON (RFC 8259 11, RFC 6839 3.1)."""
    if b"application/json" in response.head:  # nearly always
        return True
    kind = (response.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


def what_is_wrong_with_the_body(name: str, response: Response, document: Any) -> str:
    """Why an answer to a read, with this JSON in its body, is none, in words; empty where it is."""
    if not isinstance(document, list | dict):
        return f"{name} is answered {response.status} without a JSON array or object"
    if not is_said_to_be_json(response):
        found = (response.header(b"content-type") or b"none").decode("latin-1")
        return f"{name} is answered {response.status} with JSON whose Content-Type is {found}"
    return ""


def token_answer_in(body: bytes) -> TokenAnswer | None:
    """The members of a token answer; None where it is none, or only `token_answer` can tell."""
    try:
        if not body.isascii():
            body.decode()  # a decoder does not look into members that it leaves out
        return _answer_in(body)
    except _OTHER:
        return None


def token_answer(document: Any) -> TokenAnswer | None:
    """The members of a token answer; None where schemas/token.schema.json is broken."""
    return _of_type(TokenAnswer, document, "user")


def jwt_claims(text: str) -> Claims | None:
    """The claims in the second part of a JWT; None without user, iat and exp."""
    data = _base64url(text)
    if data is None:
        return None
    try:
        if not data.isascii():
            data.decode()  # as above
        return _claims_in(data)
    except _OTHER:
        return _of_type(Claims, read_json(data), "_id")


def jwt_segment(text: str) -> Any:
    """The JSON in a part of a JWT; None without any."""
    data = _base64url(text)
    return None if data is None else read_json(data)


def _base64url(text: str) -> bytes | None:
    """What a part of a JWT encodes, in base64url without padding (RFC 7515 2); None if nothing."""
    if "+" in text or "/" in text:
        return None
    # letters of its own take their time, and names of arguments; JSON seldom has the letters
    letters = b"-_" if "-" in text or "_" in text else None
    try:
        data: bytes = b64decode(text + _PADDING[len(text) % 4], letters, True)
    except ValueError:
        return None
    return data if len(data) == len(text) * 3 // 4 else None


def _of_type(kind: type[Kind], document: Any, id: str) -> Kind | None:
    """A document as a struct, its id made a text; None where it is none."""
    if not isinstance(document, dict):
        return None
    known = {name: document[name] for name in kind.__struct_encode_fields__ if name in document}
    try:
        return convert({**known, id: id_text(document.get(id))}, kind)
    except (ValidationError, UnicodeEncodeError):  # the latter of half a character
        return None


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
