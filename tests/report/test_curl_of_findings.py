"""The lines to paste, of a server with many faults: each runs in a shell as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rolecall.report.causes import advice, causes
from rolecall.report.curl import token_command
from tests.conftest import Reference
from tests.support.command import ROLES
from tests.support.servers import certify, serving

FAULTS = (
    "denied-401",
    "empty-password",
    "operator-as-password",
    "operator-as-email",
    "operator-in-query",
    "operator-as-refresh-token",
    "trailing-slash-unguarded",
    "dot-segment-unguarded",
    "method-override-honoured",
    "put-unguarded",
    "head-unguarded",
    "options-show-data",
    "populate-shows-denied",
    "strange-limit-crashes",
)
SELECT = "PERM or ISSUE-refused or SEC-A or SEC-R15 or SEC-I06 or SEC-I09"


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None, reason="no curl or no bash here"
)
def test_the_lines_of_thirty_findings_run(tmp_path: Path) -> None:
    """More than thirty different lines, with brackets, quotes, dot segments and bodies, are sent by
    a shell and answered; where nothing was made or deleted meanwhile, as in the finding. The token
    comes from the line that the terminal shows for its role.
    """
    switches = [f"--fault={fault}" for fault in FAULTS]
    with serving("--clock", "--scrypt-n", "2", *switches, env=Reference.env) as server:
        finished = certify(server.target_file(tmp_path), SELECT, env=server.env)
        document = finished.results
        found = [cause for cause in causes(document) + advice(document) if cause.curl]
        tokens = {role: _token(document["target"], role, server.text) for role in ROLES}
        answers = {
            cause: _answer(str(cause.curl), tokens.get(cause.caller.split(" ")[0], "x"))
            for cause in found
        }

    assert len({cause.curl for cause in found}) >= 30, finished.said
    assert any("[" in str(cause.curl) for cause in found)
    assert {cause.requirement for cause in found} >= {"SEC-R15", "SEC-I06", "SEC-A11"}
    for cause, (code, said) in answers.items():
        assert code == 0, (cause.curl, said)
        assert re.match(r"HTTP/1\.1 \d{3}", said), (cause.curl, said)
    lists = [
        cause
        for cause in found
        if cause.requirement.startswith("PERM-list-")
        and cause.caller.endswith(" (token)")
        and cause.kind == "401 instead of 403"
    ]
    assert len(lists) > 5
    for cause in lists:
        assert answers[cause][1].startswith("HTTP/1.1 401"), cause.curl


def _token(target: dict[str, object], role: str, text: str) -> str:
    """The token that the line for a role gives."""
    found = re.search(rf'\[accounts\.{role}\]\nemail = "[^"]*"\npassword = "([^"]*)"', text)
    assert found is not None
    done = subprocess.run(
        ["bash", "-c", f'{token_command(role, target)}\necho "$TOKEN"'],
        env={"PASSWORD": found[1], "PATH": "/usr/bin:/bin:/usr/local/bin", "no_proxy": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(".") == 2, done.stderr
    return done.stdout.strip()


def _answer(line: str, token: str) -> tuple[int, str]:
    """What a shell makes of the line: its exit code, and the beginning of what it prints."""
    done = subprocess.run(
        ["bash", "-c", line],
        env={"TOKEN": token, "PATH": "/usr/bin:/bin", "no_proxy": "*"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=20,
        check=False,
    )
    return done.returncode, (done.stdout or done.stderr)[:300]
