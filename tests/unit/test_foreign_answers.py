"""Tells which answers to a log-in the API did not give."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rolecall.foreign_answers import before_the_api, not_of_the_api

PAGE = {"content-type": "text/html; charset=utf-8"}


def header_of(fields: dict[str, str]) -> Callable[[str], str]:
    """As an answer gives its header fields."""
    return lambda name: fields.get(name, "")


@pytest.mark.parametrize(
    ("status", "fields", "body", "is_foreign"),
    [
        (302, {"location": "https://x.example/"}, b"", True),
        (304, {}, b"", False),
        (511, {}, b"", True),
        (200, PAGE, b"<title>Welcome</title>", True),
        (200, PAGE, b' {"token": "x"}', False),
        (200, {"content-type": "application/json"}, b"{}", False),
        (500, PAGE, b"<h1>Oops</h1>", False),
    ],
)
def test_an_answer_of_somebody_else(
    status: int, fields: dict[str, str], body: bytes, is_foreign: bool
) -> None:
    """A redirect, a portal and a page are; JSON that is only called a page is the server's own."""
    said = not_of_the_api(status, header_of(fields), body)

    assert bool(said) is is_foreign


def test_a_refusal_that_is_called_a_page() -> None:
    """A refusal in JSON is the server's own, whatever it is called."""
    assert before_the_api(header_of(PAGE), b'{"message": "no"}') == ""
    assert "a web page (No)" in before_the_api(header_of(PAGE), b"<title>No</title>")
