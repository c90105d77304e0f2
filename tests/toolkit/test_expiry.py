"""The five ways to an expired token, each against a reference server with a clock and a key.

Longer than 400 lines because
the five ways are told on the same servers, whose helpers all of them share.
"""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.switches import instead_of
from rolecall.reference.target import target_file as describe
from tests.conftest import SIGNING_KEY, Reference
from tests.support.command import ROLES, Finished
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    always,
    json_response,
    response,
)
from tests.support.servers import (
    Admin,
    Served,
    advance,
    certify,
    clock_offset,
    credentials,
    forwarded,
    serving,
    target,
    without,
)

#: Enough of the tests of expiry: reads, lists and writes, every role, and the refresh that comes
#: after.
SELECT = (
    "EXPIRY and (contact or user-self or guest or agent or bot or admin) or REFRESH-after-expiry"
)
DAY = 25 * 3600.0


@pytest.fixture
def served() -> Iterator[Served]:
    """A server of the test's own: its clock is moved."""
    with serving("--clock", "--scrypt-n", "2", env=Reference.env) as server:
        yield server


def file_with(server: Reference, folder: Path, *expiry: str, name: str = "target.toml") -> Path:
    """The server's target file with these ways to an expired token and no others."""
    return target(
        folder, without(server.text, "expiry") + "\n[expiry]\n" + "\n".join(expiry) + "\n", name
    )


def file_behind(proxy: Miniature, server: Reference, folder: Path) -> Path:
    """The target file of a server that is reached through a proxy, its clock beside it."""
    text = server.text.replace(server.url, proxy.url)
    return file_with(Reference(proxy.url, text), folder, f'clock_url = "{server.url}/__clock"')


def outcome(finished: Finished, requirement: str) -> tuple[str, str]:
    """What became of a requirement, and the reason."""
    entry = next(entry for entry in finished.results["requirements"] if entry["id"] == requirement)
    return entry["outcome"], entry["reason"]


def notes(finished: Finished) -> str:
    """Everything that tests wrote down beside their evidence."""
    entries = finished.results["requirements"]
    return "\n".join(note for entry in entries for test in entry["tests"] for note in test["notes"])


def assert_proven(finished: Finished, grade: str, source: str) -> None:
    """Expiry is proven by this way, with this grade, without a finding."""
    results = finished.results
    assert results["findings"] == [], results["findings"]
    assert outcome(finished, "EXPIRY-403")[0] == "passed", finished.said
    assert outcome(finished, "EXPIRY-no-effect")[0] == "passed", finished.said
    assert results["expiry_evidence"] == grade
    assert f"{source}, evidence grade {grade}: 403" in notes(finished)
    assert results["left_behind"] == []


def assert_not_proven(finished: Finished, reason: str) -> None:
    """Expiry is not tested, for this reason, without a finding and without a pass."""
    results = finished.results
    assert results["findings"] == []
    for requirement in ("EXPIRY-403", "EXPIRY-no-effect"):
        what, why = outcome(finished, requirement)
        assert (what, reason in why) == ("not-tested", True), why
    assert results["expiry_evidence"] == ""
    assert finished.code == 3
    assert results["verdict"] == "inconclusive"


# --- The token bank, grade A -------------------------------------------------------------------


@pytest.mark.long
def test_the_bank_proves_expiry_the_next_night(served: Served, tmp_path: Path) -> None:
    """The first night fills the bank and proves nothing; the nights after it prove expiry with
    grade A.
    """
    file, bank = file_with(served, tmp_path, 'bank = "bank"'), tmp_path / "bank"

    first = certify(file, SELECT)
    kept = (bank / "tokens.json").read_text(encoding="utf-8")
    advance(served.url, DAY)
    second = certify(file, SELECT)
    again = certify(file, SELECT)
    advance(served.url, DAY)
    third = certify(file, SELECT)

    assert_not_proven(first, "run again tomorrow")
    assert f"the bank {bank} holds no expired token yet" in first.said
    assert {deposit["role"] for deposit in json.loads(kept)} == set(ROLES)
    assert stat.S_IMODE((bank / "tokens.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(bank.stat().st_mode) == 0o700
    # A refresh token that was presented may be spent: presenting it again would accuse a server
    # that rotates them.
    for night in (second, again, third):
        assert_proven(night, "A", "bank")
    for night in (second, third):
        assert outcome(night, "REFRESH-after-expiry") == ("passed", "")
    assert outcome(again, "REFRESH-after-expiry")[0] == "not-tested"


@pytest.mark.long
def test_a_night_later_the_verdict_is_conformant(served: Served, tmp_path: Path) -> None:
    """On a server whose clock is 25 hours ahead of last night's, and of ours, the bank proves
    expiry with the strongest grade, and the whole run is conformant; on disk it is encrypted.
    """
    file = file_with(served, tmp_path, 'bank = "bank"', 'bank_key_env = "BANK"')
    env = {"BANK": "a passphrase of many words"}

    first = certify(file, "EXPIRY-403 and guest", env=env)
    advance(served.url, DAY)
    second = certify(file, env=env)

    assert "which will have expired by" in outcome(first, "EXPIRY-403")[1]
    assert second.results["verdict"] == "conformant", second.said
    assert second.results["expiry_evidence"] == "A"
    assert second.code == 0
    assert list(json.loads((tmp_path / "bank" / "tokens.json").read_text())) == ["encrypted"]
    assert env["BANK"] not in "".join(
        path.read_text(encoding="utf-8") for path in second.folder.glob("*.*")
    )


@pytest.mark.nightly
def test_with_all_ways_the_strongest_counts(served: Served, tmp_path: Path) -> None:
    """With the signing key and the clock beside the bank, what depends on time is judged by the
    clock of the target, which is 25 hours ahead: conformant, with grade A, and the clock is put
    back to where it was.
    """
    file = target(tmp_path, served.text.replace("[expiry]\n", '[expiry]\nbank = "bank"\n'))

    certify(file, "EXPIRY-403 and guest", env=served.env)
    advance(served.url, DAY)
    second = certify(file, env=served.env)

    assert second.results["verdict"] == "conformant", second.said
    assert second.results["expiry_evidence"] == "A"
    assert outcome(second, "SEC-T03-beyond-leeway") == ("passed", "")
    assert clock_offset(served.url) == DAY


def test_an_old_refresh_token_is_not_asked_for(served: Served, tmp_path: Path) -> None:
    """A bank of last month proves expiry, but no refresh: refresh tokens may have ended."""
    file = file_with(served, tmp_path, 'bank = "bank"')

    certify(file, "EXPIRY-403 and guest")
    advance(served.url, 30 * DAY)
    finished = certify(file, SELECT)

    assert_proven(finished, "A", "bank")
    assert outcome(finished, "REFRESH-after-expiry")[0] == "not-tested"


def test_the_bank_keeps_other_targets_apart(served: Served, tmp_path: Path) -> None:
    """Tokens of one server are not presented to another one that shares the bank."""
    certify(file_with(served, tmp_path, 'bank = "bank"'), "EXPIRY-403 and guest")
    with serving("--clock", "--scrypt-n", "2") as other:
        advance(other.url, DAY)

        finished = certify(
            file_with(other, tmp_path, 'bank = "bank"', name="other.toml"), "EXPIRY-403 and guest"
        )

    assert outcome(finished, "EXPIRY-403")[0] == "not-tested"
    deposits = json.loads((tmp_path / "bank" / "tokens.json").read_text(encoding="utf-8"))
    assert {deposit["base_url"] for deposit in deposits} == {served.url, other.url}


def test_a_bank_that_others_may_read_is_refused(served: Served, tmp_path: Path) -> None:
    """A bank with wider rights is a mistake in the configuration: exit code 2, how to mend it, and
    nothing is sent.
    """
    file = file_with(served, tmp_path, 'bank = "bank"')
    certify(file, "EXPIRY-403 and guest")
    (tmp_path / "bank" / "tokens.json").chmod(0o644)

    finished = certify(file, SELECT)

    assert finished.code == 2, finished.said
    assert "others may read this token bank" in finished.stderr
    assert "chmod 600" in finished.stderr
    assert "Traceback" not in finished.said
    assert finished.folders == []


@pytest.mark.parametrize("content", ["no JSON", '{"a": 1}', '[{"token": "x"}]', '[{"base_u'])
def test_a_run_goes_on_without_a_spoiled_bank(
    content: str, reference: Reference, tmp_path: Path
) -> None:
    """A bank that is cut off, altered or none is left as it is: the run says so once, goes on
    without it, and proves no expiry.
    """
    bank = tmp_path / "bank" / "tokens.json"
    bank.parent.mkdir()
    bank.touch(mode=0o600)
    bank.write_text(content, encoding="utf-8")

    finished = certify(file_with(reference, tmp_path, 'bank = "bank"'), "EXPIRY-403 and guest")

    assert finished.code == 3, finished.said
    assert outcome(finished, "EXPIRY-403")[0] == "inconclusive"
    said = finished.stdout.partition("note   ")[2].partition("\n")[0]
    assert f"the run went on without its token bank: {bank}: this is not a token bank" in said
    assert "Move it away" in said
    assert "Traceback" not in finished.said
    assert bank.read_text(encoding="utf-8") == content


def test_a_spoiled_bank_closes_its_own_way_only(served: Served, tmp_path: Path) -> None:
    """Where the clock proves expiry, a bank without its key costs a note and nothing else."""
    ways = ('bank = "bank"', 'bank_key_env = "BANK"', f'clock_url = "{served.url}/__clock"')
    select, env = "EXPIRY-403 and guest", {"BANK": "a passphrase of many words"}
    certify(file_with(served, tmp_path, *ways[:2]), select, env=env)
    kept = (tmp_path / "bank" / "tokens.json").read_bytes()

    finished = certify(file_with(served, tmp_path, *ways), select, env={"BANK": 16 * "x"})

    assert finished.code == 0, finished.said
    assert finished.results["expiry_evidence"] == "A-"
    assert "without its token bank" in finished.stdout
    assert "it was encrypted with another key, or it was altered" in finished.stdout
    assert (tmp_path / "bank" / "tokens.json").read_bytes() == kept


def test_a_bank_that_is_a_file_is_refused(reference: Reference, tmp_path: Path) -> None:
    """A bank is a folder; where a file stands in its place nothing is sent: exit code 2."""
    (tmp_path / "bank").write_text("mine", encoding="utf-8")

    finished = certify(file_with(reference, tmp_path, 'bank = "bank"'), SELECT)

    assert finished.code == 2, finished.said
    assert "Traceback" not in finished.said
    assert str(tmp_path / "bank") in finished.stderr


# --- What the token is not to blame for --------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        pytest.param("list-forms", "GET", "/v2/forms", marks=pytest.mark.long),
        pytest.param("create-form", "POST", "/v2/forms", marks=pytest.mark.long),
        ("delete-form", "DELETE", "/v2/forms/"),
    ],
)
def test_what_is_not_there_at_all_is_not_held_against_expiry(
    operation: str, method: str, path: str, served: Served, tmp_path: Path
) -> None:
    """An operation that all roles get 404 for says nothing of expired tokens."""

    def without_forms(request: Received, connection: Connection) -> None:
        asked = request.path.partition("?")[0]
        is_gone = request.method == method and (
            asked == path or (path.endswith("/") and asked.startswith(path))
        )
        connection.send(
            json_response({"error": "no forms"}, 404) if is_gone else forwarded(served.url, request)
        )

    with Miniature(without_forms) as server:
        file = file_behind(server, served, tmp_path)
        finished = certify(file, f"EXPIRY-403 and {operation}")

    assert finished.results["findings"] == []
    assert outcome(finished, "EXPIRY-403")[0] == "inconclusive", finished.said


def test_the_other_reading_of_expired_tokens_is_named(tmp_path: Path) -> None:
    """A server whose only difference is 401 for expired tokens is told which setting reads it
    so.
    """
    with serving("--clock", "--scrypt-n", "2", "--fault", "expired-401") as server:
        finished = certify(server.target_file(tmp_path), "EXPIRY-403 and list-contacts")

    (finding,) = finished.results["findings"]
    assert (
        finding["actual"]
        == "401, as RFC 6750 has it; a target file can say so: [dialect] expired = [401]"
    )


# --- A clock that can be moved, grade A- -------------------------------------------------------


def test_a_moved_clock_proves_expiry(served: Served, tmp_path: Path) -> None:
    """A clock that moves proves expiry and the last minute before it with grade A-, and is put
    back.
    """
    finished = certify(file_with(served, tmp_path, f'clock_url = "{served.url}/__clock"'), SELECT)

    assert_proven(finished, "A-", "clock")
    assert outcome(finished, "EXPIRY-not-before") == ("passed", "")
    assert outcome(finished, "REFRESH-after-expiry") == ("passed", "")
    assert clock_offset(served.url) == 0
    assert Admin(served).left_by(finished.results["run"]) == []


def test_a_clock_that_lies_proves_nothing(reference: Reference, tmp_path: Path) -> None:
    """A hook that answers 200 and moves nothing leaves expiry not tested, without a finding."""
    with Miniature(always(json_response({"offset": 86400}))) as liar:
        finished = certify(
            file_with(reference, tmp_path, f'clock_url = "{liar.url}/__clock"'), SELECT
        )

        assert len(liar.received) > 1
        assert_not_proven(finished, "a clock that moved: a new token's iat is not a lifetime later")
        assert outcome(finished, "EXPIRY-not-before")[0] == "not-tested"


def test_a_clock_that_refuses_proves_nothing(tmp_path: Path) -> None:
    """A hook that is not there is no evidence, and no fault of the server's."""
    with serving("--scrypt-n", "2") as server:
        text = f'{server.text}\n[expiry]\nclock_url = "{server.url}/__clock"\n'

        finished = certify(target(tmp_path, text), SELECT)

    assert_not_proven(finished, "a clock that moves")


def test_a_clock_that_does_not_go_back_is_told(served: Served, tmp_path: Path) -> None:
    """When the clock cannot be put back, what was made is deleted all the same, and the clock is
    named: exit code 7.
    """

    def one_way(request: Received, connection: Connection) -> None:
        if json.loads(request.body)["advance"] < 0:
            connection.send(response(500))
        else:
            answer = httpx.post(f"{served.url}/__clock", json=json.loads(request.body))
            connection.send(
                response(answer.status_code, answer.content, content_type="application/json")
            )

    with Miniature(one_way) as clock:
        finished = certify(
            file_with(served, tmp_path, f'clock_url = "{clock.url}/__clock"'), SELECT
        )

    (left,) = finished.results["left_behind"]
    assert left.startswith("the target's clock, moved by 86460 s")
    assert finished.code == 7
    assert Admin(served).left_by(finished.results["run"]) == []


def reset_after(request: Received, connection: Connection) -> None:
    """The hook has moved the clock, and its answer is lost."""
    connection.reset()


def gateway_timeout(request: Received, connection: Connection) -> None:
    """The hook has moved the clock, and what stands before it has not waited for the answer."""
    connection.send(response(504))


@pytest.mark.parametrize("lost", [reset_after, gateway_timeout])
@pytest.mark.parametrize("number", [1, 2, 3], ids=["first", "second", "way-back"])
def test_a_clock_whose_answer_is_lost_is_put_back(
    number: int, lost: Answer, served: Served, tmp_path: Path
) -> None:
    """The target's time, and no answer, tells whether its clock moved: it proves expiry, and ends
    exactly where it was.
    """
    moves: list[float] = []

    def forgetful(request: Received, connection: Connection) -> None:
        moves.append(json.loads(request.body)["advance"])
        answer = httpx.post(f"{served.url}/__clock", json={"advance": moves[-1]})
        if len(moves) == number:
            lost(request, connection)
        else:
            connection.send(
                response(answer.status_code, answer.content, content_type="application/json")
            )

    with Miniature(forgetful) as clock:
        finished = certify(
            file_with(served, tmp_path, f'clock_url = "{clock.url}/__clock"'), "EXPIRY and guest"
        )

    assert moves == [86340, 120, -86460]
    assert clock_offset(served.url) == 0
    assert finished.results["left_behind"] == []
    assert outcome(finished, "EXPIRY-not-before") == ("passed", "")
    assert outcome(finished, "EXPIRY-403") == ("passed", "")
    ledger = (finished.folder / "ledger.jsonl").read_text(encoding="utf-8")
    assert [name in ledger for name in ("+86340 s", "+120 s", "-86460 s")] == [True] * 3


def test_a_clock_that_never_moved_proves_no_last_minute(tmp_path: Path) -> None:
    """A server that ends tokens five minutes early is not passed because a hook said 200 and moved
    nothing.
    """

    def liar(request: Received, connection: Connection) -> None:
        connection.send(json_response({}) if len(clock.received) == 1 else response(404))

    options = ("--clock", "--scrypt-n", "2", "--fault", "dies-five-minutes-early")
    with serving(*options, env=Reference.env) as server, Miniature(liar) as clock:
        file = file_with(server, tmp_path, f'clock_url = "{clock.url}/__clock"')
        finished = certify(file, "EXPIRY and guest")

    assert outcome(finished, "EXPIRY-not-before")[0] == "not-tested", finished.said
    assert finished.results["findings"] == []
    assert finished.results["left_behind"] == []


def test_a_read_only_run_leaves_the_clock_alone(served: Served, tmp_path: Path) -> None:
    """With --read-only the clock is not moved, and expiry is not tested for that reason."""
    with Miniature(always(json_response({}))) as clock:
        file = file_with(served, tmp_path, f'clock_url = "{clock.url}/__clock"')
        finished = certify(file, "EXPIRY and guest", more=("--read-only",))

        assert clock.received == []
    assert outcome(finished, "EXPIRY-403")[0] == "not-tested"
    assert "--read-only: the target's clock would be moved" in outcome(finished, "EXPIRY-403")[1]
    assert (
        "--read-only: the target's clock would be moved"
        in outcome(finished, "EXPIRY-not-before")[1]
    )


@pytest.mark.long
def test_resets_in_the_last_minute_are_tried_again(served: Served, tmp_path: Path) -> None:
    """Four resets of one read in the set-up of expiry are passing trouble: the way is gone again,
    and proves expiry.
    """
    resets: list[tuple[str, str]] = []

    def breaking(request: Received, connection: Connection) -> None:
        wanted = request.path, request.headers.get("authorization", "")
        if (
            request.method == "GET"
            and clock_offset(served.url)
            and wanted == (resets or [wanted])[0]
            and len(resets) < 4
        ):
            resets.append(wanted)
            connection.reset()
        else:
            connection.send(forwarded(served.url, request))

    with Miniature(breaking) as proxy:
        file = file_behind(proxy, served, tmp_path)
        finished = certify(file, "EXPIRY and guest")

    assert len(resets) == 4
    assert outcome(finished, "EXPIRY-not-before") == ("passed", ""), finished.said
    assert outcome(finished, "EXPIRY-403") == ("passed", "")
    assert clock_offset(served.url) == 0


@pytest.mark.long
@pytest.mark.parametrize(("seconds", "code"), [(3, 0), (30, 4)])
def test_a_target_that_is_away_while_its_clock_is_ahead(
    seconds: int, code: int, served: Served, tmp_path: Path
) -> None:
    """A target that stops answering a day ahead is asked until it is back, and its clock goes back,
    too; one that is back soon is only waited for, and one that is not is given up: exit code 4.
    """
    back: list[float] = []

    def away(request: Received, connection: Connection) -> None:
        if not back and clock_offset(served.url) > 86400:
            back.append(time.monotonic() + seconds)
        if back and time.monotonic() < back[0]:
            connection.reset()
        else:
            connection.send(forwarded(served.url, request))

    with Miniature(away) as proxy:
        file = file_behind(proxy, served, tmp_path)
        finished = certify(file, "EXPIRY and guest")

    assert back
    assert clock_offset(served.url) == 0
    assert finished.results["left_behind"] == []
    assert finished.code == code, finished.said


@pytest.mark.long
def test_a_minute_that_was_waited_is_no_early_end(served: Served, tmp_path: Path) -> None:
    """A limiter that asks once for a minute's pause, in a token's last minute, is obeyed, and not
    blamed for its end.
    """
    throttled: list[Received] = []

    def limited(request: Received, connection: Connection) -> None:
        if request.method == "GET" and clock_offset(served.url) and not throttled:
            throttled.append(request)
            connection.send(response(429, retry_after="60"))
        else:
            connection.send(forwarded(served.url, request))

    with Miniature(limited) as proxy:
        file = file_behind(proxy, served, tmp_path)
        finished = certify(file, "EXPIRY-not-before")

    assert throttled
    assert finished.results["findings"] == []
    assert outcome(finished, "EXPIRY-not-before") == ("passed", ""), finished.said
    assert clock_offset(served.url) == 0


# --- The signing key, grade B ------------------------------------------------------------------


def test_the_signing_key_proves_expiry(served: Served, tmp_path: Path) -> None:
    """Tokens made with the target's key prove expiry and the last minute before it with grade B."""
    file = file_with(served, tmp_path, 'signing_key_env = "THE_KEY"')

    finished = certify(file, SELECT, env={"THE_KEY": SIGNING_KEY})

    assert_proven(finished, "B", "signing key")
    assert outcome(finished, "EXPIRY-not-before") == ("passed", "")
    assert outcome(finished, "REFRESH-after-expiry")[0] == "not-tested"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [("another key, which is long enough as well", "HS256"), (SIGNING_KEY, "HS512")],
    ids=["wrong-key", "wrong-algorithm"],
)
def test_a_wrong_key_accuses_nobody(
    key: str, algorithm: str, served: Served, tmp_path: Path
) -> None:
    """A wrong key or algorithm leaves expiry not tested, and the reason names the setting."""
    file = file_with(served, tmp_path, 'signing_key_env = "THE_KEY"', f'algorithm = "{algorithm}"')

    finished = certify(file, SELECT, env={"THE_KEY": key})

    assert_not_proven(
        finished, "does not take tokens made with the key of [expiry] signing_key_env and algorithm"
    )


# --- Waiting, grade C --------------------------------------------------------------------------


def short_lived(folder: Path, seconds: int, *expiry: str) -> Iterator[Path]:
    """The target file of a server whose tokens live this long, as its dialect says."""
    with running(Settings(scrypt_n=2)) as server:

        @instead_of(server.server.issuer.lifetime)
        def lifetime() -> int:
            return seconds

        text = describe(server.server, server.base_url)
        more = "\n".join(["", "[expiry]", *expiry, "", "[dialect]", f"lifetime = {seconds}", ""])
        yield target(folder, text + more)


@pytest.mark.long
def test_waiting_proves_expiry(tmp_path: Path) -> None:
    """A target whose tokens live for seconds is waited for; grade C, and the run's own log-ins
    outlive the wait.
    """
    for file in short_lived(tmp_path, 3, "wait = 5"):
        finished = certify(file, SELECT)

    assert_proven(finished, "C", "wait")
    assert outcome(finished, "REFRESH-after-expiry") == ("passed", "")
    assert finished.results["dialect"]["departures"] == {"lifetime": 3}


def test_nobody_waits_longer_than_allowed(reference: Reference, tmp_path: Path) -> None:
    """Tokens that live longer than ``wait`` are not waited for."""
    began = time.monotonic()

    finished = certify(file_with(reference, tmp_path, "wait = 2"), SELECT)

    assert_not_proven(finished, "tokens live 86400 s, longer than [expiry] wait = 2")
    assert time.monotonic() - began < 30


# --- A program, grade D ------------------------------------------------------------------------


def program(folder: Path, tokens: dict[str, str]) -> str:
    """A command that prints the token of a role."""
    script = folder / "expired_token.py"
    script.write_text(f"import sys\nprint({tokens!r}[sys.argv[1]])\n", encoding="utf-8")
    return f'command = "{sys.executable} {script} {{role}}"'


def token_of(server: Reference, role: str, expires_in: float) -> str:
    """A token as the server would have issued it, with another end."""
    email, password = credentials(server.text, role)
    answer = httpx.post(f"{server.url}/v2/auth/token", json={"email": email, "password": password})
    claims: dict[str, Any] = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    end = int(time.time() + expires_in)
    return jwt.encode({**claims, "iat": end - 86400, "exp": end}, SIGNING_KEY)


def test_a_program_proves_expiry(served: Served, tmp_path: Path) -> None:
    """Expired tokens that a program prints prove expiry with grade D, and stay out of the run's
    files.
    """
    tokens = {role: token_of(served, role, expires_in=-3600) for role in ROLES}

    finished = certify(file_with(served, tmp_path, program(tmp_path, tokens)), SELECT)

    assert_proven(finished, "D", "command")
    files = [
        path.read_text(encoding="utf-8") for path in finished.folder.rglob("*") if path.is_file()
    ]
    signatures = [token.rpartition(".")[2] for token in tokens.values()]
    assert [
        signature for signature in signatures if signature in "".join(files) + finished.said
    ] == []


def test_a_program_that_prints_a_live_token_proves_nothing(served: Served, tmp_path: Path) -> None:
    """A token that has not expired is not presented as expired."""
    tokens = {role: token_of(served, role, expires_in=3600) for role in ROLES}

    finished = certify(file_with(served, tmp_path, program(tmp_path, tokens)), SELECT)

    assert_not_proven(finished, "an expired JWT from")


@pytest.mark.parametrize("command", ["false", "no-such-program-anywhere {role}", "echo no-token"])
def test_a_program_that_fails_proves_nothing(command: str, served: Served, tmp_path: Path) -> None:
    """A program that is missing, fails or prints something else is named, without a finding."""
    finished = certify(file_with(served, tmp_path, f'command = "{command}"'), SELECT)

    assert_not_proven(finished, command.split(maxsplit=1)[0])


# --- All, and none -----------------------------------------------------------------------------


def test_the_strongest_of_several_ways_counts(served: Served, tmp_path: Path) -> None:
    """All ways that are given are used, and the grade is that of the strongest."""
    tokens = {role: token_of(served, role, expires_in=-3600) for role in ROLES}
    ways = [
        f'clock_url = "{served.url}/__clock"',
        'signing_key_env = "THE_KEY"',
        program(tmp_path, tokens),
    ]

    finished = certify(file_with(served, tmp_path, *ways), SELECT, env={"THE_KEY": SIGNING_KEY})

    assert_proven(finished, "A-", "clock")
    assert "signing key, evidence grade B: 403" in notes(finished)
    assert "command, evidence grade D: 403" in notes(finished)


@pytest.mark.long
def test_without_a_way_expiry_is_not_proven(served: Served, tmp_path: Path) -> None:
    """A whole run without any way to an expired token is inconclusive, and says that expiry was not
    proven and why.
    """
    finished = certify(target(tmp_path, without(served.text, "expiry")))

    assert_not_proven(
        finished, "no expired token: name a way to one under [expiry] in the target file"
    )
    assert outcome(finished, "EXPIRY-not-before")[0] == "not-tested"
    assert (
        "expiry was not proven: no expired token: name a way to one under [expiry] in the target "
        "file" in finished.results["reasons"]
    )
    assert "expiry was not proven" in finished.stdout
    others = [
        entry
        for entry in finished.results["requirements"]
        if entry["level"] == "must" and "EXPIRY" not in entry["id"]
    ]
    assert {entry["outcome"] for entry in others if entry["id"] != "REFRESH-after-expiry"} == {
        "passed"
    }
