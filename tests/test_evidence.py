"""The record of a run: who sent what, and what an answer says."""

from __future__ import annotations

import asyncio

import pytest

from rolecall.evidence import Evidence, Pieces, cite, note
from tests.exchanges import exchange


class TestExchange:
    """One request and its answer."""

    def test_its_sentence_hides_the_query(self) -> None:
        """The line that findings and errors show has no query: the specification puts a refresh token there."""
        it = exchange(url="http://target.example/v2/auth/token?refreshToken=secret-of-the-guest", status=403, number=7)

        assert str(it) == "GET /v2/auth/token as guest (token) -> 403 (exchange 7)"

    def test_one_without_an_answer_says_why(self) -> None:
        """Where a status is missing, the reason stands in its place."""
        assert "-> nobody listens there (exchange 1)" in str(exchange(status=0, error="nobody listens there"))

    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"token": "cut', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN'])
    def test_a_body_that_is_no_json(self, body: bytes) -> None:
        """Whatever a server sends instead of JSON, asking for the JSON gives None, and for the object an empty one."""
        it = exchange(body=body)

        assert it.json is None
        assert it.document == {}

    def test_halves_of_characters(self) -> None:
        """JSON can write half a character, which nothing can send or store: it is replaced before anybody stumbles over it."""
        it = exchange(body=rb'{"\ud800": ["\uDFFF half", "\ud83d\ude00 whole"]}')

        assert it.json == {"?": ["? half", "\U0001f600 whole"]}

    @pytest.mark.parametrize("body", [b"[1]", b'"text"', b"5", b"true", b"null"])
    def test_json_that_is_no_object(self, body: bytes) -> None:
        """JSON of another kind is no document, so nobody stumbles over a missing `get`."""
        assert exchange(body=body).document == {}

    def test_headers_are_found_in_any_case(self) -> None:
        """The first header of a name counts, however it is spelt."""
        it = exchange(headers=[("LINK", "one"), ("link", "two")])

        assert it.header("Link") == "one"
        assert it.header("x-other") == ""

    def test_its_time_is_utc_with_milliseconds(self) -> None:
        """Times are written as ISO 8601 in UTC, whatever the time zone of the machine."""
        assert exchange(at=1503620624.5).when == "2017-08-25T00:23:44.500Z"


class TestPieces:
    """Every test has the evidence that it collected itself, though all run at the same time."""

    def test_concurrent_tests_do_not_mix(self) -> None:
        """Of two tests that send at the same time, each gets its own exchanges, in their order."""
        evidence = Evidence()

        async def test(name: str) -> Pieces:
            with Evidence.collect() as pieces:
                for number in range(3):
                    evidence.record(method="GET", url=f"{name}/{number}", request_headers={}, request_body=b"", caller=name)
                    await asyncio.sleep(0.001)
                note(name)
            return pieces

        async def main() -> list[Pieces]:
            return list(await asyncio.gather(test("one"), test("two")))

        for name, pieces in zip(("one", "two"), asyncio.run(main()), strict=True):
            assert [it.url for it in pieces.exchanges] == [f"{name}/{number}" for number in range(3)]
            assert pieces.notes == [name]
        assert [it.number for it in evidence.exchanges] == [1, 2, 3, 4, 5, 6]

    def test_what_is_cited_counts_once(self) -> None:
        """A shared exchange that several tests rest on is in the evidence of each, once, under the name of its piece."""
        shared = exchange()
        for _ in range(2):
            with Evidence.collect() as pieces:
                cite(shared)
                cite(shared, "control")

            assert pieces.exchanges == [shared]
            assert pieces.named == {"control": shared}

    def test_outside_of_a_test_nothing_is_collected(self) -> None:
        """What is sent between tests, such as tidying up, belongs to no test that has ended."""
        with Evidence.collect() as pieces:
            pass
        cite(exchange())

        assert not pieces.exchanges
