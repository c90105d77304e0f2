"""A week of nights: what each night's summary says, and on which nights somebody is told.

The server is one process whose clock moves a day a night, and the command's own clock moves with
it. Between them stands a relay that lets single answers be wrong on the nights that a test says.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rolecall.tokens import claims_of
from tests.conftest import Reference
from tests.support.command import environment
from tests.support.miniatures import Connection, Miniature, Received, response
from tests.support.servers import FORK, _run, advance, serving

DAY = 86_400
#: What is wrong on some nights, and where: deletions that succeed are answered 206; and the
#: first update of a service that a key is refused is answered 500, but not the next one.
BROKEN, FLAKY, WAIVED = "PERM-delete-contact", "PERM-update-service", "PERM-delete-form"
PATHS = {BROKEN: "/v2/contacts/", WAIVED: "/v2/forms/"}
NIGHTS: Mapping[int, Collection[str]] = {
    0: {WAIVED},
    1: {WAIVED},
    2: {WAIVED, FLAKY},
    3: {WAIVED, BROKEN},  # it comes
    4: {WAIVED, BROKEN, FLAKY},
    5: {WAIVED},  # it has gone
    6: {WAIVED},  # and nobody answers for this one any more
    7: {WAIVED, FLAKY},
}
#: The waiver's last day is the fifth night's; the night of the setting up is number 0.
LAST_DAY = 5
WAIVER = f"""
[[waiver]]
requirement = "{WAIVED}"
reason = "answers 206 until the migration"
owner = "team-forms"
until = {{until}}
"""


@dataclass
class Relay:
    """Passes requests on, and answers some as the server would not; ``wrong`` names them."""

    url: str
    wrong: Collection[str] = ()
    _lines: dict[int, http.client.HTTPConnection] = field(default_factory=dict)

    def __call__(self, request: Received, connection: Connection) -> None:
        """Answer one request."""
        line = self._lines.setdefault(
            request.connection, http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        )
        # With the Host of the relay: links in the answers lead there.
        try:
            line.request(request.method, request.path, request.body or None, request.headers)
        except ValueError:  # a malformed header, which any server may refuse
            line.close()
            connection.send(response(400))
            return
        answer = line.getresponse()
        body, status = answer.read(), answer.status
        kept = {
            name.replace("-", "_"): value
            for name, value in answer.getheaders()
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server")
        }
        is_wrong = any(request.path.startswith(PATHS.get(name, " ")) for name in self.wrong)
        if is_wrong and request.method == "DELETE" and status in (200, 204):
            status = 206
        if FLAKY in self.wrong and status == 403 and _updates_a_service_with_a_key(request):
            self.wrong = set(self.wrong) - {FLAKY}
            status = 500
        connection.send(response(status, body, **kept))

    def close(self) -> None:
        """Close the connections to the server."""
        for line in self._lines.values():
            with suppress(OSError):
                line.close()


def _updates_a_service_with_a_key(request: Received) -> bool:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    is_update = request.method in ("PUT", "PATCH") and "/v2/services/" in request.path
    return is_update and claims_of(token).get("grant_type") == "api_key"


def _night(words: list[str], variables: dict[str, str], days: int, *said: Path) -> None:
    """In a process of its own: the command, some days later."""
    real = time.time
    time.time = lambda: real() + days * DAY
    _run(words, variables, *said)


@dataclass(frozen=True)
class Night:
    """What a night left: the exit code, results.json, summary.md, and what was told."""

    code: int
    results: dict[str, Any]
    summary: str
    told: str


@dataclass(frozen=True)
class Week:
    """A server, a relay before it, and a folder with the target file, runs and what was told."""

    folder: Path
    relay: Relay
    server: str
    select: str

    def night(self, number: int, target: str = "target.toml") -> Night:
        """Run one night; afterwards a day has passed."""
        self.relay.wrong = NIGHTS.get(number, ())
        told = self.folder / "told"
        told.unlink(missing_ok=True)
        before = set(self._runs())
        words = ["certify", target, "--since", "last", "--waivers", "waivers.toml"]
        words += ["--quiet", "--notify", f"{sys.executable} tell.py"]
        words += ["--select", self.select] if self.select else []
        said = [self.folder / f"{number}.{stream}" for stream in ("stdout", "stderr")]
        process = FORK.Process(
            target=_night, args=(words, environment(**Reference.env), number, *said)
        )
        process.start()
        process.join(300)
        assert process.exitcode is not None, "the night does not end"
        errors = said[1].read_text(encoding="utf-8")
        assert "--notify" not in errors, errors
        (folder,) = set(self._runs()) - before
        advance(self.server, DAY)
        return Night(
            process.exitcode,
            json.loads((folder / "results.json").read_text(encoding="utf-8")),
            (folder / "summary.md").read_text(encoding="utf-8"),
            told.read_text(encoding="utf-8") if told.exists() else "",
        )

    def _runs(self) -> list[Path]:
        out = self.folder / "reports" / "runs"
        return [path for path in out.iterdir() if path.is_dir()] if out.exists() else []


TELL = """
import os, pathlib, sys
pathlib.Path("told").write_text(os.environ["ROLECALL_CHANGES"] + "\\n" + sys.stdin.read())
"""


@pytest.fixture(name="week")
def _week(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Week]:
    """A week that begins today; the parameter selects a part of the suite."""
    with serving("--clock", "--scrypt-n", "128", env=Reference.env) as server:
        relay = Relay(server.url)
        with Miniature(relay) as miniature:
            text = server.text.replace(
                f'base_url = "{server.url}"', f'base_url = "{miniature.url}"'
            )
            text = text.replace("[target]\n", "[target]\nconcurrency = 16\n")
            text = text.replace("[expiry]\n", '[expiry]\nbank = "bank"\n')
            (tmp_path / "target.toml").write_text(text, encoding="utf-8")
            (tmp_path / "tell.py").write_text(TELL, encoding="utf-8")
            last = datetime.now(UTC).date() + timedelta(days=LAST_DAY)
            (tmp_path / "waivers.toml").write_text(WAIVER.format(until=last), encoding="utf-8")
            yield Week(tmp_path, relay, server.url, request.param)
        relay.close()


PART = f"{BROKEN} or {FLAKY} or {WAIVED} or EXPIRY-403"


def check_week(week: Week) -> None:
    """Run the nights of the week, one after the other, and look at each."""
    before = week.night(0)
    assert ("", 0) == (before.told, before.code)
    nights = {number: week.night(number) for number in NIGHTS if number}

    assert [3, 5, 6] == [number for number, night in nights.items() if night.told]
    for number, night in nights.items():
        failed = {finding["requirement"] for finding in night.results["findings"]}
        expected = set(NIGHTS[number]) - {FLAKY} - ({WAIVED} if number <= LAST_DAY else set())
        assert expected == failed, f"night {number}"
        for name in expected:
            assert f"`{name}`" in night.summary, f"night {number}"
        assert (FLAKY in NIGHTS[number]) == ("flaky: 500 to" in night.summary), f"night {number}"
        if number <= LAST_DAY:
            assert f"1 requirement waived: {WAIVED}" in night.results["reasons"]
    assert [0, 3, 1, 1, 0, 5, 5] == [night.code for night in nights.values()]
    assert f"fails now: {BROKEN}" in nights[3].told
    assert f"fails no more: {BROKEN}" in nights[5].told
    assert f"the waiver of {WAIVED} (team-forms) ended on" in nights[6].told
    assert "(a waiver is stale or has expired)" in nights[6].summary.splitlines()[0]
    for night in nights.values():
        assert "flaky" not in night.told.partition("##")[0]


@pytest.mark.nightly
@pytest.mark.parametrize("week", [PART], indirect=True, ids=["part"])
def test_only_news_is_told(week: Week) -> None:
    """A fault comes on night 3 and goes on night 5, a test is flaky, a waiver ends on night 6:
    each summary says what failed and what was flaky, and somebody is told on nights 3, 5 and 6
    alone.
    """
    check_week(week)


@pytest.mark.nightly
@pytest.mark.parametrize("week", [""], indirect=True, ids=["whole"])
def test_only_news_is_told_of_whole_runs(week: Week) -> None:
    """The same with the whole suite, which is compared with the night before."""
    check_week(week)
