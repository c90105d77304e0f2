"""Tells a command or a webhook of a run, when there is news since it was told last.

What was told is kept in ``notified.json`` beside the runs' folders, and noted only once it was
taken: what could not be told tonight is told tomorrow.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rolecall.errors import UsageError
from rolecall.report.comparison import same_target
from rolecall.report.notice import ended, news, remembered
from rolecall.urls import check_url
from rolecall.whole_files import NotWrittenWhole, write_file

NOTIFIED = "notified.json"
_COMMAND_SECONDS, _WEBHOOK_SECONDS = 30.0, 10.0
_MOST_SUMMARY = 16 * 1024  # characters of the summary that a webhook gets
_MOST_STATES = 200
_AUTHORITYS_END = re.compile("[/?#]")  # in a URL (RFC 3986 3.2)
_OURS = "ROLECALL_"  # how the variables begin that a command gets, and those that hold passwords


@dataclass(frozen=True)
class Told:
    """Which runs are compared with each other: those of one target ``file`` and server, one
    selection, and read-only or not.
    """

    file: str
    select: str
    read_only: bool


@dataclass(frozen=True)
class Notice:
    """What is told: the ``state`` of a run, the ``summary`` in Markdown, and the run's ``target``
    (name and base_url), id and folder, where there is a run.
    """

    state: Mapping[str, Any]
    summary: str
    target: Mapping[str, str] | None = None
    run: str = ""
    folder: str = ""


def check_receiver(receiver: str) -> None:
    """Refuse what is neither a URL nor a command, before a run begins.

    Raises:
        UsageError: it is none; the receiver is not repeated, since a secret may be in it.
    """
    if _is_url(receiver):
        scheme, _, rest = receiver.partition("://")
        check_url(f"{scheme}://{_AUTHORITYS_END.split(rest, 1)[0]}", "--notify")
        return
    try:
        words = shlex.split(receiver)
    except ValueError:
        words = []
    if not words:
        raise UsageError("--notify", "this is neither a URL nor a command")
    if shutil.which(words[0]) is None:
        raise UsageError(
            "--notify", "there is no such program, or it may not be run", "Give its path, or a URL."
        )


def notify(
    receiver: str, out: Path, told: Told, notice: Notice, secrets: Collection[str] = ()
) -> str:
    """Tell the receiver if there is news; a sentence where that failed, or an empty string.

    ``secrets`` are values that no variable of the command's environment may have.
    """
    states = _read(out / NOTIFIED)
    before = next((state for state in reversed(states) if _is_same(state, told, notice)), None)
    changes = news(before["state"] if before else None, notice.state)
    if changes:
        facts = _facts(notice, changes)
        failure = (
            _post(receiver, facts, notice.summary)
            if _is_url(receiver)
            else _run(receiver, facts, notice.summary, secrets)
        )
        if failure:
            return f"--notify: {failure}; it will be tried again after the next run"
    state = remembered(before["state"] if before else None, notice.state)
    if before and before["state"] == state:
        return ""
    entry = {**vars(told), "target": notice.target, "state": state}
    kept = [state for state in states if not _is_same(state, told, notice)]
    return _write(out / NOTIFIED, [*kept, entry][-_MOST_STATES:])


# --- What was told ------------------------------------------------------------------------------


def _read(path: Path) -> list[dict[str, Any]]:
    """What was told, of each target; nothing where the file is not there or is broken."""
    try:
        states = json.loads(path.read_text(encoding="utf-8"))["told"]
        return [state for state in states if state["state"].keys() >= _MEMBERS and "file" in state]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []


_MEMBERS = {"exit_code", "verdict", "failing", "waivers"}


def _is_same(state: Mapping[str, Any], told: Told, notice: Notice) -> bool:
    """Whether something was told of the same runs. Where no run began, the server is unknown, and
    the file alone tells.
    """
    if any(state.get(name) != value for name, value in vars(told).items()):
        return False
    known = state.get("target")
    return not known or not notice.target or same_target(known, notice.target)


def _write(path: Path, states: list[dict[str, Any]]) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps({"told": states}, indent=1) + "\n")
    except (OSError, NotWrittenWhole) as error:
        return f"--notify: what was told is not noted, and may be told again: {error}"
    return ""


# --- Telling ------------------------------------------------------------------------------------


def _facts(notice: Notice, changes: list[str]) -> dict[str, Any]:
    """What a receiver gets beside the summary."""
    state, target = notice.state, notice.target or {}
    return {
        "target": target.get("name", ""),
        "base_url": target.get("base_url", ""),
        "verdict": state["verdict"],
        "exit_code": state["exit_code"],
        "ended": ended(state["exit_code"]),
        "changes": changes,
        "failing": list(state["failing"])[:_MOST_STATES],
        "run": notice.run,
        "folder": notice.folder,
    }


def _run(receiver: str, facts: dict[str, Any], summary: str, secrets: Collection[str]) -> str:
    """Give a command the summary on its standard input; a sentence where it failed."""
    words = shlex.split(receiver)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and value not in secrets
    }
    for name, value in facts.items():
        text = "\n".join(value) if isinstance(value, list) else str(value)
        environment[f"{_OURS}{name.upper()}"] = text
    name = Path(words[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603  # the user's own command, without a shell
            words,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{name} could not be started: {getattr(error, 'strerror', None) or 'bad command'}"
    try:
        process.communicate(summary.encode("utf-8", "backslashreplace"), timeout=_COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{name} was not done after {_COMMAND_SECONDS:g} s, and was ended"
    finally:
        _end(process)
    return f"{name} ended with exit code {process.returncode}" if process.returncode else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that is not done, and what it has started."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: what is posted is meant for the URL that was given."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def _post(receiver: str, facts: dict[str, Any], summary: str) -> str:
    """Post a JSON document of bounded size to a webhook; a sentence where it was not taken."""
    title = f"{facts['target'] or 'rolecall'}: {'; '.join(facts['changes'])}"
    document = {"text": title, **facts, "summary": summary[:_MOST_SUMMARY]}
    data = json.dumps(document).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "rolecall"}
    request = urllib.request.Request(receiver, data, headers, method="POST")  # noqa: S310  # `_is_url`
    answered: list[str] = []
    # In a thread, since urllib's limit is one for each piece of an answer, and for no look-up.
    posting = threading.Thread(target=lambda: answered.append(_sent(request)), daemon=True)
    posting.start()
    posting.join(_WEBHOOK_SECONDS)
    failure = answered[0] if answered else _why_not_reached(TimeoutError())
    host = urlsplit(receiver).hostname  # the rest of the URL may be a secret
    return f"the webhook at {host} {failure}" if failure else ""


def _sent(request: urllib.request.Request) -> str:
    """Send a request to a webhook: what is to be said of the webhook, if it did not take it."""
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=_WEBHOOK_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return _why_not_reached(getattr(error, "reason", error))


def _why_not_reached(reason: object) -> str:
    """A sentence on an error, without its own words: they may repeat the URL."""
    if isinstance(reason, TimeoutError):
        why = f"no answer within {_WEBHOOK_SECONDS:g} s"
    elif isinstance(reason, ssl.SSLCertVerificationError):
        why = f"its certificate is not valid: {reason.verify_message}"
    elif isinstance(reason, OSError) and reason.strerror:
        why = reason.strerror
    elif isinstance(reason, HTTPException):
        why = "its answer is not HTTP"
    else:
        why = type(reason).__name__
    return f"could not be reached: {why}"


def _is_url(receiver: str) -> bool:
    return receiver.lower().startswith(("http://", "https://"))
