"""Certifies failing servers with the command: one clear message each, and the right exit code.

Longer than 400 lines because it lists the servers beside the tests.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.errors import ExitCode
from rolecall.schema_validation import validation_errors
from tests.conftest import Reference
from tests.support import miniatures
from tests.support.command import FILES, Finished, environment, rolecall, target_file, target_text
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    Tap,
    always,
    json_response,
    response,
)
from tests.support.servers import forwarded

#: A part of the suite that shows what becomes of log-ins, of cells and of the checks over all
#: answers.
PART = "ISSUE or RESPONSE or list-users"
GRANT = {
    "tokenType": "Bearer",
    "token": "of-no-jwt-0123456789abcdef",
    "refreshToken": "to-refresh-0123456789abcdef",
    "user": "599e1fcd9da1c72645c95886",
    "scope": "admin",
}


def certify(
    folder: Path, url: str, select: str = PART, *, under_target: str = "timeout = 1"
) -> Finished:
    """Certify the server at this URL, or the part of it that ``select`` names."""
    words = ["--select", select] if select else []
    return rolecall(
        "certify",
        target_file(folder, target_text(url, under_target=under_target)),
        "--out",
        "runs",
        *words,
        cwd=folder,
    )


def check_files(finished: Finished) -> dict[str, Any]:
    """The run's folder is complete, and every file of it valid; its results."""
    document = finished.results
    assert {path.name for path in finished.folder.iterdir()} >= FILES
    assert validation_errors("results", document) == []
    assert document["exit_code"] == finished.code
    ElementTree.parse(finished.folder / "junit.xml")
    har = json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))
    assert len(har["log"]["entries"]) == document["requests"]
    return document


def check_manners(finished: Finished) -> None:
    """Nothing is printed that a user cannot make sense of: no traceback, no library's words, no
    secret.
    """
    for unwanted in (
        "Traceback",
        "INTERNALERROR",
        'File "',
        "httpx",
        "httptools",
        "Exception",
        "-7Hq2",
    ):
        assert unwanted not in finished.said, unwanted


#: Sixty-four megabytes in sixty kilobytes.
BOMB = gzip.compress(bytes(64 * 1024 * 1024), 1)


@dataclass(frozen=True)
class Case:
    """A server's only answer, and what is to be said of such a server."""

    answer: Answer
    code: ExitCode
    says: str
    failed: frozenset[str] = frozenset()
    marks: tuple[pytest.MarkDecorator, ...] = ()
    seconds: float = 30  # that a run may take


#: A variation of what a quicker case shows as well.
ALSO = (pytest.mark.long,)
GONE = ExitCode.UNREACHABLE
CASES = {
    "never answers": Case(
        miniatures.silent, GONE, "gives no usable answer: no complete answer within 1 s"
    ),
    "endless body": Case(
        miniatures.endless,
        GONE,
        "gives no usable answer: no complete answer within 1 s",
        marks=ALSO,
    ),
    "huge body": Case(
        miniatures.huge,
        GONE,
        "gives no usable answer: the (body|answer) is larger than 8,388,608 bytes",
        marks=ALSO,
    ),
    "cut connection": Case(
        miniatures.cut_short, GONE, "gives no usable answer: the answer was cut off"
    ),
    "reset": Case(miniatures.reset, GONE, "gives no usable answer: ", marks=ALSO),
    "no HTTP": Case(
        always(b"SSH-2.0-OpenSSH_9.6\r\n"),
        GONE,
        "gives no usable answer: the answer was cut off or is not HTTP",
        marks=ALSO,
    ),
    "gateway without a server": Case(
        always(response(502, b"<h1>Bad gateway</h1>")), GONE, "gives no usable answer: 502"
    ),
    "throttles all": Case(
        always(response(429, retry_after="0")),
        GONE,
        "gives no usable answer: nothing but 429",
        marks=ALSO,
        seconds=120,  # it may be a storm of a minute
    ),
    "bomb": Case(
        always(response(200, BOMB, content_encoding="gzip", content_type="application/json")),
        GONE,
        "gives no usable answer: the body is larger than 8,388,608 bytes",
    ),
    "a coding that nobody asked for": Case(
        always(response(200, b"whatever", content_encoding="br", content_type="application/json")),
        GONE,
        "gives no usable answer: the body is encoded with br, which is not read here",
        marks=ALSO,
    ),
    "UTF-16": Case(
        always(response(200, json.dumps(GRANT).encode("utf-16"), content_type="application/json")),
        ExitCode.FAILED,
        "RESPONSE-json",
        frozenset({"RESPONSE-json"}),
        marks=ALSO,
    ),
    "HTML": Case(
        miniatures.html, GONE, "/v2/auth/token is answered 200 with a web page. Check base_url"
    ),
    "a portal": Case(
        always(response(511)),
        GONE,
        "/v2/auth/token is answered 511: the network wants a log-in of its own",
        marks=ALSO,
    ),
    "a firewall's refusal": Case(
        always(
            response(
                403,
                b"<title>Attention\n Required!</title>",
                content_type="text/html; charset=UTF-8",
            )
        ),
        ExitCode.USAGE,
        r"stands before the server: the answer is a web page \(Attention Required!\)",
    ),
    "a log-in before the log-in": Case(
        always(response(401, www_authenticate='Basic realm="staging"')),
        ExitCode.USAGE,
        "stands before the server: it asks for a log-in of scheme Basic",
        marks=ALSO,
    ),
    "nothing": Case(
        always(response(200)),
        ExitCode.FAILED,
        "ISSUE-fields",
        frozenset({"ISSUE-fields"}),
        marks=ALSO,
    ),
    "an array": Case(
        always(json_response([])),
        ExitCode.FAILED,
        "ISSUE-fields",
        frozenset({"ISSUE-fields"}),
        marks=ALSO,
    ),
    "cut JSON": Case(
        always(response(200, json.dumps(GRANT).encode()[:-40], content_type="application/json")),
        ExitCode.FAILED,
        "RESPONSE-json",
        frozenset({"RESPONSE-json"}),
        marks=ALSO,
    ),
    "deep JSON": Case(
        always(response(200, b"[" * 200_000, content_type="application/json")),
        ExitCode.FAILED,
        "RESPONSE-json",
        frozenset({"RESPONSE-json"}),
        marks=ALSO,
    ),
    "500": Case(
        always(json_response({"error": {"message": "boom"}}, 500)),
        ExitCode.FAILED,
        "500",
        frozenset({"ISSUE-status"}),
        ALSO,
    ),
    "no JWT": Case(
        always(json_response(GRANT)),
        ExitCode.FAILED,
        "ISSUE-jwt",
        frozenset({"ISSUE-jwt"}),
        marks=ALSO,
    ),
    "half characters": Case(
        always(
            json_response(
                {name: f"\ud800 half a {name}" for name in GRANT} | {"tokenType": "Bearer"}
            )
        ),
        ExitCode.FAILED,
        "ISSUE-jwt",
        frozenset({"ISSUE-jwt", "ISSUE-scope"}),
        marks=ALSO,
    ),
    "refuses credentials": Case(
        always(json_response({"error": {"message": "invalid credentials"}}, 401)),
        ExitCode.USAGE,
        r"the log-in of .* is refused \(401\): invalid credentials",
    ),
    "knows no such path": Case(
        always(response(404)),
        GONE,
        "/v2/auth/token is answered 404: there is no token endpoint",
        marks=ALSO,
    ),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=case.marks) for name, case in CASES.items()]
)
def test_a_server_with_one_answer(case: Case, tmp_path: Path) -> None:
    """Whatever a server answers to everything, the run ends soon, says what is wrong, and leaves a
    complete folder.
    """
    with Miniature(case.answer) as server:
        finished = certify(tmp_path, server.url)

    assert finished.code == case.code, finished.said
    assert re.search(case.says, finished.said), finished.said
    check_manners(finished)
    document = check_files(finished)
    assert case.failed <= {
        entry["id"] for entry in document["requirements"] if entry["outcome"] == "failed"
    }
    if case.code is GONE:
        assert finished.seconds < case.seconds
        assert re.match(f"{re.escape(server.url)} ?{case.says}", document["reasons"][0])
        assert len(server.received) < 30
    if case.code is not ExitCode.FAILED:
        assert document["verdict"] == "inconclusive"
        assert not document["findings"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["HTML", "cut JSON", "500", "half characters"])
def test_the_whole_suite_against_a_server_with_one_answer(name: str, tmp_path: Path) -> None:
    """The same is true of a whole run, in which every single test meets that answer, and the
    harness itself does not break.
    """
    case = CASES[name]
    with Miniature(case.answer) as server:
        finished = certify(tmp_path, server.url, "")

    assert finished.code == case.code, finished.said
    check_manners(finished)
    document = check_files(finished)
    assert document["counts"]["requirements"]["error"] == 0
    assert case.failed <= {
        entry["id"] for entry in document["requirements"] if entry["outcome"] == "failed"
    }
    assert finished.seconds < 120


def test_nobody_listens(tmp_path: Path) -> None:
    """A port on which no server listens is reported as such, with exit code 4, within seconds."""
    with miniatures.nobody() as url:
        finished = certify(tmp_path, url, "")

    assert finished.code == ExitCode.UNREACHABLE, finished.said
    assert finished.stderr == f"rolecall: {url} cannot be reached: no server listens there\n"
    assert len(finished.stdout.splitlines()) < 10  # no map of cells that were not tested
    assert finished.seconds < 30
    check_manners(finished)
    assert check_files(finished)["counts"]["tests"]["passed"] == 0


@pytest.mark.parametrize("status", [302, pytest.param(307, marks=ALSO)])
def test_a_redirect_to_another_host(status: int, tmp_path: Path) -> None:
    """A redirected log-in shows that base_url leads elsewhere (as http for https): nothing is held
    against the server, the place is named without a query, and gets no token or password.
    """
    with (
        Miniature(always(json_response(GRANT))) as elsewhere,
        Miniature(miniatures.redirecting(status, f"{elsewhere.url}/x?session=1#")) as server,
    ):
        finished = certify(tmp_path, server.url)

    assert elsewhere.connections == 0
    assert finished.code == ExitCode.UNREACHABLE, finished.said
    there = f"{elsewhere.url}/x"
    assert f"answered {status}, a redirect (Location: {there}), and none is" in finished.stderr
    check_manners(finished)
    document = check_files(finished)
    assert (document["findings"], document["requests"]) == ([], 1)


def test_redirects_of_all_but_log_ins(tmp_path: Path) -> None:
    """A server that issues tokens and redirects every use of them gets no token sent elsewhere."""
    with Miniature(always(json_response([]))) as elsewhere:

        def server(request: Received, connection: Connection) -> None:
            if request.path == "/v2/auth/token":
                connection.send(json_response(GRANT))
            else:
                connection.send(response(307, location=elsewhere.url + request.path))

        with Miniature(server) as miniature:
            finished = certify(tmp_path, miniature.url)

        assert any("authorization" in request.headers for request in miniature.received)

    assert elsewhere.connections == 0
    assert finished.code == ExitCode.FAILED, finished.said
    check_files(finished)


@pytest.mark.long
def test_a_link_to_another_host(tmp_path: Path) -> None:
    """A list whose next page is said to be on another host is not followed there: the token stays
    here.
    """
    with Miniature(always(json_response([]))) as elsewhere:
        page = [{"id": f"599e1fcd9da1c72645c95{number:03d}"} for number in range(20)]

        def server(request: Received, connection: Connection) -> None:
            if request.path == "/v2/auth/token":
                connection.send(json_response(GRANT))
            elif request.method == "GET":
                connection.send(
                    json_response(
                        page, link=f'<{elsewhere.url}{request.path}?offset=20>; rel="next"'
                    )
                )
            else:
                connection.send(json_response({"id": "599e1fcd9da1c72645c95fff"}, 201))

        with Miniature(server) as miniature:
            finished = certify(tmp_path, miniature.url)

    assert [request.path for request in miniature.received].count("/v2/users") > 4
    assert elsewhere.connections == 0
    assert finished.code == ExitCode.FAILED, finished.said


#: Makes of an answer to a caller that the server knows another one.
Change = Callable[[Received, bytes], bytes]
LONG_ID = "x" * 1_000_000
CHANGES: dict[str, tuple[str, Change]] = {
    "a link that is no URL": (
        "list-contacts or create-contact",
        lambda request, answer: answer.replace(
            b"\r\n", b'\r\nlink: <http://[x>; rel="next"\r\n', 1
        ),
    ),
    "a link of sixty kilobytes": (
        "list-contacts or create-contact",
        lambda request, answer: answer.replace(b"\r\n", b"\r\nlink: " + b"<" * 60_000 + b"\r\n", 1),
    ),
    "ids of a megabyte": (
        "create-contact or list-contacts",
        lambda request, answer: (
            json_response({"id": LONG_ID}, 201)
            if request.method == "POST" and "contacts" in request.path
            else answer
        ),
    ),
}


#: A run of each takes seconds.
QUICK_CHANGES = {"a link of sixty kilobytes"}


@pytest.mark.parametrize(
    "change", [pytest.param(name, marks=() if name in QUICK_CHANGES else ALSO) for name in CHANGES]
)
def test_what_a_hostile_server_links_to(change: str, tmp_path: Path, reference: Reference) -> None:
    """No link and no id of a server breaks the run, or keeps it from writing its files: it ends
    with a verdict, in time.
    """
    select, changed = CHANGES[change]

    def answer(request: Received, connection: Connection) -> None:
        connection.send(changed(request, forwarded(reference.url, request)))

    with Miniature(answer) as server:
        target = reference.target_file(tmp_path, url=server.url)
        finished = rolecall(
            "certify",
            target,
            "--out",
            "runs",
            "--select",
            f"PERM and token and ({select})",
            cwd=tmp_path,
            env=reference.env,
        )

    assert finished.code in {
        ExitCode.CONFORMANT,
        ExitCode.FAILED,
        ExitCode.INCONCLUSIVE,
        ExitCode.LEFT_BEHIND,
    }, finished.said
    check_manners(finished)
    document = check_files(finished)
    assert document["counts"]["tests"]["error"] == 0
    assert max(len(line) for line in finished.said.splitlines()) < 2000
    assert (finished.folder / "ledger.jsonl").stat().st_size < 1_000_000
    assert finished.seconds < 60


@pytest.mark.long
def test_lists_of_megabytes(tmp_path: Path, reference: Reference) -> None:
    """A server whose every list is of eight megabytes is found inconclusive soon, and not at the
    price of the machine's memory.
    """
    endless = response(200, b"[" + b"{}," * 2_700_000 + b"{}]", content_type="application/json")

    def answer(request: Received, connection: Connection) -> None:
        is_list = request.method == "GET" and request.path.startswith(
            ("/v2/contacts", "/v2/users?")
        )
        connection.send(endless if is_list else forwarded(reference.url, request))

    with Miniature(answer) as server:
        target = reference.target_file(tmp_path, url=server.url, under_target="timeout = 20")
        finished = rolecall(
            "certify",
            target,
            "--out",
            "runs",
            "--select",
            "PERM and token and contact",
            cwd=tmp_path,
            env=reference.env,
        )

    assert finished.code in {ExitCode.INCONCLUSIVE, ExitCode.LEFT_BEHIND}, finished.said
    check_manners(finished)
    document = check_files(finished)
    assert document["counts"]["tests"]["failed"] == 0
    assert "JSON of no more than" in finished.said
    assert finished.seconds < 60


@pytest.mark.long
def test_one_that_dies_in_the_middle(tmp_path: Path, reference: Reference) -> None:
    """When the target goes away during the run, and is not started anew within 20 seconds, it ends
    with exit code 4, and what was found until then is kept.
    """
    with Tap(reference.url, lives=200) as tap:
        target = reference.target_file(tmp_path, url=tap.url, under_target="timeout = 2")
        finished = rolecall(
            "certify",
            target,
            "--out",
            "runs",
            "--select",
            "PERM and token",
            cwd=tmp_path,
            env=reference.env,
        )

    assert finished.code == ExitCode.UNREACHABLE, finished.said
    assert re.search(f"{tap.url} (cannot be reached|gives no usable answer): ", finished.said)
    assert finished.seconds < 60
    check_manners(finished)
    document = check_files(finished)
    assert document["verdict"] == "inconclusive"
    assert document["counts"]["tests"]["passed"] > 0
    assert document["counts"]["tests"]["failed"] == 0
    assert document["counts"]["tests"]["error"] == 0
    assert document["left_behind"]  # it could not be tidied up, and that is said


#: The command, with files that take a minute to make, in both of the processes that make them.
_SLOW_FILES = """
import os, sys, time
from rolecall.harness import run
def slowly(*_, **__):
    os.write(2, b"making\\n")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sum(range(1000))
run.artefacts.texts = run.allure.files = slowly
from rolecall.__main__ import script
script()
"""


def test_sigterm_while_the_files_are_made(tmp_path: Path) -> None:
    """A job that is told to end lets its files be made; told twice, it says nothing of a verdict or
    of files that are not there, and leaves no process behind.
    """
    # Longer than 40 lines because a server, its run and what came of it stand together.
    file = target_file(tmp_path, target_text("http://127.0.0.1:1"))
    with Miniature(CASES["refuses credentials"].answer) as server:
        file.write_text(target_text(server.url), encoding="utf-8")
        words = [
            sys.executable,
            "-c",
            _SLOW_FILES,
            "certify",
            str(file),
            "--out",
            "runs",
            "--select",
            "ISSUE-fields",
        ]
        with subprocess.Popen(
            words,
            cwd=tmp_path,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr
            said = ""
            while said.count("making\n") < 2:
                line = process.stderr.readline()
                assert line, said
                said += line
            process.terminate()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            process.terminate()
            began = time.monotonic()
            # to the end of both processes, which share the pipes
            stdout, stderr = process.communicate(timeout=30)

    assert time.monotonic() - began < 10
    assert process.returncode == ExitCode.INTERRUPTED
    assert stdout == ""
    (folder,) = (tmp_path / "runs").iterdir()
    assert (
        f"rolecall: interrupted while the files were made: {Path('runs') / folder.name} holds no "
        "results" in stderr
    )
    assert [path.name for path in folder.iterdir()] == ["ledger.jsonl"]


#: One for each place that reads the file: what is put in under [target] and at the end, the place
#: and the remedy named.
MISTAKES = {
    "typo": ("timeot = 1", "", "[target] timeot", "Did you mean 'timeout'?"),
    "unset variable": (
        "",
        '[accounts.bot2]\nemail = "bot2@example.org"\npassword_env = "NOT_SET_ANYWHERE"\n',
        "[accounts.bot2] password_env",
        "NOT_SET_ANYWHERE is not set",
    ),
    "unknown reading": (
        "",
        "[dialect]\nexpird = [401]\n",
        "[dialect] expird",
        "Did you mean 'expired'?",
    ),
    "unknown operation": (
        "",
        '[operations.list-user]\npath = "/v2/u"\n',
        "[operations.list-user]",
        "Did you mean 'list-users'?",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_target_file(mistake: str, tmp_path: Path) -> None:
    """A mistake in the target file is one message on stderr, exit code 2, and no run: nothing is
    sent, no folder is made.
    """
    under_target, more, place, says = MISTAKES[mistake]
    with Miniature(miniatures.html) as server:
        file = target_file(tmp_path, target_text(server.url, under_target=under_target, more=more))
        finished = rolecall("certify", file, "--out", "runs", cwd=tmp_path)

    assert finished.code == ExitCode.USAGE
    assert finished.stdout == ""
    assert finished.stderr.startswith(f"rolecall: {file}")
    assert place in finished.stderr
    assert says in finished.stderr
    assert len(finished.stderr.splitlines()) <= 2
    check_manners(finished)
    assert server.connections == 0
    assert not finished.out.exists()
