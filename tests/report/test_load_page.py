"""load.html draws everything in load.json in one file that loads nothing.

Longer than 400 lines because its tests share one drawn document.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rolecall.loadgen.objectives import Objective, judge
from rolecall.report import load_charts, load_page, load_terminal
from rolecall.schema_validation import validation_errors
from tests.support.load_documents import load_document

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = (
    "</script></style></pre><script>alert('x')</script><img src=https://example.org/x "
    'onerror="alert(1)">&amp;'
)


def run(**members: Any) -> dict[str, Any]:
    """A run of 30 s with a stall, errors, throttling, limits that held and limits that did not, and
    violations.
    """

    def times(dice: random.Random, at: float) -> float:
        return dice.lognormvariate(-5.5, 0.4) + max(0.0, 11 - at if at >= 10 else 0.0)

    document = load_document(1, rate=100, seconds=30, times=times, errors=0.01, throttled=0.01)
    texts = ("p50<20ms", "p99<=100ms", "max<5s", "errors<0.1%", "rate>10")
    document["objectives"] = judge(map(Objective.parse, texts), document)
    document["timeline"]["violations"][20] = 3
    document["violations"] = {"another-user": 3}
    document["violation_samples"] = [
        {
            "kind": "another-user",
            "requirement": "ISSUE-identity",
            "message": "not the caller",
            "exchange": "POST /x",
            "at": 20.5,
        }
    ]
    document |= {
        "verdict": "missed",
        "exit_code": 1,
        "reasons": ["another-user: 3 violations"],
        **members,
    }
    assert validation_errors("load", document) == []
    return document


def test_a_last_part_of_a_second_is_no_drop() -> None:
    """The requests of the last 0.2 s are counted with the second before: the chart does not fall
    to nothing at the end.
    """
    document = load_document(1, rate=60, seconds=11, duration_s=10.2)
    for name, values in document["timeline"].items():
        if name != "second":
            values[10] = values[10] / 60 * 12 if name in ("requests", "scheduled", "sent") else 0

    rows = load_charts.Times(document).data()["rows"]

    assert [row[0] for row in rows[-2:]] == ["8 s", "9 s"]
    assert all(58 <= float(row[3].removesuffix("/s")) <= 62 for row in rows), rows


def test_the_footer_says_what_it_takes_to_run_it_again() -> None:
    """Version, run, times, command, workers, seed and accounts; all of it escaped."""
    document = run(
        rolecall="1.2",
        run="20261126-1",
        command=f"rolecall load session --rate 5 {HOSTILE}",
        accounts={"given": 40, "used": 39},
        options={"in_flight": 7, "weights": {"session": 2}},
    )
    document["arrivals"] |= {"arrivals": "poisson", "seed": 11}

    page = load_page.write(document)

    footer = page[page.index("<footer") : page.index("</footer>")]
    for part in (
        "Rolecall 1.2",
        "run 20261126-1",
        "2026-11-22 10:00:00 to 2026-11-22 10:00:40 UTC",
        "1 worker",
        "seed 11",
        "39 of 40 accounts took part",
        "in-flight 7",
        "weights session=2",
        "<code>rolecall load session --rate 5 ",
    ):
        assert part in footer, part
    assert HOSTILE not in page


def test_what_a_baseline_decided_is_shown() -> None:
    """The page and the terminal have each condition with what came of it."""
    sentence = "--fail-if slower: p50 3.6 -> 84 ms: slower"
    gates = [{"gate": "slower", "held": False, "sentence": sentence}]
    document = run(comparison={"comparable": True, "reasons": [], "measures": [], "gates": gates})

    assert f'<li class="no">{escape(sentence)}' in load_page.write(document)
    assert f"gate          {sentence}" in load_terminal.summary(document, "folder")


def test_how_many_accounts_took_part_is_said() -> None:
    """Of the accounts that were given, the page and the terminal say how many carried the load."""
    document = run(accounts={"given": 40, "used": 2})

    assert load_page.write(document).count("2 of 40 accounts took part") == 1
    assert "accounts      2 of 40 took part" in load_terminal.summary(document, "folder")


def step(rate: float, verdict: str = "held", **members: Any) -> dict[str, Any]:
    """A step of a search."""
    return {
        "rate": rate,
        "seconds": 5.0,
        "verdict": verdict,
        "why": "" if verdict == "held" else "the backlog grew",
        "scheduled": int(rate * 5),
        "throughput": min(rate, 210.0),
        "errors": 0,
        "throttled": 0,
        "violations": 0,
        "p50_ms": 5.0 + rate / 10,
        "p99_ms": 20.0 + rate,
        **members,
    }


def search(**members: Any) -> dict[str, Any]:
    """A search that found a capacity of 210 a second."""
    document = {
        "verdict": "met",
        "exit_code": 0,
        "reasons": [],
        "scenario": "issuance",
        "target": {"name": "queue", "base_url": "http://127.0.0.1:8080"},
        "started": "2026-11-22T10:00:00+00:00",
        "finished": "2026-11-22T10:02:00+00:00",
        "axis": "rate",
        "outcome": "found",
        "because": "known to ±1.2 %",
        "capacity": {
            "rate": 210.0,
            "low": 207.0,
            "high": 213.0,
            "held": 205.0,
            "failed": 220.0,
            "confidence": 0.95,
        },
        "knee": {"rate": 160.0, "p50_ms": 21.0, "p99_ms": 180.0},
        "objectives": ["errors<1%"],
        "steps": [
            step(100),
            step(200),
            step(400, "failed", errors=30, throttled=9),
            step(220, "unclear"),
        ],
        **members,
    }
    assert validation_errors("capacity", document) == []
    return document


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.elements.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        """Text is text again."""
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        self.text += "" if self._silent else data

    def having(self, style: str) -> list[dict[str, str | None]]:
        """The elements of a class."""
        return [
            attributes
            for _, attributes in self.elements
            if style in (attributes.get("class") or "").split()
        ]


def test_the_page_says_what_the_document_says() -> None:
    """Verdict, reasons, figures, limits, kinds, requests, workers and violations with their
    exchanges stand there.
    """
    document = run()
    page = Page(load_page.write(document))

    for words in (
        "issuance against reference",
        "missed",
        "another-user: 3 violations",
        "3,000 arrivals scheduled, 3,000 sent, 3,000 completed, 0 late, 0 dropped",
        "p99<=100ms",
        "did not hold",
        "constant arrivals: 100/s for 30 s",
        "POST /v2/auth/token",
        "timeout",
        "not the caller",
        "ISSUE-identity",
        "POST /x",
    ):
        assert words in page.text
    assert len(page.having("limit")) == 3
    assert len(page.having("broken")) == 1
    assert len(page.having("time")) == 3


def test_a_stall_stands_out() -> None:
    """The second in which everybody waited is in the figures under the pointer, and has its
    percentiles there.
    """
    data = json.loads(load_page.write(run()).partition('id="data">')[2].partition("</script>")[0])
    p99 = data["columns"].index("p99") + 1

    slow = [row[0] for row in data["rows"] if re.match(r"9\d\d ms|1 s", row[p99])]

    assert slow == ["11 s"]
    assert {row[data["columns"].index("violations") + 1] for row in data["rows"]} == {"0", "3"}


def test_good_news_are_short() -> None:
    """A run without trouble says so in a sentence, and has neither a chart nor a table of it."""
    document = load_document(2, seconds=12)
    page = Page(load_page.write(document))

    assert "No errors, nothing throttled, no violations." in page.text
    assert len(page.having("time")) == 2
    assert "Violations" not in page.text
    assert "Objectives" not in page.text


def everywhere(value: Any) -> Any:
    """The same document with something hostile in every text, and in every name that a server may
    choose.
    """
    if isinstance(value, dict):
        return {key: everywhere(item) for key, item in value.items()}
    if isinstance(value, list):
        return [everywhere(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_nothing_that_is_shown_can_act() -> None:
    """With hostile text in every place of both documents the page has no element, attribute or
    script but its own.
    """
    document = everywhere(run())
    document["errors"] = document["violations"] = {HOSTILE: 5}
    document["entries"][0]["errors"] = {HOSTILE: 5}
    document["objectives"] = run()["objectives"]
    document["objectives"][0]["objective"] = HOSTILE
    document["comparison"] = {
        "comparable": False,
        "reasons": [HOSTILE],
        "measures": [{"sentence": HOSTILE, "verdict": "worse"}],
    }
    capacity = {**everywhere(search()), "axis": "rate"}

    text = load_page.write(document, capacity)
    page = Page(text)

    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert tags.count("style") == 1
    assert not {"img", "link", "iframe", "a", "object", "image", "use"} & set(tags)
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {
        name
        for name in names
        if name.startswith("on") or name in ("src", "href", "xlink:href", "style", "action")
    }
    assert page.text.count("alert('x')") > 20


def test_no_part_of_the_page_comes_from_elsewhere() -> None:
    """No address is loaded, and the page's own policy forbids it."""
    text = load_page.write(run(), search())

    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|src=|href=|fetch\(|XMLHttp", text)


@pytest.mark.parametrize(
    "document",
    [
        load_document(3, seconds=1, rate=1),
        load_document(3, seconds=9, throttled=1.0),
        load_document(3, seconds=9, errors=1.0),
        {**load_document(3, seconds=9), "scheduled": 0, "arrivals": None, "users": 50},
    ],
    ids=["one-request", "all-throttled", "all-failed", "closed"],
)
def test_odd_runs_have_a_page(document: dict[str, Any]) -> None:
    """One request, nothing but 429, nothing but errors, and a closed loop are drawn."""
    assert "<svg" in load_page.write(document)


def test_a_run_without_a_second_has_a_page() -> None:
    """A run that ended before it began says why, without a chart."""
    from rolecall.loadgen.measure.totals import Totals

    empty = {
        **load_document(3, seconds=1),
        **Totals().document(),
        "verdict": "invalid",
        "reasons": ["nothing was answered"],
    }
    page = Page(load_page.write(empty))

    assert "nothing was answered" in page.text
    assert not page.having("chart")


def test_a_long_run_is_drawn_with_fewer_points() -> None:
    """Two hours are at most 480 points, each the highest of its seconds; the file stays small."""
    document = load_document(4, seconds=20)
    seconds = 7200
    for name, values in document["timeline"].items():
        document["timeline"][name] = (
            list(range(seconds)) if name == "second" else [values[5]] * seconds
        )
    document["timeline"]["p99_ms"][1000] = 4321.0

    text = load_page.write(document)
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])

    assert len(data["rows"]) == 480
    assert [row[0] for row in data["rows"] if "4.32 s" in row] == ["990 .. 1,005 s"]
    assert len(text) < 400_000


def test_the_capacity_curve() -> None:
    """The capacity with its interval, the knee, every step with its verdict, and the shares of
    errors are drawn and tabled.
    """
    page = Page(load_page.write(None, search()))

    assert len(page.having("capacity")) == 3 - 1
    assert len(page.having("knee")) == 2
    assert len(page.having("band")) == 2
    assert (len(page.having("held")), len(page.having("failed")), len(page.having("unclear"))) == (
        4,
        2,
        2,
    )
    assert (len(page.having("error")), len(page.having("throttled"))) == (1, 1)
    for words in (
        "210/s",
        "207 .. 213/s",
        "95 % interval",
        "known to ±1.2 %",
        "the backlog grew",
        "errors<1%",
    ):
        assert words in page.text


def test_an_unstable_server_has_no_capacity_but_what_it_carried() -> None:
    """The least and the most are there, and when; no rate is drawn as the capacity."""
    carried = {
        "rate": None,
        "low": 50.1,
        "high": 198.3,
        "held": None,
        "failed": None,
        "confidence": 0.95,
    }
    states = [
        {"from": 0.0, "to": 61.5, "rate": 198.3, "low": 196.0, "high": 200.1},
        {"from": 61.5, "to": 116.0, "rate": 50.1, "low": 48.0, "high": 52.0},
    ]
    reason = "it carried more before than it does now"
    document = search(
        verdict="invalid",
        exit_code=3,
        outcome="unstable",
        because=reason,
        reasons=[reason],
        capacity=carried,
        states=states,
    )
    page = Page(load_page.write(None, document))

    assert (len(page.having("capacity")), len(page.having("band"))) == (0, 2)
    for words in (
        "50.1 .. 198/s",
        "carried, at the least and at the most",
        "0 .. 61.5 s",
        "61.5 .. 116 s",
        reason,
    ):
        assert words in page.text
    said = load_terminal.capacity(document, "runs/1")
    assert said.endswith("INVALID: issuance on queue: unstable, 50.1 to 198.3/s (exit 3); runs/1")
    assert said.index("\n       400.0") < said.index("\n       220.0")  # as they were taken


def test_the_scalability_law_is_drawn_where_concurrency_is_the_axis() -> None:
    """The fit is a curve through the steps, and there is no line of a rate."""
    steps = [step(100.0 * n, concurrency=n) for n in (1, 2, 4, 8)]
    fit = {"lambda": 100.0, "sigma": 0.05, "kappa": 0.001}
    page = Page(load_page.write(None, search(axis="concurrency", steps=steps, usl=fit)))

    assert "Universal Scalability Law" in page.text
    assert not page.having("knee")


@pytest.mark.parametrize(
    "steps", [[], [step(10, "generator", p50_ms=None, p99_ms=None)]], ids=["none", "one"]
)
def test_a_search_that_found_nothing_has_a_page(steps: list[Any]) -> None:
    """No capacity, no knee, and no or one step without an answer."""
    nothing = {"rate": None, "low": None, "high": None}
    document = search(
        verdict="invalid", reasons=["interrupted"], capacity=nothing, knee=None, steps=steps
    )

    assert "interrupted" in Page(load_page.write(None, document)).text


#: Looks at the page as a reader would: points at a second of the first chart, and writes down what
#: is there.
PROBE = """
<script>
const errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("load", () => {
  const chart = document.querySelector("svg.time"), box = chart.getBoundingClientRect();
  const middle = {clientX: box.left + box.width * 0.5, clientY: box.top + 50};
  chart.dispatchEvent(new PointerEvent("pointermove", middle));
  const cursors = [...document.querySelectorAll(".cursor")];
  const texts = [...document.querySelectorAll("svg text")];
  const seen = {
    errors, tip: document.getElementById("tip")?.innerText,
    loaded: performance.getEntriesByType("resource").length,
    cursors: cursors.filter(line => line.getAttribute("visibility") === "visible").length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    ink: getComputedStyle(document.body).color,
    low: texts.filter(text => text.getBoundingClientRect().width === 0).length,
  };
  const note = document.body.appendChild(document.createElement("output"));
  note.textContent = JSON.stringify(seen);
});
</script>
"""


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1100, 500])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(width: int, scheme: str, tmp_path: Path) -> None:
    """In Chromium no script fails, nothing is loaded, nothing is wider than the window, and the
    pointer gets its figures.
    """
    assert CHROMIUM is not None
    text = load_page.write(run(), search())
    file = tmp_path / "load.html"
    file.write_text(text.replace("</head>", f"{PROBE}</head>"), encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={'0' if scheme == 'dark' else '1'}",
        "--dump-dom",
        file.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    seen = json.loads(Page(shown[shown.index("<output>") :]).text.strip())

    assert seen["errors"] == []
    assert seen["loaded"] == 0
    assert seen["overflow"] <= 0
    assert seen["cursors"] == 3
    assert seen["low"] == 0
    assert seen["tip"].splitlines()[0] == "14 s"
    assert "good answers" in seen["tip"]
    assert seen["ink"] == ("rgb(230, 234, 240)" if scheme == "dark" else "rgb(27, 35, 48)")


SAMPLED = {
    "cells": ["list-users as guest", "list-users as guest (HEAD)"],
    "expired": ["fetch-user-self as guest (expired token: bank)"],
    "others": [f"list-forms as guest: 200, {HOSTILE}"],
    "not_tested": [],
    "left": [],
}


def test_what_was_tried_under_load() -> None:
    """The page says what was tried of the permission table, what with expired tokens, and what was
    left out.
    """
    page = load_page.write(run(sampled=SAMPLED))

    assert "2 cells were tried" in page
    assert "1 with expired tokens" in page
    assert "fetch-user-self as guest (expired token: bank)" in page
    assert "not tested under load" not in page
    assert HOSTILE not in page


def test_what_was_not_tested_under_load() -> None:
    """What could not be tested is one line with the reason, on the page and in the terminal."""
    document = run(
        sampled={**SAMPLED, "expired": [], "not_tested": ["expired tokens: there is no way to one"]}
    )

    assert "not tested under load: expired tokens: there is no way to one" in load_page.write(
        document
    )
    assert (
        "not tested    under load: expired tokens: there is no way to one"
        in load_terminal.summary(document, "runs/1")
    )


DENIALS = {
    "bound_s": 5.0,
    "kinds": [
        {
            "kind": "user-deleted",
            "credential": "the access token of a user who was deleted",
            "watched": 12,
            "denied": 10,
            "late": 1,
            "undecided": 1,
            "uneven": 3,
            "came_back": 0,
            "delay_ms": {"p50": 2.5, "p95": 900.0, "max": 1000.0, "off": 31.0},
        },
        {
            "kind": "user-demoted",
            "credential": "the access token of a user whose role was lowered",
            "watched": 2,
            "denied": 0,
            "late": 2,
            "undecided": 0,
            "uneven": 0,
            "came_back": 0,
            "delay_ms": None,
        },
    ],
    "not_watched": [{"kind": "key-deleted", "why": f"answered 404 {HOSTILE}"}],
}


def test_how_long_revoked_credentials_were_let_in() -> None:
    """The page and the terminal say of each kind how soon it was refused, what is known of the
    others, and why one was not watched.
    """
    document = run(denials=DENIALS)
    page, text = load_page.write(document), load_terminal.summary(document, "runs/1")

    assert "<code>user-deleted</code>" in page
    assert "not tested: key-deleted: answered 404" in page
    assert HOSTILE not in page
    assert (
        "time to deny  user-deleted: 10 of 12 refused within 5 s, after p50 2, p95 900, max 1,000 "
        "ms (known to 31 ms); 1 let in for longer; 1 undecided; 3 let in by some connections when "
        "others refused it\n"
    ) in text
    assert "time to deny  user-demoted: 0 of 2 refused within 5 s; 2 let in for longer\n" in text
    assert "not tested    time to deny, key-deleted: answered 404" in text
    assert "Time to deny" not in load_page.write(run())
    assert "time to deny" not in load_terminal.summary(run(), "runs/1")


@pytest.mark.parametrize("sampled", [None, {}, {name: [] for name in SAMPLED}])
def test_other_scenarios_try_no_cells(sampled: dict[str, Any] | None) -> None:
    """Where nothing was sampled the page has no section about it."""
    document = run(**({} if sampled is None else {"sampled": sampled}))

    assert "Permissions, expiry and log-ins" not in load_page.write(document)


def test_accounts_that_were_never_let_in() -> None:
    """They are named on the page and in the terminal, since their passwords may be wrong."""
    document = run(sampled={"refused": ["a@b.c was answered 401, and never let in"]})

    assert "<li>a@b.c was answered 401, and never let in</li>" in load_page.write(document)
    assert "log-in        a@b.c was answered 401, and never let in" in load_terminal.summary(
        document, "runs/1"
    )
