"""The command ``rolecall plan``: right about what real runs send, and nothing is sent for it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rolecall.__main__ import main
from tests.conftest import Reference
from tests.support.command import Finished
from tests.support.miniatures import Tap
from tests.support.servers import Admin, certify, serving, target, without

TOKEN_PATH = "/v2/auth/token"  # a path
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
SIGNED = '\n[expiry]\nsigning_key_env = "ROLECALL_SIGNING_KEY"\n'
READY = "\n[api_keys.tokens]\n"


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[Reference]:
    """A reference server whose passwords cost nothing."""
    with serving("--clock", "--scrypt-n", "2", env=Reference.env) as server:
        yield server


def text_of(shape: str, server: Reference) -> str:
    """A target file in one of the shapes that a run depends on."""
    if shape == "everything":
        return server.text
    text = without(without(server.text, "expiry"), "api_keys")
    if shape == "one user for each role, a key":
        return without(text, "accounts.guest2") + SIGNED
    if shape == "ready keys, a bank":
        keys = [
            f'{role} = "{Admin(server).make_key([role])}"\n'
            for role in ("guest", "agent", "bot", "admin")
        ]
        return text + READY + "".join(keys) + '\n[expiry]\nbank = "bank"\n'
    return text


def planned(capsys: pytest.CaptureFixture[str], file: Path, *words: str) -> dict[str, Any]:
    """The document that the command prints."""
    assert main(["plan", str(file), *words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def seen_log_ins(finished: Finished, text: str) -> Counter[str]:
    """How many log-ins of each account are in a run's evidence, of whatever outcome."""
    har = json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))
    emails = dict(re.findall(r'\[accounts\.(\w+)\]\nemail = "([^"]+)"', text))
    names = {email: name for name, email in emails.items()}
    bodies = [
        entry["request"].get("postData", {}).get("text", "")
        for entry in har["log"]["entries"]
        if entry["request"]["url"].endswith(TOKEN_PATH)
    ]
    return Counter(
        next(
            (name for email, name in names.items() if email in body),
            "(made by the run, or unknown)",
        )
        for body in bodies
        if '"password"' in body
    )


def is_near(planned: float, seen: float) -> bool:
    """Whether a plan is right within five per cent, or two where there are few."""
    return abs(planned - seen) <= max(2, 0.05 * seen)


def expect_right(plan: dict[str, Any], tap: Tap, finished: Finished, text: str, *, by: str) -> None:
    """A plan is right about requests, writes and log-ins of a run that passed the tap."""
    sent = list(tap.requests())
    writes = [
        path for method, path in sent if method not in SAFE and not path.startswith(TOKEN_PATH)
    ]
    logged_in = seen_log_ins(finished, text)

    assert is_near(plan["requests"], len(sent)), by
    assert is_near(plan["writes"], len([path for path in writes if path != "/__clock"])), by
    for name, count in plan["log_ins"].items():
        assert is_near(count["granted"] + count["refused"], logged_in[name]), f"{by}: {name}"


PARTS = "PERM-list-users or update-contact or REFRESH-chain or SEC-J01 or expired"


@pytest.mark.long
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("everything", ["--select", PARTS]),
        ("everything", ["--read-only", "--select", PARTS]),
        ("one user for each role, a key", ["--select", PARTS]),
        ("ready keys, a bank", ["--select", "KEY or PERM-fetch-form or PERM-create-message"]),
    ],
)
def test_a_part(
    shape: str,
    words: Sequence[str],
    server: Reference,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is planned for a part is sent by its run, in four configurations; the plan itself sends
    nothing.
    """
    expect_planned(shape, words, server, tmp_path, capsys, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("everything", []),
        ("everything", ["--read-only"]),
        ("everything", ["--intrusive", "--rate", "60"]),
        ("one user for each role, a key", []),
        ("ready keys, a bank", ["--rate", "20"]),
    ],
)
def test_a_whole_run(
    shape: str,
    words: Sequence[str],
    server: Reference,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same for whole runs, and with a rate limit the time is right within a fifth."""
    expect_planned(shape, words, server, tmp_path, capsys, monkeypatch)


def expect_planned(
    shape: str,
    words: Sequence[str],
    server: Reference,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plan is right about a run."""
    monkeypatch.setenv("ROLECALL_SIGNING_KEY", Reference.env["ROLECALL_SIGNING_KEY"])
    with Tap(server.url) as tap:
        text = text_of(shape, server).replace(server.url, tap.url)
        file = target(folder, text)
        plan = planned(capsys, file, *words)
        assert tap.sent == []
        finished = certify(file, env=Reference.env, more=words, seconds=900)

    expect_right(plan, tap, finished, text, by=f"{shape} {words}")
    if plan["rate_limit"]:
        began, ended = (
            datetime.fromisoformat(finished.results[name]) for name in ("started", "finished")
        )
        seconds = (ended - began).total_seconds()
        assert plan["duration_s"] == pytest.approx(seconds, rel=0.2)


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The plan names requests, log-ins by account, time, and what it takes for granted."""
    assert main(["plan", "--select", "ISSUE-jwt", "--rate", "2"]) == 0

    said = capsys.readouterr().out
    assert re.search(r"^requests +\d+, of which \d+ write$", said, re.MULTILINE)
    assert re.search(r"^log-ins +\d+ admin$", said, re.MULTILINE)
    assert re.search(r"^duration +\d+ s \(at most 2 requests a second\)$", said, re.MULTILINE)
    assert "assumed       the target answers within 50 ms" in said


def test_what_selects_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A selection of no test is refused as for a run."""
    assert main(["plan", "--select", "no-such-test"]) == 2
    assert "this selects no test" in capsys.readouterr().err
