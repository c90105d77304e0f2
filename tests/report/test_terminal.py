"""What a person reads at the end of a run.

Longer than 400 lines because its tests share one results document.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from rolecall.commands import say_result
from rolecall.report import load_terminal, terminal
from rolecall.screen import harmless, has_colours, is_terminal, say
from tests.conftest import Reference
from tests.support.command import rolecall, target_file, target_text
from tests.support.miniatures import Connection, Miniature, Received


def cell(
    operation: str, role: str, outcome: str, *, expected: str = "allow", reason: str = ""
) -> dict[str, Any]:
    """A cell of results.json."""
    return {
        "operation": operation,
        "role": role,
        "credential": "token",
        "expected": expected,
        "outcome": outcome,
        "reason": reason,
        "status": None,
    }


def finding(number: int = 1, **more: Any) -> dict[str, Any]:
    """A finding of results.json."""
    given = {
        "requirement": "PERM-list-users",
        "level": "must",
        "clause": "Permissions",
        "statement": "List users: exactly bot and admin may.",
        "test": f"test_{number}",
        "cell": "list-users-guest-token",
        "expected": "403: guest may not list users",
        "actual": "200: it was allowed",
        "exchange": 17,
        "curl": 'curl -i -H "Authorization: Bearer $TOKEN" http://target.example/v2/users',
    }
    return given | more


def undecided(*reasons: tuple[str, str]) -> dict[str, Any]:
    """A requirement of results.json whose tests could not be decided, each for a reason, with a
    place to look at.
    """
    tests = [
        {
            "name": f"test_{number}",
            "outcome": "inconclusive",
            "reason": reason,
            "look_at": look_at,
            "evidence": {},
        }
        for number, (reason, look_at) in enumerate(reasons)
    ]
    return {"id": "ISSUE-status", "level": "must", "outcome": "inconclusive", "tests": tests}


def results(**parts: Any) -> dict[str, Any]:
    """A results.json with these parts."""
    empty: dict[str, Any] = {
        "verdict": "inconclusive",
        "exit_code": 3,
        "reasons": [],
        "target": {"name": "staging", "base_url": "http://target.example"},
        "dialect": {"departures": {}},
        "requests": 42,
        "counts": {"cells": {"passed": 1, "failed": 0}, "requirements": {"passed": 2}},
        "findings": [],
        "requirements": [],
        "cells": [],
        "left_behind": [],
        "advice": [],
        "observations": [],
    }
    return empty | parts


class TestHeatMap:
    """The cells at a glance."""

    def test_a_mark_for_every_outcome(self) -> None:
        """Allowed and done, refused and rightly, failed, undecided, not tested and broken are told
        apart in their places.
        """
        cells = [
            cell("list-users", "guest", "passed", expected="deny"),
            cell("list-users", "admin", "passed"),
            cell("fetch-user", "guest", "failed", expected="deny"),
            cell("fetch-user", "admin", "inconclusive"),
            cell("create-user", "guest", "not-tested", expected="deny", reason="read only"),
            cell("create-user", "admin", "error"),
        ]

        lines = terminal.heat_map(results(cells=cells)).splitlines()

        assert [line.split() for line in lines[1:5]] == [
            ["guest", "admin"],
            ["list-users", "-", "+"],
            ["fetch-user", "X", "?"],
            ["create-user", ".", "!"],
        ]
        column = lines[1].index("guest")
        assert [line[column] for line in lines[2:5]] == ["-", "X", "."]

    def test_nothing_is_drawn_of_what_nobody_saw(self) -> None:
        """A run that never got to the cells does not fill the screen with dots."""
        text = terminal.summary(
            results(cells=[cell("list-users", "guest", "not-tested", reason="not selected")]),
            "runs/1",
        )

        assert "list-users" not in text


class TestFindings:
    """What is wrong, and how to see it oneself."""

    def test_a_finding_says_all_that_is_needed(self) -> None:
        """Requirement, cell, clause, expected, actual, the line to paste and the place in the
        evidence are all there.
        """
        text = terminal.findings(results(findings=[finding()]), "runs/1")

        for name, part in finding().items():
            assert str(part) in text or name in ("test", "cell"), name
        assert "rolecall show runs/1 17" in text

    def test_tests_that_were_answered_alike_are_one_block(self) -> None:
        """Thirty tests with one kind of answer are one block that names the first of them."""
        found = [finding(number, cell=None) for number in range(1, 31)]

        text = terminal.findings(results(findings=found), "runs/1")

        assert text.startswith(
            "1. PERM-list-users (must): 200 instead of 403, 30 of 30 tests (1, 2, 3 and 27 more)\n"
        )
        assert "2. " not in text

    def test_a_line_of_many_screens_is_in_the_evidence(self) -> None:
        """Of a line to try that would fill the terminal the evidence is named instead."""
        one = finding(curl=f"curl -d '{'[' * 2_000}' http://t/")

        text = terminal.findings(results(findings=[one]), "runs/1", width=80)

        assert "[[[[" not in text
        assert f"rolecall show runs/1 {one['exchange']}" in text

    def test_every_failed_requirement_is_named(self) -> None:
        """A hundred requirements that failed alike have a heading and a line to try each, and one
        explanation.
        """
        found = [
            finding(requirement=f"PERM-op-{number}", curl=f"curl http://t/{number}")
            for number in range(100)
        ]

        text = terminal.findings(results(findings=found), "runs/1", width=80)

        for number in range(100):
            assert f"{number + 1}. PERM-op-{number} (must): 200 instead of 403" in text
            assert f"   try       curl http://t/{number}\n" in text
        assert text.count("look at") == 1

    def test_a_very_long_answer_is_cut(self) -> None:
        """Five million characters of a target's do not fill the screen, nor take a second."""
        began = time.monotonic()

        text = terminal.findings(results(findings=[finding(actual="A-b " * 1_250_000)]), "r")

        assert len(text) < 3000
        assert "(5,000,000 characters)" in text
        assert time.monotonic() - began < 10

    def test_advice_is_one_line(self) -> None:
        """Hardening that failed is counted apart, and named."""
        given = [
            finding(n, requirement=id, level="hardening")
            for n, id in enumerate(["SEC-H10", "SEC-H10", "SEC-I03"])
        ]

        assert terminal.findings(results(advice=given), "runs/1") == (
            "Advice (decides nothing): 3 tests of SEC-H10, SEC-I03 failed; results.json has them"
        )

    def test_what_is_undecided_is_grouped_by_reason(self) -> None:
        """Fifty tests that lack the same thing are one block, with the place to look at."""
        reasons = [("missing: a token for guest", "[accounts.guest]")] * 50 + [
            ("missing: a form", "[operations.create-form]")
        ]

        document = results(requirements=[undecided(*reasons)])

        assert terminal.findings(document, "runs/1").splitlines() == [
            "Not decided (51 tests):",
            "   a token for guest",
            "      50 tests of ISSUE-status",
            "      look at [accounts.guest]",
            "   a form",
            "      1 test of ISSUE-status",
            "      look at [operations.create-form]",
        ]

    def test_the_token_of_a_role_can_be_had(self) -> None:
        """A line says how to get the $TOKEN of the role that sent the request, once for each role,
        with the password out of its variable.
        """
        target = {
            "name": "staging",
            "base_url": "http://target.example/",
            "accounts": {
                "guest": {"email": "g@example.org", "password_env": "GUEST_PASSWORD"},
                "bot": {"email": "b@example.org", "password_env": ""},
            },
        }
        callers = ["guest (token)", "guest (token)", "bot (token)", "admin (api-key)", "nobody"]
        found = [finding(requirement=f"R-{n}", caller=who) for n, who in enumerate(callers)]

        lines = terminal.findings(
            results(findings=found, target=target), "runs/1", width=80
        ).splitlines()

        assert lines.count("$TOKEN of guest:") == 1
        after = lines[lines.index("$TOKEN of guest:") + 1]
        assert after.startswith("TOKEN=$(")
        assert "GUEST_PASSWORD" in after
        assert "http://target.example/v2/auth/token" in after
        assert "PASSWORD" in lines[lines.index("$TOKEN of bot:") + 1]
        assert "$TOKEN of admin (api-key): an API key with that scope" in lines
        assert any(line.startswith("$TOKEN of nobody: made by the test") for line in lines)


class TestWidth:
    """What fits on a terminal."""

    def test_no_line_is_longer_but_those_that_are_pasted(self) -> None:
        """At 80 columns everything is wrapped between words, and a line to paste stays whole."""
        long = "a sentence that goes on " * 20
        document = results(
            findings=[finding(expected=long, step=long, curl=f"curl '{long}'")],
            requirements=[undecided((long, long))],
            reasons=[long],
            left_behind=[long],
        )

        lines = terminal.summary(document, "runs/1", width=80).splitlines()

        too_long = [line for line in lines if len(line) > 80]
        assert too_long == [f"   try       curl '{long}'"]
        assert all(
            word in "a sentence that goes on" for line in lines[3:6] for word in line.split()[1:]
        )

    def test_without_a_width_nothing_is_wrapped(self) -> None:
        """In a file or a pipe each sentence is one line, for grep."""
        long = "a sentence that goes on " * 20

        assert f"note          {long}" in terminal.verdict(results(reasons=[long]), "runs/1")

    def test_160_open_cells_of_three_causes_fit_on_a_screen(self) -> None:
        """What could not be decided, for three causes, and the verdict stand on 80 x 24."""
        lines = terminal.summary(three_causes(), "reports/runs/1", width=80).splitlines()

        below = lines[lines.index("Not decided (160 tests):") :]
        assert len(below) <= 24
        assert max(map(len, below)) <= 80
        assert [line for line in below if line[:3] == "   " and line[3] != " "] == [
            "   10 operations seem not to be there: 404 or 405 to everybody",
            "   500 to GET /v2/users/...",
            "   a live credential: guest (token) may do nothing at all",
        ]


def three_causes() -> dict[str, Any]:
    """A run with 160 inconclusive cells: missing operations, an error, a dead account."""
    cells, requirements = [], []
    for number in range(40):
        operation = f"fetch-{'abcdefghij'[number % 10]}{'klmn'[number // 10]}"
        tests = []
        for role in ("guest", "agent", "bot", "admin"):
            status = (404, 405)[number % 2] if number < 10 else None
            kind = (
                f"the same request succeeding for admin: GET /v2/x{number} as {role} (token) -> "
                f"{status} (exchange {number + 1})"
                if number < 10
                else f"the same request succeeding for bot or admin: GET /v2/users/5f1b0c{number} "
                f"as {role} (token) -> 500 (exchange {number + 1})"
                if number < 30
                else "a live credential: guest (token) may do nothing at all"
            )
            look = f"the cells of PERM-{operation} that are allowed" if number < 30 else "issuance"
            cells.append(cell(operation, role, "inconclusive") | {"status": status})
            tests.append(
                {
                    "name": f"test_it[{operation}-{role}-token]",
                    "outcome": "inconclusive",
                    "reason": f"missing: {kind}",
                    "look_at": look,
                    "evidence": {"answer": number + 1},
                }
            )
        entry = {"id": f"PERM-{operation}", "level": "must", "outcome": "inconclusive"}
        requirements.append(entry | {"tests": tests})
    return results(
        cells=cells,
        requirements=requirements,
        reasons=["40 requirements could not be decided: PERM-a, PERM-b, PERM-c and 37 more"],
    )


class TestVerdict:
    """The last lines."""

    def test_everything_that_qualifies_it(self) -> None:
        """Readings in force, reasons, what was left behind and the folder stand above the verdict,
        which is the last line.
        """
        lines = terminal.verdict(
            results(
                reasons=["76 requirements not proven"],
                dialect={"departures": {"expired": [401]}},
                left_behind=["user 599e1f (rolecall-1)"],
            ),
            "reports/runs/1",
        ).splitlines()

        assert "reading       expired = [401] (not the default)" in lines
        assert "note          76 requirements not proven" in lines
        assert "left behind   user 599e1f (rolecall-1)" in lines
        assert "next          rolecall cleanup reports/runs/1" in lines
        assert "files         reports/runs/1" in lines
        assert (
            lines[-1]
            == "verdict       INCONCLUSIVE: staging at http://target.example (42 requests, exit 3)"
        )

    @pytest.mark.parametrize("colour", [True, False])
    def test_colours(self, colour: bool) -> None:
        """Colours are used only where they were asked for, and are switched off again."""
        text = terminal.summary(
            results(findings=[finding()], cells=[cell("a", "guest", "failed")]),
            "runs/1",
            colour=colour,
        )

        assert ("\033[1;31m" in text) is colour
        assert text.count("\033[0m") * 2 == text.count("\033[")


#: What acts on a terminal, and how it is shown: controls, reading direction, what is not seen, ends
#: of lines and paragraphs.
ACTING = {
    "\033[2J\033[1;1H": r"\x1b[2J\x1b[1;1H",
    "\033]0;title\x07": r"\x1b]0;title\x07",
    "\x9b31m": r"\x9b31m",
    "\r": r"\r",
    "\b\b\b": r"\x08\x08\x08",
    "\x00\x7f": r"\x00\x7f",
    "\n": r"\n",
    "\x0b\x0c\x1c\x85": r"\x0b\x0c\x1c\x85",
    "\u2028\u2029": r"\u2028\u2029",
    "\u202e\u2066\u200f\u061c": r"\u202e\u2066\u200f\u061c",
    "\u200b\u200d\ufeff\xad\u2060": r"\u200b\u200d\ufeff\xad\u2060",
    "\U000e0041": r"\U000e0041",
    "\ud800": r"\ud800",
}
FORGED = "\nverdict       CONFORMANT: staging at http://target.example (42 requests, exit 0)"


class TestOtherPeoplesWords:
    """A target does not write on the terminal."""

    @pytest.mark.parametrize(("bad", "shown"), ACTING.items())
    def test_what_acts_is_shown(self, bad: str, shown: str) -> None:
        """Whatever clears a screen, starts a line or turns a text around is written as an escape
        that can be seen.
        """
        words = f"before{bad}after"
        text = terminal.summary(
            results(
                findings=[finding(actual=words)],
                requirements=[undecided((words, words))],
                left_behind=[words],
                reasons=[words],
            ),
            "runs/1",
        )

        assert not any(
            character in text
            for character in bad
            if character != "\n" and not character.isprintable()
        )
        # A heading leaves out what looks like an id, as some escapes do.
        assert text.count(f"before{shown}after") in (5, 6)

    def test_letters_stay(self) -> None:
        """Words in any script, with their signs, stay as they are."""
        words = "Prüfung 日本 עברית e\u0301 \u00a0 👍"

        assert harmless(words) == words

    @pytest.mark.parametrize("place", ["actual", "expected", "statement", "curl", "test", "clause"])
    def test_no_line_is_forged(self, place: str) -> None:
        """A new line in a target's words begins no line of ours, so there is one verdict."""
        forged: dict[str, Any] = {"cell": None, place: FORGED}
        lines = terminal.summary(results(findings=[finding(**forged)]), "runs/1").splitlines()

        assert [line for line in lines if line.startswith("verdict")] == [lines[-1]]

    @pytest.mark.parametrize(("bad", "shown"), ACTING.items())
    def test_under_load(self, bad: str, shown: str) -> None:
        """The same of a load run, and of a search: reason phrases, users, workers, bodies and
        reasons are a target's, or a worker's.
        """
        # Longer than 40 lines because the document has every place for a target's words.
        words = f"before{bad}after"
        sample = {
            "kind": "scope",
            "requirement": "ISSUE-scope",
            "message": words,
            "exchange": f"GET / HTTP/1.1\n{words}",
        }
        document = load_results(
            errors={words: 3},
            reasons=[words],
            violation_samples=[sample],
            workers=[{"name": words, "cpu": 0.5}],
            entries=[],
        )
        step = {
            "rate": 10.0,
            "throughput": 9.0,
            "p50_ms": 1.0,
            "p99_ms": 2.0,
            "errors": 0,
            "throttled": 0,
            "verdict": "failed",
            "why": words,
        }
        search = document | {
            "axis": "rate",
            "outcome": "found",
            "steps": [step],
            "objectives": [words],
            "knee": None,
        }
        search["capacity"] = {"rate": 9.0, "low": None, "high": None}

        # In lines of an exchange a new line is one.
        for text, places in (
            (load_terminal.summary(document, "runs/1"), 5 - (bad == "\n")),
            (load_terminal.capacity(search, "runs/1"), 3),
        ):
            assert not any(
                character in text
                for character in bad
                if character != "\n" and not character.isprintable()
            )
            assert text.count(f"before{shown}after") == places

    def test_no_verdict_is_forged_under_load(self) -> None:
        """A new line in a worker's or a target's words begins no line of ours, nor does one in an
        exchange.
        """
        sample = {
            "kind": "scope",
            "requirement": "ISSUE-scope",
            "message": FORGED,
            "exchange": f"GET / HTTP/1.1{FORGED}",
        }
        document = load_results(
            errors={FORGED: 3},
            reasons=[FORGED],
            violation_samples=[sample],
            workers=[{"name": FORGED, "cpu": 0.5}],
        )

        lines = load_terminal.summary(document, "runs/1").splitlines()

        assert [line for line in lines if line.startswith("verdict")] == [lines[-1]]
        assert lines[-1].startswith("verdict       MISSED")


def load_results(**parts: Any) -> dict[str, Any]:
    """A load.json with these parts."""
    empty: dict[str, Any] = {
        "verdict": "missed",
        "exit_code": 1,
        "reasons": [],
        "scenario": "issuance",
        "target": {"name": "staging", "base_url": "http://target.example"},
        "rate": 9.0,
        "entries": [],
        "arrivals": None,
        "workers": [],
        "errors": {},
        "own_failures": {},
        "pauses": {"longest_ms": 0},
        "objectives": [],
        "violation_samples": [],
    }
    return empty | parts


class TestSay:
    """The one way to print."""

    def test_the_last_look(self) -> None:
        """Lines are kept, and colours where there are to be some; what else acts on a terminal is
        shown.
        """
        plain, coloured = io.StringIO(), io.StringIO()
        text = "a\nb \033[1;31mred\033[0m \033[2J\u202e"

        say(text, stream=plain)
        say(text, stream=coloured, colour=True)

        assert plain.getvalue() == "a\nb \\x1b[1;31mred\\x1b[0m \\x1b[2J\\u202e\n"
        assert coloured.getvalue() == "a\nb \033[1;31mred\033[0m \\x1b[2J\\u202e\n"

    @pytest.mark.parametrize(
        ("variables", "is_tty", "expected"),
        [
            ({"TERM": "xterm"}, True, (True, True)),
            ({"TERM": "xterm", "NO_COLOR": "1"}, True, (True, False)),
            ({"TERM": "xterm", "NO_COLOR": ""}, True, (True, True)),
            ({"TERM": "dumb"}, True, (False, False)),
            ({"TERM": "xterm"}, False, (False, False)),
        ],
    )
    def test_colours(
        self,
        variables: dict[str, str],
        is_tty: bool,
        expected: tuple[bool, bool],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Colours are for terminals that have them and people who want them (no-color.org); a bar
        is for terminals.
        """
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: is_tty)

        assert (is_terminal(stream), has_colours(stream)) == expected

    def test_json_is_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With --json the document is printed as it is, and no character acts on a terminal."""
        document = {"exit_code": 3, "reason": "".join(ACTING)}

        code = say_result(argparse.Namespace(json=True), document, summary="", verdict="")
        said = capsys.readouterr().out

        assert code == 3
        assert json.loads(said) == document
        assert said.replace("\n", "").isascii()
        assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("command", ["certify", "load"])
def test_a_real_run(command: str, tmp_path: Path) -> None:
    """Of what a server says, in reason phrases, ids, texts and addresses, nothing acts on the
    terminal, whatever the command.
    """

    def rude(request: Received, connection: Connection) -> None:
        words = "".join(ACTING).replace("\ud800", "") + FORGED
        body = json.dumps(
            {
                "tokenType": words,
                "token": words,
                "refreshToken": words,
                "user": words,
                "scope": words,
            }
        ).encode()
        connection.send(
            b"HTTP/1.1 200 \033]0;PWNED\x07\033[2J\r\ncontent-type: "
            b"application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )

    with Miniature(rude) as server:
        file = target_file(tmp_path, target_text(server.url))
        more = (
            ["--select", "ISSUE"]
            if command == "certify"
            else ["issuance", "--rate", "5", "--duration", "1s"]
        )
        words: list[str | Path] = (
            [*more, file] if command == "certify" else [more[0], file, *more[1:]]
        )
        finished = rolecall(command, *words, "--out", tmp_path / "out", cwd=tmp_path)

    assert finished.code == 1, finished.said
    assert all(line.isprintable() for line in finished.said.replace("\u00a0", " ").split("\n"))
    assert [line[:24] for line in finished.stdout.split("\n") if line.startswith("verdict")] == [
        "verdict       NOT CONFOR" if command == "certify" else "verdict       MISSED: is"
    ]


def test_pytests_environment_is_for_other_tests(tmp_path: Path, reference: Reference) -> None:
    """Options and plugins that the environment has for every pytest reach no run: it is as it would
    be without them.
    """
    (tmp_path / "spoilsport.py").write_text("raise SystemExit('loaded')", encoding="utf-8")
    variables = {
        "PYTEST_ADDOPTS": f"-k nothing --junitxml={tmp_path / 'theirs.xml'} --no-such-option",
        "PYTEST_PLUGINS": "spoilsport",
        "PYTHONPATH": str(tmp_path),
    }

    finished = rolecall(
        "certify",
        reference.target_file(tmp_path),
        "--select",
        "ISSUE-lifetime",
        cwd=tmp_path,
        env=reference.env | variables,
    )

    assert finished.code == 0, finished.said
    assert finished.results["counts"]["tests"]["passed"] > 0
    assert not (tmp_path / "theirs.xml").exists()
