"""The record of a run: who sent what, and what an answer says."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rolecall.bounds import JSON_DEPTH, JSON_VALUES, KEPT, LEAST, WITHHELD
from rolecall.evidence import Evidence, Exchange, TestEvidence, cite, note, recalled
from rolecall.outcomes import Inconclusive
from tests.support.exchanges import exchange


class TestExchange:
    """One request and its answer."""

    def test_what_is_withheld_says_so(self) -> None:
        """Of a long body that redaction shows nothing of, its remark is shown; everything else
        loses its end, which may be half a secret.
        """
        long = exchange(body=b"x" * (4 * KEPT))

        assert long.shown(lambda text: WITHHELD) == WITHHELD
        assert long.shown(lambda text: "of many secrets") == ""

    def test_its_sentence_hides_the_query(self) -> None:
        """The line that findings and errors show has no query: the specification puts a refresh
        token there.
        """
        it = exchange(
            url="http://target.example/v2/auth/token?refreshToken=secret-of-the-guest",
            status=403,
            number=7,
        )

        assert str(it) == "GET /v2/auth/token as guest (token) -> 403 (exchange 7)"

    def test_one_without_an_answer_says_why(self) -> None:
        """Where a status is missing, the reason stands in its place."""
        assert "-> no server listens there (exchange 1)" in str(
            exchange(status=0, error="no server listens there")
        )

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b'{"token": "cut',
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"a": ' + b"1" * 5000,
            b'{"a": NaN',
            b'{"a": NaN}',
            b'{"a": -Infinity}',
            '{"a": 1}'.encode("utf-16"),
            '{"a": 1}'.encode("utf-16-le"),
            '{"a": 1}'.encode("utf-32"),
            b'{"a": "\xed\xa0\x80"}',
        ],
    )
    def test_a_body_that_is_no_json(self, body: bytes) -> None:
        """Whatever a server sends instead of JSON (RFC 8259), asking for the JSON gives None, and
        for the object an empty one.
        """
        answer = exchange(body=body)

        assert answer.json is None
        assert answer.document == {}
        assert not answer.is_json

    def test_null_is_json(self) -> None:
        """The JSON text ``null`` is not a torn body, though its document is None; what says that it
        is JSON and is not, is torn.
        """
        json = [("content-type", "application/JSON; charset=utf-8")]

        assert exchange(body=b" null\n", headers=json).is_json
        assert not exchange(body=b" null\n", headers=json).is_torn
        assert exchange(body=b"nul", headers=json).is_torn
        assert not exchange(body=b"nul").is_torn
        assert not exchange(headers=json).is_torn

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * (JSON_DEPTH + 1) + b"]" * (JSON_DEPTH + 1),
            b'{"a":' * (JSON_DEPTH + 1) + b"1" + b"}" * (JSON_DEPTH + 1),
            b"[" * 50_000 + b"]" * 50_000,
            b"[" + b"{}," * JSON_VALUES + b"{}]",
            b'{"a": ' + b"1" * 5000 + b"}",
        ],
        ids=["arrays", "objects", "deeper than Python reads", "wide", "a long number"],
    )
    def test_json_beyond_the_bounds(self, body: bytes) -> None:
        """JSON that is nested too deeply, or has too many values, is not looked at: nothing is
        proven by it, for or against.
        """
        answer = exchange(body=body, headers=[("content-type", "application/json")])

        for look in ("json", "document", "is_torn", "is_json"):
            with pytest.raises(
                Inconclusive, match=f"{JSON_VALUES:,} values and {JSON_DEPTH} levels"
            ):
                getattr(answer, look)

    def test_json_at_the_bounds(self) -> None:
        """JSON of exactly so many levels, and a list of many things, are read."""
        assert exchange(body=b"[" * JSON_DEPTH + b"]" * JSON_DEPTH).is_json
        assert len(exchange(body=b"[" + b'{"id":"1"},' * 1000 + b"{}]").json) == 1001

    def test_a_byte_order_mark(self) -> None:
        """A byte order mark is ignored, as RFC 8259 8.1 allows."""
        assert exchange(body=b'\xef\xbb\xbf{"a": 1}').json == {"a": 1}

    def test_its_sentence_is_short(self) -> None:
        """An id of a million characters in a path is shortened in sentences."""
        assert len(str(exchange(url=f"http://target.example/v2/users/{'x' * 1_000_000}"))) < 500

    def test_halves_of_characters(self) -> None:
        """JSON can write half a character, which nothing can send or store: it is replaced before
        anybody stumbles over it.
        """
        it = exchange(body=rb'{"\ud800": ["\uDFFF half", "\ud83d\ude00 whole"]}')

        assert it.json == {"?": ["? half", "\U0001f600 whole"]}

    @pytest.mark.parametrize("body", [b"[1]", b'"text"', b"5", b"true", b"null"])
    def test_json_that_is_no_object(self, body: bytes) -> None:
        """JSON that is not an object is not a document, so that `get` is always there."""
        assert exchange(body=body).document == {}

    def test_headers_are_found_in_any_case(self) -> None:
        """The first header of a name counts, however it is spelt."""
        it = exchange(headers=[("LINK", "one"), ("link", "two")])

        assert it.header("Link") == "one"
        assert it.header_lines("Link") == ["one", "two"]
        assert it.header("x-other") == ""

    def test_its_time_is_utc_with_milliseconds(self) -> None:
        """Times are written as ISO 8601 in UTC, whatever the time zone of the machine."""
        assert exchange(at=1503620624.5).when == "2017-08-25T00:23:44.500Z"


class TestRoom:
    """All answers of a run together have a bound; beyond it the oldest are kept in part, and say
    so.
    """

    @staticmethod
    def full(monkeypatch: pytest.MonkeyPatch, sizes: list[int], room: int) -> list[Exchange]:
        """The exchanges of a run with room for so many bytes, after answers of these sizes; one of
        them may be a secret's echo.
        """
        monkeypatch.setattr("rolecall.evidence.RUN_LIMIT", room)
        evidence = Evidence()
        answers = [
            exchange(body=b"x" * size, number=number) for number, size in enumerate(sizes, 1)
        ]
        for answer in answers:
            evidence.received(answer, lambda text: text)
        return answers

    def test_the_oldest_large_bodies_are_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The largest share of room is won back first, from the oldest; the newest stay whole, and
        so do small ones.
        """
        answers = self.full(monkeypatch, [100] + [200_000] * 50 + [100], 7_700_000)

        assert [len(answer.body) for answer in answers] == [100] + [KEPT] * 18 + [200_000] * 32 + [
            100
        ]

    def test_small_ones_are_cut_where_that_is_not_enough(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Thousands of small answers have a bound, too."""
        answers = self.full(monkeypatch, [10_000] * 100, 500_000)

        assert [len(answer.body) for answer in answers] == [LEAST] * 56 + [10_000] * 44

    def test_nothing_is_judged_by_a_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Asking for the JSON of a body that was kept in part says so; its length is known, and a
        report shows what there is.
        """
        cut = self.full(monkeypatch, [200_000] * 40, 7_000_000)[0]

        for look in ("json", "document", "text", "is_torn"):
            with pytest.raises(
                Inconclusive, match=f"{KEPT:,} of its 200,000 bytes are kept"
            ) as caught:
                getattr(replace(cut, headers=[("content-type", "application/json")]), look)
            assert "safety.md" in caught.value.look_at
        assert cut.length == 200_000
        assert cut.shown(str) == "x" * KEPT

    @pytest.mark.parametrize("begin", range(KEPT - 40, KEPT + 10, 7))
    @pytest.mark.parametrize("length", [KEPT + 100, KEPT * 3])
    def test_no_half_of_a_secret_is_left(self, begin: int, length: int) -> None:
        """A body is redacted before it is cut: wherever a secret stands, no part of it is left at
        the end.
        """
        secret = "0123456789abcdefghijklmnopqrstuvwxyz"  # no secret of anybody
        body = (b"-" * begin + secret.encode()).ljust(length, b"-")
        answer = exchange(body=body)

        def redact(text: str) -> str:
            return text.replace(secret, "<token-1>")

        assert secret[:6] not in answer.shown(redact)
        answer.shorten(KEPT, redact)
        assert secret[:6].encode() not in answer.body
        assert len(answer.body) <= KEPT

    def test_documents_are_forgotten(self) -> None:
        """Parsed large bodies are not kept, as they take many times their memory."""
        answers = [exchange(body=b"[" + b"0," * 100_000 + b"0]") for _ in range(40)]

        for answer in answers:
            assert len(answer.json) == 100_001

        assert sum(answer._json is not None for answer in answers) < 30
        assert answers[-1].json is answers[-1].json


class TestPieces:
    """Every test has the evidence that it collected itself, though all run at the same time."""

    def test_concurrent_tests_do_not_mix(self) -> None:
        """Of two tests that send at the same time, each gets its own exchanges, in their order."""
        evidence = Evidence()

        async def test(name: str) -> TestEvidence:
            with Evidence.collect() as pieces:
                for number in range(3):
                    evidence.record(
                        method="GET",
                        url=f"{name}/{number}",
                        request_headers={},
                        request_body=b"",
                        caller=name,
                    )
                    await asyncio.sleep(0.001)
                note(name)
            return pieces

        async def main() -> list[TestEvidence]:
            return list(await asyncio.gather(test("one"), test("two")))

        for name, pieces in zip(("one", "two"), asyncio.run(main()), strict=True):
            assert [entry.url for entry in pieces.exchanges] == [
                f"{name}/{number}" for number in range(3)
            ]
            assert pieces.notes == [name]
        assert [entry.number for entry in evidence.exchanges] == [1, 2, 3, 4, 5, 6]

    def test_what_is_cited_counts_once(self) -> None:
        """A shared exchange that several tests rest on is in the evidence of each, once, under the
        name of its piece.
        """
        shared = exchange()
        for _ in range(2):
            with Evidence.collect() as pieces:
                cite(shared)
                cite(shared, "control")

            assert pieces.exchanges == [shared]
            assert pieces.named == {"control": shared}

    def test_what_is_collected_within_a_test_is_its_own(self) -> None:
        """A part of a test whose evidence is kept apart is still that test's, with its memory."""
        evidence = Evidence()
        with Evidence.collect("test_a") as whole, Evidence.collect() as part:
            sent = evidence.record(
                method="GET",
                url="http://target.example/v2/users",
                request_headers={},
                request_body=b"",
                caller="guest (token)",
            )
            assert recalled("drawn", lambda: 3) == 3

        assert sent.test == "test_a"
        assert part.exchanges == [sent]
        assert whole.memory.kept == [("drawn", 3)]

    def test_outside_of_a_test_nothing_is_collected(self) -> None:
        """What is sent between tests, such as tidying up, belongs to no test that has ended."""
        with Evidence.collect() as pieces:
            pass
        cite(exchange())

        assert not pieces.exchanges
