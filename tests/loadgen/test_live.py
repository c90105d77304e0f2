"""The live page: who may see it and end the run, what it is told, and what never reaches it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import gevent
import httpx
import pytest
from flask import Response
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from rolecall.errors import UsageError
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.coordinator import Segment
from rolecall.loadgen.live import LivePage, application
from rolecall.loadgen.live_state import state
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective
from rolecall.report import live_page
from tests.support.browser import browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = "http://127.0.0.1:8089"
TOKEN = {"X-Rolecall-Token": "the token"}
ABOUT = {
    "kind": "load",
    "scenario": "issuance",
    "target": {"name": "<b>server</b>", "base_url": "http://127.0.0.1:8080"},
    "command": "rolecall load issuance --rate 100",
    "run": "20261126-030000-128147",
    "rolecall": "1.0",
    "started": "2026-11-26T03:00:00.000Z",
    "finished": None,
    "options": {},
    "arrivals": {
        "arrivals": "constant",
        "seed": 0,
        "phases": [{"low": 100.0, "high": 100.0, "seconds": 30.0}],
    },
    "users": None,
    "duration_s": 30.0,
    "folder": "runs/20261126-030000-128147",
}


def client_of(stops: list[str]) -> FlaskClient:
    """A browser of the page; each end of the run is noted in ``stops``."""
    page = live_page.write(ABOUT, "X-Rolecall-Token", "the token")

    def now(second: int, sample: int) -> Response:
        return Response(json.dumps([second, sample]), mimetype="application/json")

    return application(page, now, lambda: stops.append("stop"), "the token").test_client()


@pytest.mark.parametrize(
    ("base_url", "headers", "status"),
    [
        (HERE, TOKEN, 202),
        (HERE, TOKEN | {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, 202),
        ("http://localhost:8089", TOKEN, 202),
        (HERE, {}, 403),
        (HERE, {"X-Rolecall-Token": "another"}, 403),
        (HERE, {"X-Rolecall-Token": "tökén"}, 403),
        (HERE, TOKEN | {"Origin": "http://evil.example"}, 403),
        (HERE, TOKEN | {"Origin": "null"}, 403),
        (HERE, TOKEN | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("http://evil.example:8089", TOKEN, 403),
        ("http://192.0.2.7:8089", TOKEN, 403),
    ],
)
def test_who_may_end_the_run(base_url: str, headers: dict[str, str], status: int) -> None:
    """The page itself, by the token of the run and a name of this machine; and never by GET."""
    stops: list[str] = []
    client = client_of(stops)

    assert client.post("/stop", base_url=base_url, headers=headers).status_code == status
    assert client.get("/stop", base_url=HERE, headers=TOKEN).status_code == 405
    assert len(stops) == (status == 202)


@pytest.mark.parametrize("path", ["/", "/state"])
def test_who_may_look(path: str) -> None:
    """A page of another origin, and one whose name was led here, read nothing; nor does a frame."""
    client = client_of([])
    seen = client.get(path, base_url=HERE)
    other = client.get(path, base_url=HERE, headers={"Sec-Fetch-Site": "cross-site"})
    rebound = client.get(path, base_url="http://evil.example:8089")

    assert seen.status_code == 200
    assert seen.headers["X-Frame-Options"] == "DENY"
    assert seen.headers["Cache-Control"] == "no-store"
    for refused in (other, rebound):
        assert refused.status_code == 403
        assert "the token" not in refused.text


def test_what_a_page_knows_already() -> None:
    """The second and the sample of the address are heeded; what is no number is 0."""
    client = client_of([])

    assert client.get("/state?second=7&sample=3", base_url=HERE).json == [7, 3]
    assert client.get("/state?second=-7&sample=x", base_url=HERE).json == [0, 0]


def test_the_page() -> None:
    """It loads nothing, runs nothing but its script, asks its own server alone, and shows the
    target's name as text.
    """
    text = client_of([]).get("/", base_url=HERE).text

    assert "<title>issuance: &lt;b&gt;server&lt;/b&gt; - Rolecall</title>" in text
    assert "<h1>issuance against &lt;b&gt;server&lt;/b&gt;</h1>" in text
    assert "<b>server" not in text
    assert "constant arrivals: 100/s for 30 s" in text
    assert "connect-src 'self'" in text
    assert "'unsafe-inline'" not in text
    for outside in (' src="', ' href="', "@import", "url("):
        assert outside not in text


def test_the_page_of_a_search() -> None:
    """It speaks of steps, and says nothing of a load that is not known beforehand."""
    about = ABOUT | {"kind": "capacity", "arrivals": None, "duration_s": 0.0}
    text = live_page.write(about, "X-Rolecall-Token", "the token")

    assert "<h2>Steps</h2>" in text
    assert '<p class="small">http://127.0.0.1:8080</p>' in text


def segment(seconds: int, *, each: int = 10, number: int = 1) -> Segment:
    """Some seconds of load, with a violation and an error in the last."""
    recorder, totals = Recorder(0.0), Totals()
    entry = recorder.entry("POST", "issue")
    for request in range(seconds * each):
        at = (request + 0.5) / each
        took = 0.01 * (1 + request % 7)
        entry.success(at - took, at - took, at, 1)
        if request % (10 * each) == 0:  # a report in ten seconds
            totals.merge("one", recorder.take())
    entry.failure("500", seconds - 0.02, seconds - 0.02, seconds - 0.01)
    recorder.tick(seconds + 0.1)
    totals.merge("one", recorder.take())
    totals.violation("shape", seconds - 0.5)
    return Segment(number, totals, 0.0, {"one"})


def told(period: Segment | None, **known: Any) -> dict[str, Any]:
    """What the page is told, which JSON can hold."""
    words: dict[str, Any] = {"second": 0, "sample": 0, "said": [], "document": None} | known
    violations = words.pop("violations", Violations())
    objectives = [Objective.parse("p99<5ms"), Objective.parse("errors<1%")]
    told = state(period, objectives, violations, words.pop("said"), words.pop("document"), **words)
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found


class TestState:
    """What the page is told."""

    def test_before_the_load(self) -> None:
        """While clients log in there are no figures."""
        assert told(None) == {"state": "preparing", "samples": [], "said": [], "result": None}

    def test_all_of_it(self) -> None:
        """To a page that knows nothing: every second, what is true so far, and each objective."""
        found = told(segment(30))

        assert (found["state"], found["segment"], found["seconds"]) == ("running", 1, 30)
        assert (found["begin"], len(found["rows"])) == (0, 30)
        assert [row[3] for row in found["rows"]] == [10] * 29 + [11]
        assert found["so_far"]["requests"] == 301
        assert found["so_far"]["errors"] == {"500": 1}
        assert found["so_far"]["violations"] == {"shape": 1}
        assert found["now"]["p99"] == pytest.approx(70, rel=0.01)
        assert [row["held"] for row in found["objectives"]] == [False, True]

    def test_the_news(self) -> None:
        """To a page that knows 25 seconds: those from 15 on, which may have changed, and their
        batches.
        """
        found = told(segment(30), second=25)

        assert (found["begin"], len(found["rows"])) == (15, 15)
        assert list(found["bands"]) == [f"{number}" for number in range(15, 30)]
        assert sum(map(sum, (bands.values() for bands in found["bands"].values()))) == 151

    def test_a_long_run(self) -> None:
        """A page that is opened late asks again for the rest; batches are longer than seconds."""
        long = segment(620, each=1)
        found, rest = told(long), told(long, second=600)

        assert (found["begin"], len(found["rows"]), found["seconds"]) == (0, 600, 620)
        assert found["batch"] == 16
        assert (rest["begin"], rest["begin"] + len(rest["rows"])) == (590, 620)

    def test_a_page_of_an_earlier_run(self) -> None:
        """Seconds that there are not yet are no reason to break."""
        assert told(segment(5), second=10**9)["rows"] == told(segment(5), second=5)["rows"]

    def test_samples_of_violations(self) -> None:
        """Only new ones are told, with what hides in them made visible, and without a secret."""
        violations = Violations([("hunter2-hunter2", "password")], started=0.0)
        violations.report("shape", "first")
        violations.report("jwt", "has \u202e in it and hunter2-hunter2", b"GET / HTTP/1.1\r\n\r\n")
        found = told(segment(3), violations=violations, sample=1)["samples"]

        assert [sample["kind"] for sample in found] == ["jwt"]
        assert "⟨U+202E⟩" in found[0]["message"]
        assert "hunter2" not in json.dumps(found)

    def test_the_end(self) -> None:
        """The verdict is told once there is one."""
        document = {"verdict": "met", "exit_code": 0, "reasons": [], "target": {}}
        found = told(segment(3), document=document)

        assert found["state"] == "over"
        assert found["result"] == {"verdict": "met", "exit_code": 0, "reasons": []}


@pytest.mark.long
def test_a_page_that_was_open_from_the_beginning() -> None:
    """It shows what one shows that is opened now: it has asked only for the news, while batches
    became longer, and steps followed each other.
    """
    periods = [segment(40, each=1)]

    def now(second: int, sample: int) -> Response:
        found = told(periods[0], second=second, sample=sample)
        return Response(json.dumps(found), mimetype="application/json")

    page = live_page.write(ABOUT | {"arrivals": None, "duration_s": 0.0}, "X-Token", "the token")
    server = make_server("127.0.0.1", 0, application(page, now, lambda: None, "the token"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with browser() as chromium:
            old = chromium.new_page()
            for made, clock in (
                (periods[0], "40 s"),
                (segment(70, each=1), "70 s"),
                (segment(620, each=1), "10:20"),
                (segment(3, number=2), "3 s"),
            ):
                periods[0] = made
                pages = [old, chromium.new_page()]
                for shown in pages[clock != "40 s" :]:
                    shown.goto(f"http://127.0.0.1:{server.port}/")
                first, second = (charts(shown, clock) for shown in pages)
                assert first == second, clock
                assert len(first) > 10
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def charts(page: Page, clock: str) -> list[str]:
    """What the page has drawn, once it shows so much of the run."""
    page.locator("#clock").get_by_text(clock, exact=True).wait_for(timeout=60_000)
    drawn: list[str] = page.evaluate(
        "[...document.querySelectorAll('svg path')].map(path => path.getAttribute('d'))"
    )
    return drawn


class TestServing:
    """On a socket."""

    def test_a_port(self) -> None:
        """It is on loopback, at the address that it says; a port that is taken is a sentence."""
        page = LivePage(0, ABOUT, lambda *_: {"result": None}, lambda: None)
        port = int(page.address.split(":")[-1].strip("/"))
        try:
            with pytest.raises(UsageError, match=f"--live: port {port} cannot be had"):
                LivePage(port, ABOUT, lambda *_: {"result": None}, lambda: None)
            text = gevent.get_hub().threadpool.apply(asked, (page.address,))
        finally:
            page.close()

        assert page.address == f"http://127.0.0.1:{port}/"
        assert text.startswith("<!doctype html>")

    def test_an_open_page_is_told_the_verdict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page that asked just now is waited for, and hears how it ended."""
        monkeypatch.setattr("rolecall.loadgen.live._LAST_LOOK", 60.0)  # on a busy machine, too
        result: dict[str, Any] = {"result": None}
        page = LivePage(0, ABOUT, lambda *_: result, lambda: None)
        pool = gevent.get_hub().threadpool
        assert json.loads(pool.apply(asked, (page.address + "state",))) == {"result": None}
        result["result"] = {"verdict": "met"}
        last = pool.spawn(asked, page.address + "state")
        page.close()

        assert json.loads(str(last.get())) == result


def asked(address: str) -> str:
    """What an address is answered with."""
    return httpx.get(address, trust_env=False).text
