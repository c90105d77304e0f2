"""``rolecall load guarded`` with real processes and each source of expired tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.load_runs import LoadRun, load
from tests.support.servers import Served, serving, target

KEY = "a key for these tests that is long enough to sign with"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server whose key is known, and whose clock can be moved."""
    with serving("--clock", "--scrypt-n", "128", env={"ROLECALL_SIGNING_KEY": KEY}) as server:
        yield server


def without_expiry(text: str) -> str:
    """A target file's text without its ways to expired tokens."""
    return re.sub(r"^\[expiry\]\n(?:\w.*\n)*", "", text, flags=re.MULTILINE)


def guarded(served: Served, folder: Path, expiry: str) -> LoadRun:
    """A short run at this server, with these ways to expired tokens in the target file."""
    file = target(
        folder,
        f"{without_expiry(served.text)}\n[expiry]\n{expiry}\n"
        if expiry
        else without_expiry(served.text),
    )
    return load("guarded", file, "--rate", "100", "--duration", "2s", cwd=folder, OUR_KEY=KEY)


@pytest.mark.long
def test_expired_tokens_made_with_the_key(served: Served, tmp_path: Path) -> None:
    """Where the target file gives the key, expired tokens of every role are presented, and refused;
    and no clock is moved.
    """
    run = guarded(
        served, tmp_path, f'signing_key_env = "OUR_KEY"\nclock_url = "{served.url}/__clock"'
    )

    sampled = run.document["sampled"]
    assert run.came_to(0), run.said
    assert {line.partition(" as ")[2].partition(" ")[0] for line in sampled["expired"]} == {
        "guest",
        "agent",
        "bot",
        "admin",
    }
    assert all("expired token: signing key" in line for line in sampled["expired"])
    assert sampled["not_tested"] == []
    assert run.entry("expired tokens")["requests"] > 3
    assert not (run.folder / "ledger.jsonl").exists()
    assert KEY not in (run.folder / "load.json").read_text(encoding="utf-8")


@pytest.mark.long
def test_expired_tokens_by_the_clock(served: Served, tmp_path: Path) -> None:
    """Where nothing but the clock leads to some, it is moved for the run, which is said before, and
    is back afterwards.
    """
    run = guarded(served, tmp_path, f'clock_url = "{served.url}/__clock"')

    assert run.came_to(0), run.said
    assert "the target's clock is moved past the end of tokens" in run.said
    assert all("expired token: clock" in line for line in run.document["sampled"]["expired"])
    assert run.document["sampled"]["not_tested"] == []
    assert run.document["sampled"]["expired"]
    assert httpx.get(f"{served.url}/__clock").json()["offset"] == 0
    assert run.left == []


def test_no_way_to_expired_tokens(served: Served, tmp_path: Path) -> None:
    """Without a source, one line says so in load.json, on the page and in the terminal."""
    run = guarded(served, tmp_path, "")

    (why,) = run.document["sampled"]["not_tested"]
    assert run.came_to(0), run.said
    assert why.startswith(
        "expired tokens: the target file names no source of them; give bank, signing_key_env or "
        "clock_url"
    )
    assert run.document["sampled"]["expired"] == []
    assert f"under load: {why}" in run.said
    assert f"not tested under load: {why}" in (run.folder / "load.html").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("expired-let-in-when-busy", "expired-let-in"),
        ("expired-unknown-when-busy", "expired-otherwise"),
        ("answers-kept-by-path-when-busy", "denied-allowed"),
        ("things-mixed-up-when-busy", "allowed-not-shown"),
    ],
)
def test_faults_that_only_show_when_busy(fault: str, kind: str, tmp_path: Path) -> None:
    """Each is found with 60 clients, and nothing else is held against the server; the self-test has
    the others.
    """
    run = load(
        "guarded", "--users=60", "--duration=15s", f"--serve-option=--fault={fault}", cwd=tmp_path
    )

    assert run.came_to(1), run.said
    assert set(run.document["violations"]) == {kind}


@pytest.mark.long
def test_cells_are_prepared_before_a_closed_loop_begins(tmp_path: Path) -> None:
    """A closed loop that lasts a second tries cells from its beginning, however long it took to
    find out which.
    """
    run = load("guarded", "--users=20", "--duration=1s", cwd=tmp_path)

    assert run.came_to(0), run.said
    assert run.entry("cells denied")["requests"] > 3
    assert run.entry("expired tokens")["requests"] > 3


@pytest.mark.long
@pytest.mark.parametrize(
    "variant",
    [
        "sheds-load",
        "keeps-answers-by-token",
        "shows-less-when-busy",
        "lone-sessions",
        "few-sessions",
    ],
)
def test_lawful_servers_that_are_busy(variant: str, tmp_path: Path) -> None:
    """Lawful servers are not accused when they are busy."""
    run = load(
        "guarded",
        "--users=60",
        "--duration=10s",
        f"--serve-option=--variant={variant}",
        cwd=tmp_path,
    )

    assert run.document["violations"] == {}, run.said
    assert run.document["sampled"]["expired"]
    assert run.document["sampled"]["others"] == []
