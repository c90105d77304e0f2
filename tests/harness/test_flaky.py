"""A server error that is gone at the second try makes a run inconclusive, and is called flaky."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import Reference
from tests.support.command import Finished, rolecall
from tests.support.miniatures import Connection, Miniature, Received, response
from tests.support.servers import certify, forwarded, serving

SELECTED = "list-forms and guest and token"


def certified(folder: Path, *, crashes: int) -> Finished:
    """A run against a server that crashes so many times where it
    should refuse the list of forms.
    """
    left = crashes

    def answer(request: Received, connection: Connection) -> None:
        nonlocal left
        usual = forwarded(server.url, request)
        is_crash = request.path.startswith("/v2/forms") and b" 403 " in usual[:15] and left > 0
        left -= is_crash
        connection.send(response(500) if is_crash else usual)

    with (
        serving("--clock", "--scrypt-n", "2", env=Reference.env) as server,
        Miniature(answer) as front,
    ):
        file = server.target_file(folder, url=front.url)
        finished = certify(file, SELECTED, env=Reference.env)
    assert left < crashes
    return finished


def test_it_is_gone_at_the_second_try(tmp_path: Path) -> None:
    """The requirement is inconclusive, its reason names the exchanges of both tries, and the test
    has both in its evidence; judged again, the run says the same.
    """
    finished = certified(tmp_path, crashes=1)
    code, results = finished.code, finished.results

    (entry,) = (entry for entry in results["requirements"] if entry["tests"])
    (test,) = entry["tests"]
    assert (code, results["verdict"], entry["outcome"]) == (3, "inconclusive", "inconclusive")
    said = re.fullmatch(
        r"flaky: expected 403: .*; got 500: .* \(exchange (\d+)\)\); "
        r"as expected at the second try \(.* \(exchange (\d+)\)\)",
        entry["reason"],
    )
    assert said, entry["reason"]
    assert {int(said[1]), int(said[2])} <= set(test["exchanges"])
    assert "log" in test["look_at"]
    assert results["findings"] == []
    again = rolecall("rejudge", finished.folder, cwd=tmp_path)
    assert again.code == 0, again.said


def test_it_is_there_at_the_second_try(tmp_path: Path) -> None:
    """The requirement has failed."""
    finished = certified(tmp_path, crashes=9)

    (finding,) = finished.results["findings"]
    assert (finished.code, finding["requirement"]) == (1, "PERM-list-forms")
    assert finding["actual"].startswith("500")
