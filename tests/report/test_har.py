"""``evidence.har``: HAR 1.2 as browsers and viewers read it, with every exchange in it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft6Validator
from referencing import Registry
from referencing.jsonschema import DRAFT6

from rolecall.bounds import ARCHIVE_LIMIT, KEPT
from rolecall.report import har
from tests.conftest import Watched
from tests.support.exchanges import exchange


def _schema() -> Draft6Validator:
    """The published schema of HAR 1.2, whose files refer to each other by name."""
    data = json.loads((Path(__file__).parents[1] / "data" / "har-schema.json").read_text("utf-8"))
    resources = [
        (f"{name}.json", DRAFT6.create_resource(file)) for name, file in data["files"].items()
    ]
    return Draft6Validator(
        data["files"]["har"],
        registry=Registry().with_resources(resources),
        format_checker=Draft6Validator.FORMAT_CHECKER,
    )


#: Members of an entry that are not of the format begin with an underscore.
OURS = re.compile("_.*|pageref|startedDateTime|time|request|response|cache|timings|comment")


def check(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The file is as the schema has it; its entries."""
    _schema().validate(document)
    found: list[dict[str, Any]] = document["log"]["entries"]
    assert all(OURS.fullmatch(name) for entry in found for name in entry)
    return found


def entries(*them: Any) -> list[dict[str, Any]]:
    """The entries of a file with these exchanges, checked."""
    document = json.loads(
        har.write(har.document(them, lambda text: text.replace("secret", "<label>")))
    )
    return check(document)


@pytest.mark.long
def test_of_a_whole_run(certified: Watched) -> None:
    """The file of a whole run is HAR 1.2, and has every request that crossed the wire."""
    document = json.loads((certified.finished.folder / "evidence.har").read_text(encoding="utf-8"))
    told = check(document)
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


def test_it_left_when_it_left() -> None:
    """The start is when the request left for the last time; what it waited before is blocked."""
    (entry,) = entries(exchange(queued=7.0, started=10.0, finished=10.25, at=0.0, attempts=3))

    assert entry["startedDateTime"] == "1970-01-01T00:00:00.000Z"
    assert entry["timings"] == {"blocked": 3000.0, "send": 0, "wait": 250.0, "receive": 0}
    assert entry["time"] == 3250.0
    assert entry["comment"] == "exchange 1, as guest (token), sent 3 times"


def test_parameters_without_a_value_are_there() -> None:
    """A parameter without a value, or with an empty one, stands in the query."""
    (entry,) = entries(exchange(url="http://target.example/v2/users?a&b=&c=1"))

    assert [(pair["name"], pair["value"]) for pair in entry["request"]["queryString"]] == [
        ("a", ""),
        ("b", ""),
        ("c", "1"),
    ]


COOKIE = (
    "s=secret; Path=/; Domain=target.example; HttpOnly; Secure; SameSite=Lax; "
    "Expires=Wed, 21 Oct 2015 07:28:00 GMT"
)


def test_cookies_are_told() -> None:
    """The cookies of both sides stand where viewers look for them, with their attributes."""
    (entry,) = entries(
        exchange(
            request_headers={"Cookie": "a=1; b=x=y"},
            headers=[
                ("Set-Cookie", COOKIE),
                ("set-cookie", "plain"),
                ("set-cookie", "t=1; Expires=soon"),
            ],
        )
    )

    assert entry["request"]["cookies"] == [
        {"name": "a", "value": "1"},
        {"name": "b", "value": "x=y"},
    ]
    first, second, third = entry["response"]["cookies"]
    assert first == {
        "name": "s",
        "value": "<label>",
        "path": "/",
        "domain": "target.example",
        "httpOnly": True,
        "secure": True,
        "expires": "2015-10-21T07:28:00+00:00",
    }
    assert (second, third) == ({"name": "plain", "value": ""}, {"name": "t", "value": "1"})


def test_media_types_are_as_they_were() -> None:
    """The media types of both bodies keep their parameters."""
    given = "multipart/form-data; boundary=X"
    (entry,) = entries(
        exchange(
            "POST",
            request_headers={"CONTENT-TYPE": given},
            request_body=b"--X",
            headers=[("Content-Type", "text/html; charset=ISO-8859-1")],
        )
    )

    assert entry["request"]["postData"]["mimeType"] == given
    assert entry["response"]["content"]["mimeType"] == "text/html; charset=ISO-8859-1"


def test_bodies_are_bounded_together() -> None:
    """Two thousand long answers take no more than the limit, the short ones among them stay whole,
    and what is cut says so.
    """
    long, short = b"x" * KEPT, b"short"
    bodies = [short, *[long] * (2 * ARCHIVE_LIMIT // KEPT), short]
    archive = har.document([exchange(body=body) for body in bodies], str)

    contents = [entry["response"]["content"] for entry in archive["log"]["entries"]]
    assert ARCHIVE_LIMIT * 0.95 < sum(len(content["text"]) for content in contents) <= ARCHIVE_LIMIT
    assert contents[0]["text"] == contents[-1]["text"] == "short"
    assert "comment" not in contents[0]
    assert re.fullmatch(
        r"the first [\d,]+ characters of a body of 65,536 bytes", contents[1]["comment"]
    )
