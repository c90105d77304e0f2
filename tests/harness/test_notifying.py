"""Telling a command or a webhook: what it gets, when, and what happens if that fails."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.harness import notifying
from rolecall.harness.notifying import NOTIFIED, Notice, Told, check_receiver, notify
from rolecall.report.notice import GOOD, state_without_run
from tests.support.miniatures import (
    Connection,
    Miniature,
    Received,
    always,
    nobody,
    redirecting,
    response,
    silent,
)

TOLD = Told("/etc/staging.toml", "", read_only=False)
TARGET = {"name": "staging", "base_url": "https://staging.example.org"}
BAD = {"exit_code": 1, "verdict": "not-conformant", "failing": ["EXPIRY-403"], "waivers": []}
SECRET = "a-password-of-somebody-7Hq2"


def notice(state: Any = BAD) -> Notice:
    """A notice of a run of staging."""
    return Notice(state, "## The summary\n", TARGET, "20261126-030000-aaaaaa", "runs/a")


def script(folder: Path, code: str) -> str:
    """A command that runs this Python."""
    path = folder / "command.py"
    path.write_text(f"import os, sys, json, time\n{code}\n", encoding="utf-8")
    return f"{sys.executable} {path}"


def test_a_command_gets_summary_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary comes on standard input, the facts as variables; no password is among them."""
    monkeypatch.setenv("ROLECALL_GUEST_PASSWORD", "another")
    monkeypatch.setenv("STAGING_PASSWORD", SECRET)
    got = tmp_path / "got.json"
    command = script(
        tmp_path, f"open({str(got)!r}, 'w').write(json.dumps([sys.stdin.read(), dict(os.environ)]))"
    )

    assert "" == notify(command, tmp_path, TOLD, notice(), {SECRET})

    summary, variables = json.loads(got.read_text(encoding="utf-8"))
    assert "## The summary\n" == summary
    assert ("not-conformant", "1") == (
        variables["ROLECALL_VERDICT"],
        variables["ROLECALL_EXIT_CODE"],
    )
    assert "not-conformant\nfails now: EXPIRY-403" == variables["ROLECALL_CHANGES"]
    assert ("staging", "runs/a") == (variables["ROLECALL_TARGET"], variables["ROLECALL_FOLDER"])
    assert not {"ROLECALL_GUEST_PASSWORD", "STAGING_PASSWORD"} & variables.keys()
    assert "PATH" in variables


def test_a_webhook_gets_a_bounded_document(tmp_path: Path) -> None:
    """One POST of JSON, with a title for people and no more of the summary than 16 KiB."""
    long = Notice(BAD, "x" * 1_000_000, TARGET, "20261126-030000-aaaaaa", "runs/a")
    with Miniature(always(response(204))) as hook:
        assert "" == notify(f"{hook.url}/services/T0", tmp_path, TOLD, long)

    (received,) = hook.received
    document = json.loads(received.body)
    assert ("POST", "/services/T0") == (received.method, received.path)
    assert "staging: not-conformant; fails now: EXPIRY-403" == document["text"]
    assert 16 * 1024 == len(document["summary"])
    assert 1 == document["exit_code"]


def test_it_is_told_once(tmp_path: Path) -> None:
    """The same state again is no news, its end is; another target is another matter."""
    with Miniature(always(response(200))) as hook:
        elsewhere = Notice(BAD, "", {"name": "b", "base_url": "https://b.example.org"})
        for told in (notice(), notice(), notice(GOOD), notice(GOOD), elsewhere):
            assert "" == notify(hook.url, tmp_path, TOLD, told)

    assert [1, 0, 1] == [json.loads(got.body)["exit_code"] for got in hook.received]


def test_a_run_that_did_not_begin_is_of_the_same_target(tmp_path: Path) -> None:
    """The server of a broken target file is unknown; when the file is mended, that is news."""
    with Miniature(always(response(200))) as hook:
        notify(hook.url, tmp_path, TOLD, notice(GOOD))
        for _ in range(2):
            notify(hook.url, tmp_path, TOLD, Notice(state_without_run(2), "wrong"))
        notify(hook.url, tmp_path, TOLD, notice(GOOD))

    assert [2, 0] == [json.loads(got.body)["exit_code"] for got in hook.received]


@pytest.mark.parametrize("answer", [response(500), response(404)], ids=["500", "404"])
def test_what_was_not_taken_is_told_again(answer: bytes, tmp_path: Path) -> None:
    """A webhook that refuses is named by its host alone, and gets the news after the next run."""
    with Miniature(always(answer)) as hook:
        said = notify(f"{hook.url}/{SECRET}?token={SECRET}", tmp_path, TOLD, notice())

    assert "the webhook at 127.0.0.1 answered" in said
    assert SECRET not in said
    with Miniature(always(response(200))) as hook:
        assert "" == notify(hook.url, tmp_path, TOLD, notice())
    assert 1 == len(hook.received)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """What is meant for one URL goes to no other."""
    with Miniature(always(response(200))) as other:
        with Miniature(redirecting(307, other.url)) as hook:
            assert "answered 307" in notify(hook.url, tmp_path, TOLD, notice())
        assert [] == other.received


@pytest.mark.parametrize(
    ("command", "words"),
    [("no-such-command-7 --x", "could not be started"), ("false", "ended with exit code 1")],
)
def test_a_command_that_fails_is_said(command: str, words: str, tmp_path: Path) -> None:
    """It is one sentence with the command's name, and no exception."""
    said = notify(command, tmp_path, TOLD, notice())

    assert words in said
    assert "\n" not in said


def test_nothing_is_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command or a webhook that does not come to an end is given up."""
    monkeypatch.setattr(notifying, "_COMMAND_SECONDS", 0.2)
    monkeypatch.setattr(notifying, "_WEBHOOK_SECONDS", 0.2)

    said = notify(script(tmp_path, "time.sleep(600)"), tmp_path, TOLD, notice())
    assert "was not done after 0.2 s, and was ended" in said
    with Miniature(silent) as hook:
        assert "could not be reached: no answer within 0.2 s" in notify(
            hook.url, tmp_path, TOLD, notice()
        )
    with nobody() as url:
        assert "Connection refused" in notify(url, tmp_path, TOLD, notice())


def test_a_webhook_that_answers_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for the whole answer: one that comes a byte now and then is given up."""
    monkeypatch.setattr(notifying, "_WEBHOOK_SECONDS", 0.3)
    has_ended = threading.Event()

    def drips(request: Received, connection: Connection) -> None:
        while not has_ended.wait(0.05):
            connection.send(b"H")

    with Miniature(drips) as hook:
        said = notify(hook.url, tmp_path, TOLD, notice())
        has_ended.set()

    assert "no answer within 0.3 s" in said


def test_a_webhook_that_speaks_no_http(tmp_path: Path) -> None:
    """It is said in words of ours."""
    with Miniature(always(b"\x16\x03\x01 garbage\r\n\r\n")) as hook:
        assert "its answer is not HTTP" in notify(hook.url, tmp_path, TOLD, notice())


@pytest.mark.parametrize("text", ["", "[]", '{"told": [1, {"state": {}}, null]}', "\x00{"])
def test_a_broken_note_is_as_none(text: str, tmp_path: Path) -> None:
    """Whatever stands in the file, the news is told and the file is whole afterwards."""
    (tmp_path / NOTIFIED).write_text(text, encoding="utf-8")
    with Miniature(always(response(200))) as hook:
        for _ in range(2):
            assert "" == notify(hook.url, tmp_path, TOLD, notice())

    assert 1 == len(hook.received)


@pytest.mark.parametrize(
    "receiver",
    [
        "",
        "  ",
        "unclosed 'quote",
        "http://",
        "HTTP://[::1/" + SECRET,
        "https://a@b/" + SECRET,
        "./not-there.sh " + SECRET,
    ],
)
def test_what_is_no_receiver_is_refused(receiver: str) -> None:
    """Before the run, in a sentence that does not repeat what may be a secret."""
    with pytest.raises(UsageError) as caught:
        check_receiver(receiver)

    assert SECRET not in str(caught.value)
