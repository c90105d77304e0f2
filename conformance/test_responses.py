"""Every response of the run: JSON that says so, in the shape of its schema."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.outcomes import Finding, NotTested
from rolecall.schema_validation import validation_errors
from rolecall.spec.model import API_KEY, API_KEYS
from rolecall.toolkit.marks import SUMMARY, requirement
from rolecall.toolkit.responses import Responses, kinds
from rolecall.wording import first_few, shortened


@requirement("RESPONSE-json", phase=SUMMARY)
async def test_bodies_are_json_and_say_so(responses: Responses) -> None:
    """A response with a body is JSON, with Content-Type application/json or ...+json."""
    exchanges = responses.with_body()
    if not exchanges:
        raise NotTested("the run saw no success with a body")
    for exchange in exchanges:
        media_type = exchange.header("content-type").split(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Finding(
                "Content-Type: application/json",
                f"{media_type or 'none'} on a body of {exchange.length} bytes",
                exchange,
            )
        if not exchange.is_json:
            raise Finding("a body that is JSON", "one that is not", exchange)


@requirement("RESPONSE-schema", phase=SUMMARY)
@pytest.mark.parametrize("kind", kinds())
async def test_answers_have_the_shape_of_their_schema(kind: str, responses: Responses) -> None:
    """Every successful response of this kind validates against its schema."""
    exchanges = responses.of(kind)
    if not exchanges:
        raise NotTested(f"the run saw no {kind}", API_KEYS if kind == API_KEY else "")
    for exchange in exchanges:
        wrong = validation_errors(kind, exchange.json)
        if wrong:
            raise Finding(
                f"a {'list' if kind.endswith('-list') else 'body'} as in '{kind}.schema.json'",
                "; ".join(wrong) + _members_there(kind, exchange.json),
                exchange,
            )


def _members_there(kind: str, document: Any) -> str:
    """Where a thing without an id, or a list that is no array, is an object: which members it has
    instead, for the thing may be in one of them.
    """
    is_wrapped = isinstance(document, dict) and (kind.endswith("-list") or "id" not in document)
    names = [shortened(str(name), 30) for name in document] if is_wrapped else []
    return f" (the object there has {first_few(names, 5)})" if names else ""


@requirement("RESPONSE-error", phase=SUMMARY)
async def test_errors_are_as_the_vendors_client_reads_them(responses: Responses) -> None:
    """Every refusal with a body has error.message in it."""
    exchanges = responses.errors()
    if not exchanges:
        raise NotTested("the run saw no refusal with a body")
    for exchange in exchanges:
        wrong = validation_errors("error", exchange.json)
        if wrong:
            raise Finding("a body as in error.schema.json", "; ".join(wrong), exchange)
