"""Where an error tells a secret, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.test_secrecy import place_of

SECRET = "the-password-7Hq2"


def nested(depth: int) -> Any:
    """The secret in so many lists."""
    document: Any = SECRET
    for _ in range(depth):
        document = [document]
    return document


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"detail": [{"input": {"password": f"is {SECRET}"}}]}, ", at detail.0.input.password"),
        ({"a": {"b": "nothing"}, "c": SECRET}, ", at c"),
        ({"input": nested(5_000)}, ", at input.0.0.0.0.0.0.0.0.0.0.0..."),
        (SECRET, ""),
        ({"a": "nothing"}, ""),
        (None, ""),
    ],
    ids=["in-a-list", "after-others", "of-any-depth", "the-text-itself", "nowhere", "no-body"],
)
def test_where_an_error_tells_a_secret(body: Any, place: str) -> None:
    """The members that lead to it are named, as far as a reader follows them, at any depth."""
    assert place_of(SECRET, body) == place
