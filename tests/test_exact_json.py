"""JSON that every reader understands alike: what is read, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.exact_json import InexactJSON, loads


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ('{"a": [1, -2.5e3, "x", true, false, null]}', {"a": [1, -2500.0, "x", True, False, None]}),
        ('{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        ("[" * 9 + "]" * 9, [[[[[[[[[]]]]]]]]]),
        ("9007199254740991", 2**53 - 1),
        ("-9007199254740991", 1 - 2**53),
        ('"\\ud800"', "\ud800"),
    ],
    ids=["values", "members", "levels", "largest", "least", "half-character"],
)
def test_what_means_one_thing_is_read(text: str, document: Any) -> None:
    """Ordinary JSON is read as by everybody, up to the largest whole number of JavaScript."""
    assert document == loads(text.encode())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1, "a": 1}', "two members of one name"),
        (b'{"a": 1, "\\u0061": 2}', "two members of one name"),
        (b'[{"b": {"a": 1, "a": 2}}]', "two members of one name"),
        (b"9007199254740992", "beyond 2^53"),
        (b"-9007199254740992", "beyond 2^53"),
        (b"1" * 5_000_000, "beyond 2^53"),
        (b"1e999", "too large"),
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b"[" * 101 + b"]" * 101, "nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested too deeply"),
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b'{"a": ', "cut off"),
        (b"", "not JSON"),
    ],
    ids=range(17),
)
def test_what_readers_could_tell_apart_is_refused(data: bytes, said: str) -> None:
    """Each is one sentence, without a word of the text itself."""
    with pytest.raises(InexactJSON, match=said.replace("^", r"\^")):
        loads(data)
