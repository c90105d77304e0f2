"""The command ``rolecall check``: what a look at a target shows, and that it writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rolecall.__main__ import main
from tests.conftest import Reference
from tests.support.miniatures import Miniature, Tap, always, nobody, response
from tests.support.servers import serving, without


@dataclass(frozen=True)
class Checked:
    """What the command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Everything it printed."""
        return self.stdout + self.stderr


Check = Callable[..., Checked]


@pytest.fixture(name="check")
def _check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Check:
    """The command with a target file of a text, in this process."""
    for name, value in Reference.env.items():
        monkeypatch.setenv(name, value)

    def check(text: str, *words: str) -> Checked:
        path = tmp_path / "target.toml"
        path.write_text(text, encoding="utf-8")
        code = main(["check", str(path), *words])
        said = capsys.readouterr()
        return Checked(code, said.out, said.err)

    return check


def test_nothing_is_written(reference: Reference, check: Check, tmp_path: Path) -> None:
    """On the wire there are log-ins and reads alone, and no run's folder is left."""
    with Tap(reference.url) as tap:
        done = check(reference.text.replace(reference.url, tap.url))
        methods = {
            (method, path.partition("?")[0] if method != "GET" else "")
            for method, path in tap.requests()
        }

    assert 0 == done.code, done.said
    assert {("POST", "/v2/auth/token"), ("GET", "")} == methods
    assert ["target.toml"] == [path.name for path in tmp_path.iterdir()]


def test_it_says_what_it_saw(reference: Reference, check: Check) -> None:
    """Accounts with scope and lifetime, clock, refresh token's form, and what to do next."""
    done = check(reference.text)

    assert "guest    guest@example.org: scope 'guest', a token of 24 h" in done.stdout
    assert "the target's agrees with ours" in done.stdout
    assert re.search(r"refresh token opaque, .*characters", done.stdout)
    assert "next          rolecall certify" in done.stdout
    assert "dialect " not in done.stdout


def test_readings_of_the_server_are_suggested(check: Check) -> None:
    """Of a server of another dialect it suggests settings that the server prints itself."""
    with serving("--dialect", "sdk", "--clock", env=Reference.env) as server:
        done = check(without(server.text, "dialect"), "--json")

    document = json.loads(done.stdout)
    suggested = {entry["setting"] for entry in document["suggestions"]}
    assert "[dialect] expired = [401]" in suggested
    printed = server.text.partition("[dialect]\n")[2].splitlines()
    assert suggested <= {f"[dialect] {line}" for line in printed if line}


def test_statuses_that_bad_tokens_have_are_suggested_beside_the_others(check: Check) -> None:
    """A reading holds for several requests: what is suggested has the statuses of all of them."""
    with serving("--fault", "bad-tokens-422", env=Reference.env) as server:
        done = check(server.text, "--json")

    assert [entry["setting"] for entry in json.loads(done.stdout)["suggestions"]] == [
        "[dialect] anonymous = [401, 403, 422]",
        "[dialect] malformed = [400, 401, 403, 422]",
    ]


def test_what_cannot_be_tested_is_named(reference: Reference, check: Check) -> None:
    """Without keys and without a way to an expired token it says so, and what would change that."""
    text = without(without(reference.text, "expiry"), "api_keys")
    done = check(text)

    assert "188 cells with API keys of guest, agent, bot, admin" in done.stdout
    assert "give create_path under [api_keys]" in done.stdout
    assert "that tokens expire" in done.stdout
    assert "give bank under [expiry]" in done.stdout


def test_a_path_that_is_not_there_is_named(reference: Reference, check: Check) -> None:
    """A list that is done elsewhere is found before the run."""
    more = '\n[operations.list-forms]\npath = "/v2/nowhere"\n'
    done = check(reference.text + more)

    assert "GET /v2/nowhere is answered 404" in done.stdout
    assert "set [operations.list-forms] path" in done.stdout


def test_a_role_that_is_another_is_said(reference: Reference, check: Check) -> None:
    """An account that logs in as another role is said first, and is no error of the set-up."""
    text = reference.text.replace("[accounts.bot]", "[accounts.x]")
    text = text.replace("[accounts.agent]", "[accounts.bot]")
    done = check(text.replace("[accounts.x]", "[accounts.agent]"))

    assert 0 == done.code, done.said
    assert "[accounts.bot] logs in with scope 'agent', not as bot" in done.stdout


def test_a_wrong_password_is_said_with_its_account(reference: Reference, check: Check) -> None:
    """Exit code 2 and one message; the password is in none of it."""
    text = re.sub(
        r'(\[accounts\.bot\]\n.*\npassword = ").*?"', r'\1wrong-7Hq2-word"', reference.text
    )
    done = check(text)

    assert 2 == done.code
    assert "[accounts.bot]: the log-in of" in done.stderr
    assert "wrong-7Hq2-word" not in done.said


def test_a_server_that_is_not_there_is_4(reference: Reference, check: Check) -> None:
    """Neither a closed port nor a server without token endpoint is a wrong target file."""
    with nobody() as url:
        closed = check(reference.text.replace(reference.url, url))
    with Miniature(always(response(404))) as other:
        elsewhere = check(reference.text.replace(reference.url, other.url))

    assert (4, 4) == (closed.code, elsewhere.code)
    assert "there is no token endpoint" in elsewhere.stderr
    assert "Traceback" not in closed.said + elsewhere.said


@pytest.mark.parametrize("status", [200, 202, 302, 418, 500, 501])
def test_a_server_that_gives_nobody_a_token_is_4(
    status: int, reference: Reference, check: Check
) -> None:
    """Where no account gets a token, no run can begin, whatever the log-ins were answered."""
    with Miniature(always(response(status))) as other:
        done = check(reference.text.replace(reference.url, other.url))

    assert 4 == done.code, done.said
    assert done.stdout == ""


@pytest.mark.parametrize("text", ["", "[target]", "no toml at all [", '[target]\nbase_url = "x"'])
def test_a_broken_file_is_one_message(text: str, check: Check) -> None:
    """Exit code 2, no traceback."""
    done = check(text)

    assert 2 == done.code
    assert done.stderr.startswith("rolecall: ")
    assert "Traceback" not in done.said


def test_an_empty_bank_is_told(reference: Reference, check: Check) -> None:
    """With a bank alone the first night proves no expiry, and it is said what will."""
    text = without(reference.text, "expiry") + '\n[expiry]\nbank = "bank"\n'
    done = check(text)

    assert "that tokens expire, tonight" in done.stdout
    assert "the first run fills it, and one a day later proves expiry" in done.stdout
