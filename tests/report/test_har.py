"""``evidence.har``: HAR 1.2 as browsers and viewers read it, with every exchange in it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rolecall.report import har
from tests.conftest import Watched
from tests.support.exchanges import exchange

PAIRS = {
    "type": "array",
    "items": {
        "required": ["name", "value"],
        "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
    },
}
#: What http://www.softwareishard.com/blog/har-12-spec/ requires of the parts that a request on its
#: own has.
HAR = {
    "required": ["log"],
    "properties": {
        "log": {
            "required": ["version", "creator", "entries"],
            "properties": {
                "version": {"const": "1.2"},
                "creator": {"required": ["name", "version"]},
                "entries": {
                    "items": {
                        "required": [
                            "startedDateTime",
                            "time",
                            "request",
                            "response",
                            "cache",
                            "timings",
                        ],
                        "properties": {
                            "startedDateTime": {"type": "string", "format": "date-time"},
                            "time": {"type": "number", "minimum": 0},
                            "request": {
                                "required": [
                                    "method",
                                    "url",
                                    "httpVersion",
                                    "cookies",
                                    "headers",
                                    "queryString",
                                    "headersSize",
                                    "bodySize",
                                ],
                                "properties": {
                                    "url": {"pattern": "^https?://"},
                                    "headers": PAIRS,
                                    "queryString": PAIRS,
                                    "postData": {
                                        "required": ["mimeType", "text"],
                                        "properties": {"text": {"type": "string"}},
                                    },
                                },
                            },
                            "response": {
                                "required": [
                                    "status",
                                    "statusText",
                                    "httpVersion",
                                    "cookies",
                                    "headers",
                                    "content",
                                    "redirectURL",
                                    "headersSize",
                                    "bodySize",
                                ],
                                "properties": {
                                    "status": {"type": "integer"},
                                    "headers": PAIRS,
                                    "redirectURL": {"type": "string"},
                                    "content": {
                                        "required": ["size", "mimeType"],
                                        "properties": {"size": {"type": "integer"}},
                                    },
                                },
                            },
                            "timings": {"required": ["send", "wait", "receive"]},
                        },
                        # Members that are not of the format begin with an underscore.
                        "propertyNames": {
                            "pattern": "^(_.*|pageref|startedDateTime|time|request|response|cache"
                            "|timings|comment)$"
                        },
                    }
                },
            },
        }
    },
}


def entries(*them: Any) -> list[dict[str, Any]]:
    """The entries of a file with these exchanges, checked."""
    document = json.loads(
        har.write(har.document(them, lambda text: text.replace("secret", "<label>")))
    )
    Draft202012Validator(HAR).validate(document)
    found: list[dict[str, Any]] = document["log"]["entries"]
    return found


@pytest.mark.long
def test_of_a_whole_run(certified: Watched) -> None:
    """The file of a whole run is HAR 1.2, and has every request that crossed the wire."""
    document = json.loads((certified.finished.folder / "evidence.har").read_text(encoding="utf-8"))
    Draft202012Validator(HAR).validate(document)

    told = document["log"]["entries"]
    assert len(told) == certified.finished.results["requests"]
    assert sum(entry["_attempts"] for entry in told) == len(list(certified.tap.requests()))


def test_an_exchange() -> None:
    """Query, body, headers, status and times of an exchange stand where viewers look for them."""
    (entry,) = entries(
        exchange(
            "POST",
            "http://target.example/v2/users?a=1&b=c%20d",
            request_headers={"Content-Type": "application/json"},
            request_body=b'{"name":"\xc3\xbc"}',
            started=10.0,
            finished=10.25,
            at=1503620624.5,
            status=302,
            headers=[("Location", "http://elsewhere.example/"), ("Content-Type", "text/plain")],
            body=b"moved",
        )
    )

    assert entry["request"]["queryString"] == [
        {"name": "a", "value": "1"},
        {"name": "b", "value": "c d"},
    ]
    assert entry["request"]["postData"] == {"mimeType": "application/json", "text": '{"name":"ü"}'}
    assert entry["response"]["redirectURL"] == "http://elsewhere.example/"
    assert entry["response"]["content"] == {"size": 5, "mimeType": "text/plain", "text": "moved"}
    assert entry["time"] == 250.0 == sum(value for value in entry["timings"].values() if value >= 0)
    assert datetime.fromisoformat(entry["startedDateTime"]).timestamp() == 1503620624.5


def test_one_that_was_not_answered() -> None:
    """A request without an answer is in the file too, with status 0 and the reason, and its time is
    not below nothing.
    """
    (entry,) = entries(
        exchange(status=0, error="the answer was cut off", started=10.0, finished=0.0)
    )

    assert (entry["response"]["status"], entry["_error"], entry["time"]) == (
        0,
        "the answer was cut off",
        0,
    )


def test_bytes_that_are_no_text() -> None:
    """A body of any bytes leaves a file that is still JSON."""
    (entry,) = entries(exchange(body=bytes(range(256)), headers=[("x", "\xff\x80")]))

    assert entry["response"]["content"]["size"] == 256


def test_every_part_is_redacted() -> None:
    """URL, query, headers of both sides, bodies, Location and error pass the redaction."""
    archive = har.document(
        [
            exchange(
                url="http://t/secret?refreshToken=secret",
                request_headers={"authorization": "Bearer secret"},
                request_body=b"secret",
                headers=[
                    ("set-cookie", "secret"),
                    ("location", "http://t/secret"),
                    ("content-type", "secret/json"),
                ],
                body=b"secret",
                error="secret",
                http_version="HTTP/1.1",
            )
        ],
        lambda text: text.replace("secret", "<label>"),
    )
    text = har.write(archive)

    assert "secret" not in text
