"""The ledger: what may be left on the target is on the disk before the request leaves."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from rolecall.ledger import Ledger
from rolecall.whole_files import NotWrittenWhole
from tests.support.command import start
from tests.support.servers import serving


def lines(path: Path) -> list[dict[str, object]]:
    """The events of a ledger."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestLedger:
    """The file and what is read from it."""

    def test_on_a_full_disk_nothing_is_made_and_what_was_made_is_known(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What cannot be written down must not be made; what was made is kept in mind, so that it
        can be deleted.
        """
        ledger = Ledger(tmp_path / "ledger.jsonl")
        made = ledger.intend("user", "rolecall-1")

        def full() -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "_file", SimpleNamespace(write=str, flush=full))
            ledger.created(made, "599e1f")
            with pytest.raises(
                NotWrittenWhole, match=r"ledger\.jsonl could not be written: No space"
            ):
                ledger.intend("user", "rolecall-2")

            assert [entry.id for entry in ledger.left] == ["599e1f"]
            assert list(ledger.doubtful) == []
            ledger.gone(made)
            assert list(ledger.left) == []
        ledger.close()

    def test_every_event_is_on_disk_at_once(self, tmp_path: Path) -> None:
        """An event can be read by others as soon as it is noted, while the ledger is still open."""
        ledger = Ledger(tmp_path / "ledger.jsonl")
        entry = ledger.intend("user", "rolecall-1")
        assert lines(tmp_path / "ledger.jsonl") == [
            {"event": "intend", "number": 1, "resource": "user", "name": "rolecall-1"}
        ]

        ledger.created(entry, "599e1f")
        ledger.gone(entry)
        ledger.gone(entry)

        assert [event["event"] for event in lines(tmp_path / "ledger.jsonl")] == [
            "intend",
            "created",
            "gone",
        ]
        ledger.close()

    def test_what_is_left_comes_newest_first(self, tmp_path: Path) -> None:
        """What was made last is deleted first, and neither what is gone nor what was never made is
        deleted.
        """
        ledger = Ledger(tmp_path / "ledger.jsonl")
        entries = [ledger.intend("user", f"rolecall-{number}") for number in range(4)]
        for number in (0, 1, 3):
            ledger.created(entries[number], f"id-{number}")
        ledger.gone(entries[1])

        assert [entry.id for entry in ledger.left] == ["id-3", "id-0"]
        assert list(ledger.resources) == ["user"]
        assert ledger.of("user", "id-3") is entries[3]
        assert ledger.of("contact", "id-3") is None
        assert ledger.of("user", "") is None
        ledger.close()


def test_a_run_that_is_killed(tmp_path: Path) -> None:
    """After a kill in the middle of a run, everything that it made on the target is in the ledger,
    by its name or its id.
    """
    with serving("--scrypt-n", "2") as reference:
        file = reference.target_file(tmp_path, under_target="concurrency = 8")
        process = start(
            "certify",
            file,
            "--out",
            "runs",
            "--select",
            "create or update or delete",
            cwd=tmp_path,
            env=reference.env,
        )
        ledger = wait_for_ledger(tmp_path / "runs", entries=60)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)

        made = things_made_by_runs(reference.url, reference.text)

    noted = {str(event.get("name") or event.get("id")) for event in lines(ledger)} - {"None"}
    assert process.returncode == -signal.SIGKILL
    assert len(made) >= 10  # it was in the middle of it
    # What was updated meanwhile has another name; then its id was known, and is noted.
    assert [
        thing
        for thing in made
        if thing["id"] not in noted and not any(name in str(thing) for name in noted)
    ] == []


def wait_for_ledger(runs: Path, entries: int) -> Path:
    """The ledger of the run in this folder, when it has so many events."""
    for _ in range(1000):
        for path in runs.glob("*/ledger.jsonl"):
            if len(path.read_bytes().splitlines()) >= entries:
                return path
        time.sleep(0.01)
    pytest.fail("the run wrote no ledger")


def things_made_by_runs(url: str, target: str) -> list[dict[str, str]]:
    """Everything with a run's name in it, in the lists that an admin sees."""
    email, password = re.findall(
        r'\[accounts\.admin\]\nemail = "([^"]*)"\npassword = "([^"]*)"', target
    )[0]
    with httpx.Client(base_url=url, trust_env=False) as admin:
        grant = admin.post("/v2/auth/token", json={"email": email, "password": password}).json()
        admin.headers["authorization"] = f"Bearer {grant['token']}"
        found: list[dict[str, str]] = []
        for resource in (
            "organizations",
            "orggroups",
            "users",
            "conversations",
            "contacts",
            "kbitems",
            "forms",
            "services",
        ):
            found += [
                item
                for item in admin.get(f"/v2/{resource}?limit=1000").json()
                if "rolecall-20" in str(item)
            ]
        return found
