"""The ledger: what may be left on the target is on the disk before the request leaves."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from rolecall.errors import UsageError
from rolecall.ledger import CHANGE, Ledger
from rolecall.whole_files import NotWrittenWhole
from tests.support.command import start
from tests.support.servers import serving


def full(*_: object) -> None:
    """Say what a disk says that has no room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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

        with monkeypatch.context() as patched:
            patched.setattr(ledger._file, "append", full)
            ledger.created(made, "599e1f")
            with pytest.raises(
                NotWrittenWhole, match=r"ledger\.jsonl could not be written: No space"
            ):
                ledger.intend("user", "rolecall-2")

            assert [entry.id for entry in ledger.left] == ["599e1f"]
            assert list(ledger.doubtful) == []
            ledger.gone(made)
            assert list(ledger.left) == []
        with pytest.raises(NotWrittenWhole):  # a disk that has room again is not trusted again
            ledger.intend("user", "rolecall-3")
        assert ledger.is_stored(ledger.intend("user", "found at the end", at_any_rate=True))
        ledger.close()

    def test_without_room_for_what_becomes_of_it_nothing_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An entry takes the room for its end with it: where that is not there, it is refused, and
        the ends of the others are still written.
        """
        ledger = Ledger(tmp_path / "ledger.jsonl")
        made = ledger.intend("user", "rolecall-1")
        monkeypatch.setattr(ledger._file, "reserve", full)

        with pytest.raises(NotWrittenWhole):
            ledger.intend("user", "rolecall-2")
        ledger.created(made, "599e1f")
        ledger.gone(made)
        ledger.close()

        events = [event["event"] for event in lines(tmp_path / "ledger.jsonl")]
        assert events == ["intend", "created", "gone"]

    def test_what_a_disk_does_not_store_is_not_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk may say only when it has to store the entry that it has no room: an entry is not
        stored, and neither is any later one.
        """
        ledger = Ledger(tmp_path / "ledger.jsonl")
        first, second = ledger.intend("user", "rolecall-1"), ledger.intend("user", "rolecall-2")
        ledger.store()
        third = ledger.intend("user", "rolecall-3")
        monkeypatch.setattr(ledger._file, "store", full)

        with pytest.raises(NotWrittenWhole):
            ledger.store()

        assert [ledger.is_stored(entry) for entry in (first, second, third)] == [True, True, False]
        with pytest.raises(NotWrittenWhole):
            ledger.intend("user", "rolecall-4")
        ledger.close()

    def test_it_is_read_again_as_it_was(self, tmp_path: Path) -> None:
        """Another process finds the same entries, with what undoes them, and goes on with them; a
        line that was not written to its end is cut off.
        """
        path = tmp_path / "ledger.jsonl"
        ledger = Ledger(path)
        ledger.note("listed", resource="user")
        ledger.note("listed", resource="user")
        entries = [ledger.intend("user", f"rolecall-{number}") for number in range(3)]
        change = ledger.intend(CHANGE, "name of user 7", undo={"write": {"name": "Gus"}})
        ledger.created(entries[0], "id-0")
        ledger.created(entries[1], "id-1")
        ledger.gone(entries[1])
        ledger.refused(entries[2])
        ledger.close()
        with path.open("a", encoding="utf-8") as file:
            file.write('{"event": "intend", "number": 5, "resou')

        again = Ledger.reopen(path)

        assert [str(entry) for entry in again.left] == ["user id-0 (rolecall-0)"]
        assert [entry.name for entry in again.doubtful] == ["name of user 7"]
        assert next(again.doubtful).undo == change.undo
        assert again.facts == {"listed": [{"resource": "user"}]}
        first = again.of("user", "id-0")
        assert first is not None
        again.gone(first)
        assert again.intend("user", "rolecall-9").number == 5
        again.close()
        assert [event["event"] for event in lines(path)][-2:] == ["gone", "intend"]

    @pytest.mark.parametrize("line", ["7", "[]", "{}", "nonsense", '{"event": "intend"}'])
    def test_what_is_no_ledger_is_refused(self, line: str, tmp_path: Path) -> None:
        """A file of other lines is an error of one kind, whatever they are."""
        path = tmp_path / "ledger.jsonl"
        path.write_text(f"{line}\n", encoding="utf-8")

        with pytest.raises(UsageError, match=r"ledger\.jsonl: line 1 is not an entry of a ledger"):
            Ledger.reopen(path)

    def test_one_that_cannot_be_made_is_said(self, tmp_path: Path) -> None:
        """Where no file can be made one sentence says so, and to open it again is a usage error."""
        with pytest.raises(NotWrittenWhole, match="could not be written: No such file"):
            Ledger(tmp_path / "none" / "ledger.jsonl")
        with pytest.raises(UsageError, match="it cannot be opened: No such file"):
            Ledger.reopen(tmp_path / "none" / "ledger.jsonl")

    @pytest.mark.skipif(sys.platform != "linux", reason="fallocate(2) is Linux's")
    @pytest.mark.parametrize("is_folder", [True, False])
    def test_what_somebody_deletes_is_put_back(self, is_folder: bool, tmp_path: Path) -> None:
        """A ledger that is deleted while it is written, alone or with its folder, is there again at
        its end, and whole.
        """
        folder = tmp_path / "runs" / "one"
        folder.mkdir(parents=True)
        ledger = Ledger(folder / "ledger.jsonl")
        ledger.created(ledger.intend("user", "rolecall-1"), "599e1f")
        shutil.rmtree(tmp_path / "runs") if is_folder else ledger.path.unlink()
        ledger.created(ledger.intend("user", "rolecall-2"), "599e20")
        ledger.close()

        read = Ledger.reopen(ledger.path)

        assert [entry.id for entry in read.left] == ["599e20", "599e1f"]
        read.close()

    def test_room_is_reserved_behind_the_end(self, tmp_path: Path) -> None:
        """What is reserved is no part of the file, and given back when it is closed."""
        path = tmp_path / "ledger.jsonl"
        ledger = Ledger(path)
        if not ledger._file._can_reserve:
            pytest.skip("this file system reserves no room")
        ledger.intend("user", "rolecall-1")

        assert len(lines(path)) == 1
        assert path.stat().st_blocks * 512 >= 16 * 1024
        ledger.close()
        assert path.stat().st_blocks * 512 < 16 * 1024

    @pytest.mark.skipif(sys.platform == "win32", reason="flock(2) is POSIX's")
    def test_two_processes_do_not_write_one(self, tmp_path: Path) -> None:
        """Who opens a ledger that a run still writes learns that."""
        first = Ledger(tmp_path / "ledger.jsonl")
        second = Ledger.reopen(tmp_path / "ledger.jsonl")
        second.close()
        first.close()
        third = Ledger.reopen(tmp_path / "ledger.jsonl")
        third.close()

        assert [first.is_held, second.is_held, third.is_held] == [True, False, True]

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
        # slow enough not to be over before a busy machine has looked
        slowly = "concurrency = 8\nrate_limit = 100"
        file = reference.target_file(tmp_path, under_target=slowly)
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
        ledger = wait_for_ledger(tmp_path / "runs", entries=100)
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
    for _ in range(6000):
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
