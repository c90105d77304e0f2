"""Bad input end to end: the command against servers that fail in every way, each with one clear message and the right exit code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.errors import ExitCode
from rolecall.schemas import faults
from tests import miniatures
from tests.command import FILES, Finished, rolecall, target_file, target_text
from tests.conftest import Reference
from tests.miniatures import Answer, Connection, Miniature, Received, Tap, always, json_response, response

#: A part of the suite that shows what becomes of log-ins, of cells and of the checks over all answers.
PART = "ISSUE or RESPONSE or list-users"
GRANT = {
    "tokenType": "Bearer",
    "token": "of-no-jwt-0123456789abcdef",
    "refreshToken": "to-refresh-0123456789abcdef",
    "user": "599e1fcd9da1c72645c95886",
    "scope": "admin",
}


def certify(folder: Path, url: str, select: str = PART, *, under_target: str = "timeout = 1") -> Finished:
    """Certify the server at this URL, or the part of it that ``select`` names."""
    words = ["--select", select] if select else []
    return rolecall(
        "certify", target_file(folder, target_text(url, under_target=under_target)), "--out", "runs", *words, cwd=folder
    )


def check_files(finished: Finished) -> dict[str, Any]:
    """The run's folder is complete, and every file of it valid; its results."""
    document = finished.results
    assert {path.name for path in finished.folder.iterdir()} >= FILES
    assert faults("results", document) == []
    assert document["exit_code"] == finished.code
    ElementTree.parse(finished.folder / "junit.xml")
    har = json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))
    assert len(har["log"]["entries"]) == document["requests"]
    return document


def check_manners(finished: Finished) -> None:
    """Nothing is printed that a user cannot make sense of: no traceback, no library's words, no secret."""
    for unwanted in ("Traceback", "INTERNALERROR", 'File "', "httpx", "httptools", "Exception", "password-of-"):
        assert unwanted not in finished.said, unwanted


@dataclass(frozen=True)
class Case:
    """A server's only answer, and what is to be said of such a server."""

    answer: Answer
    code: ExitCode
    says: str
    failed: frozenset[str] = frozenset()
    marks: tuple[pytest.MarkDecorator, ...] = ()


#: A variation of what a quicker case shows as well.
ALSO = (pytest.mark.long,)
GONE = ExitCode.UNREACHABLE
CASES = {
    "never answers": Case(miniatures.silent, GONE, "gives no usable answer: no complete answer within 1 s"),
    "endless body": Case(miniatures.endless, GONE, "gives no usable answer: no complete answer within 1 s", marks=ALSO),
    "huge body": Case(miniatures.huge, GONE, "gives no usable answer: the (body|answer) is larger than 8,388,608 bytes"),
    "cut connection": Case(miniatures.cut_short, GONE, "gives no usable answer: the answer was cut off"),
    "reset": Case(miniatures.reset, GONE, "gives no usable answer: ", marks=ALSO),
    "no HTTP": Case(
        always(b"SSH-2.0-OpenSSH_9.6\r\n"), GONE, "gives no usable answer: the answer was cut off or is no HTTP", marks=ALSO
    ),
    "gateway without a server": Case(always(response(502, b"<h1>Bad gateway</h1>")), GONE, "gives no usable answer: 502"),
    "throttles all": Case(always(response(429, retry_after="0")), GONE, "gives no usable answer: nothing but 429", marks=ALSO),
    "HTML": Case(miniatures.html, ExitCode.FAILED, "ISSUE-fields", frozenset({"ISSUE-fields"})),
    "nothing": Case(always(response(200)), ExitCode.FAILED, "ISSUE-fields", frozenset({"ISSUE-fields"}), marks=ALSO),
    "an array": Case(always(json_response([])), ExitCode.FAILED, "ISSUE-fields", frozenset({"ISSUE-fields"}), marks=ALSO),
    "cut JSON": Case(
        always(response(200, json.dumps(GRANT).encode()[:-40], content_type="application/json")),
        ExitCode.FAILED,
        "RESPONSE-json",
        frozenset({"RESPONSE-json"}),
    ),
    "deep JSON": Case(
        always(response(200, b"[" * 200_000, content_type="application/json")),
        ExitCode.FAILED,
        "RESPONSE-json",
        frozenset({"RESPONSE-json"}),
        marks=ALSO,
    ),
    "500": Case(
        always(json_response({"error": {"message": "boom"}}, 500)), ExitCode.FAILED, "500", frozenset({"ISSUE-status"}), ALSO
    ),
    "no JWT": Case(always(json_response(GRANT)), ExitCode.FAILED, "ISSUE-jwt", frozenset({"ISSUE-jwt"}), marks=ALSO),
    "half characters": Case(
        always(json_response({name: f"\ud800 half a {name}" for name in GRANT} | {"tokenType": "Bearer"})),
        ExitCode.FAILED,
        "ISSUE-jwt",
        frozenset({"ISSUE-jwt", "ISSUE-scope"}),
    ),
    "refuses credentials": Case(
        always(json_response({"error": {"message": "invalid credentials"}}, 401)),
        ExitCode.INCONCLUSIVE,
        "credentials that the target takes",
    ),
    "knows no such path": Case(always(response(404)), ExitCode.INCONCLUSIVE, "credentials that the target takes", marks=ALSO),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name, marks=case.marks) for name, case in CASES.items()])
def test_a_server_with_one_answer(case: Case, tmp_path: Path) -> None:
    """Whatever a server answers to everything, the run ends soon, says what is wrong, and leaves a complete folder."""
    with Miniature(case.answer) as server:
        finished = certify(tmp_path, server.url)

    assert finished.code == case.code, finished.said
    assert re.search(case.says, finished.said), finished.said
    check_manners(finished)
    document = check_files(finished)
    assert case.failed <= {entry["id"] for entry in document["requirements"] if entry["outcome"] == "failed"}
    if case.code is GONE:
        assert finished.seconds < 30
        assert f"{server.url} gives no usable answer" in document["reasons"][0]
        assert len(server.received) < 30
    if case.code is not ExitCode.FAILED:
        assert document["verdict"] == "inconclusive"
        assert not document["findings"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["HTML", "cut JSON", "500", "half characters", "refuses credentials"])
def test_the_whole_suite_against_a_server_with_one_answer(name: str, tmp_path: Path) -> None:
    """The same is true of a whole run, in which every single test meets that answer, and the harness itself does not break."""
    case = CASES[name]
    with Miniature(case.answer) as server:
        finished = certify(tmp_path, server.url, "")

    assert finished.code == case.code, finished.said
    check_manners(finished)
    document = check_files(finished)
    assert document["counts"]["requirements"]["error"] == 0
    assert case.failed <= {entry["id"] for entry in document["requirements"] if entry["outcome"] == "failed"}
    assert finished.seconds < 120


def test_nobody_listens(tmp_path: Path) -> None:
    """A port at which nobody listens is said to be that, with exit code 4, within seconds."""
    with miniatures.nobody() as url:
        finished = certify(tmp_path, url, "")

    assert finished.code == ExitCode.UNREACHABLE, finished.said
    assert finished.stderr == f"rolecall: {url} cannot be reached: nobody listens there\n"
    assert len(finished.stdout.splitlines()) < 10  # no map of cells that nobody has seen
    assert finished.seconds < 30
    check_manners(finished)
    assert check_files(finished)["counts"]["tests"]["passed"] == 0


@pytest.mark.parametrize("status", [302, pytest.param(307, marks=ALSO)])
def test_a_redirect_to_another_host(status: int, tmp_path: Path) -> None:
    """A redirect is no log-in: the requirement fails, and the host that it points to never gets to see a token or a password."""
    with Miniature(always(json_response(GRANT))) as elsewhere, Miniature(miniatures.redirecting(status, elsewhere.url)) as server:
        finished = certify(tmp_path, server.url)

    assert elsewhere.connections == 0
    assert finished.code == ExitCode.FAILED, finished.said
    assert f"{status}" in finished.said
    check_manners(finished)
    document = check_files(finished)
    assert document["findings"][0]["requirement"] == "ISSUE-status"


def test_redirects_of_all_but_log_ins(tmp_path: Path) -> None:
    """A server that issues tokens and redirects every use of them sends no token anywhere either."""
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


def test_a_link_to_another_host(tmp_path: Path) -> None:
    """A list whose next page is said to be on another host is not followed there: the token stays here."""
    with Miniature(always(json_response([]))) as elsewhere:
        page = [{"id": f"599e1fcd9da1c72645c95{number:03d}"} for number in range(20)]

        def server(request: Received, connection: Connection) -> None:
            if request.path == "/v2/auth/token":
                connection.send(json_response(GRANT))
            elif request.method == "GET":
                connection.send(json_response(page, link=f'<{elsewhere.url}{request.path}?offset=20>; rel="next"'))
            else:
                connection.send(json_response({"id": "599e1fcd9da1c72645c95fff"}, 201))

        with Miniature(server) as miniature:
            finished = certify(tmp_path, miniature.url)

    assert [request.path for request in miniature.received].count("/v2/users") > 4
    assert elsewhere.connections == 0
    assert finished.code == ExitCode.FAILED, finished.said


def test_one_that_dies_in_the_middle(tmp_path: Path, reference: Reference) -> None:
    """When the target goes away during the run, it ends soon with exit code 4, and what was found until then is kept."""
    with Tap(reference.url, lives=200) as tap:
        target = reference.target_file(tmp_path, url=tap.url, under_target="timeout = 2")
        finished = rolecall("certify", target, "--out", "runs", "--select", "PERM and token", cwd=tmp_path, env=reference.env)

    assert finished.code == ExitCode.UNREACHABLE, finished.said
    assert re.search(f"{tap.url} (cannot be reached|gives no usable answer): ", finished.said)
    assert finished.seconds < 30
    check_manners(finished)
    document = check_files(finished)
    assert document["verdict"] == "inconclusive"
    assert document["counts"]["tests"]["passed"] > 0
    assert document["counts"]["tests"]["failed"] == 0
    assert document["counts"]["tests"]["error"] == 0
    assert document["left_behind"]  # it could not be tidied up, and that is said


#: One for each place that reads the file: what is put in under [target] and at the end, the place and the remedy named.
MISTAKES = {
    "typo": ("timeot = 1", "", "[target] timeot", "Did you mean 'timeout'?"),
    "unset variable": (
        "",
        '[accounts.bot2]\nemail = "bot2@example.org"\npassword_env = "NOT_SET_ANYWHERE"\n',
        "[accounts.bot2] password_env",
        "NOT_SET_ANYWHERE is not set",
    ),
    "unknown reading": ("", "[dialect]\nexpird = [401]\n", "[dialect] expird", "Did you mean 'expired'?"),
    "unknown operation": ("", '[operations.list-user]\npath = "/v2/u"\n', "[operations.list-user]", "Did you mean 'list-users'?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_target_file(mistake: str, tmp_path: Path) -> None:
    """A mistake in the target file is one message on stderr, exit code 2, and no run: nothing is sent, no folder is made."""
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
