"""Preconditions: a target that wants one gets it, and no other does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.toolkit.preconditions import Ask, Preconditions
from tests.support.exchanges import exchange

Sent = list[tuple[str, Mapping[str, str]]]


def written(*methods: str, wants: bool, **options: Any) -> tuple[list[int], Sent]:
    """What requests are answered, one after the other, and what was sent for them."""
    sent: Sent = []

    async def send(method: str, headers: Mapping[str, str] | None = None) -> Exchange:
        sent.append((method, headers or {}))
        return exchange(method, status=428 if wants and "if-match" not in (headers or {}) else 200)

    async def asked(ask: Ask) -> Exchange:
        return await ask()

    async def story() -> list[int]:
        preconditions = Preconditions()
        return [
            (
                await preconditions.answer(
                    method, partial(send, method, **options), options.get("headers"), asked
                )
            ).status
            for method in methods
        ]

    return asyncio.run(story()), sent


def test_a_precondition_that_is_wanted_is_given_from_then_on() -> None:
    """An update that is answered 428 is sent again with If-Match, and what follows has it at once;
    reads and creates have none.
    """
    answers, sent = written("PATCH", "DELETE", "PUT", "GET", wants=True)

    assert answers == [200, 200, 200, 428]
    given = {"if-match": "*"}
    assert sent == [
        ("PATCH", {}),
        ("PATCH", given),
        ("DELETE", given),
        ("PUT", given),
        ("GET", {}),
    ]


@pytest.mark.parametrize("methods", [("PATCH", "DELETE"), ("GET", "POST")])
def test_no_precondition_is_sent_to_who_wants_none(methods: tuple[str, ...]) -> None:
    """Where nothing is answered 428 no request has an If-Match."""
    answers, sent = written(*methods, wants=False)

    assert answers == [200, 200]
    assert sent == [(method, {}) for method in methods]


def test_other_headers_stay() -> None:
    """A request that brings headers of its own keeps them beside the precondition."""
    _, sent = written("DELETE", "DELETE", wants=True, headers={"accept": "*/*"})

    both = {"if-match": "*", "accept": "*/*"}
    assert sent == [("DELETE", {"accept": "*/*"}), ("DELETE", both), ("DELETE", both)]


MERGE_PATCH = "application/merge-patch+json"


def patched(refusal: Exchange, *, wanted: str) -> list[Mapping[str, str]]:
    """The headers of an update, as often as it is sent to a server that answers all but
    ``wanted`` with this refusal.
    """
    sent: list[Mapping[str, str]] = []

    async def send(headers: Mapping[str, str] | None = None) -> Exchange:
        sent.append(headers or {})
        is_understood = sent[-1].get("content-type") == wanted
        return exchange("PATCH", status=200) if is_understood else refusal

    async def asked(ask: Ask) -> Exchange:
        return await ask()

    asyncio.run(Preconditions().answer("PATCH", send, None, asked))
    return sent


@pytest.mark.parametrize(
    "options",
    [
        {"headers": [("Accept-Patch", MERGE_PATCH)]},
        {"headers": [("accept", f"{MERGE_PATCH}, text/plain")]},
        {"body": b'{"error":{"message":"Send application/merge-patch+JSON"}}'},
    ],
)
def test_an_update_is_a_merge_patch_where_the_target_says_so(options: dict[str, Any]) -> None:
    """An update that is answered 415, with the media type of merge patches named, is sent as one;
    where that is refused as well, that is the answer.
    """
    refusal = exchange("PATCH", status=415, **options)

    assert patched(refusal, wanted=MERGE_PATCH) == [{}, {"content-type": MERGE_PATCH}]
    assert patched(refusal, wanted="text/x") == [{}, {"content-type": MERGE_PATCH}]


def test_no_other_media_type_is_guessed() -> None:
    """A 415 that does not name merge patches is the answer."""
    assert patched(exchange("PATCH", status=415), wanted=MERGE_PATCH) == [{}]
