"""The layer of the ledger: a request that makes something leaves when its entry is on the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import httpx
import pytest

from rolecall.http.transports import ENTRY, WrittenDown
from rolecall.ledger import Ledger, LedgerEntry
from rolecall.whole_files import NotWrittenWhole


class Wire(httpx.AsyncBaseTransport):
    """Notes whether the entry of each request was on the disk when it left."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.left: list[bool] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        entry: LedgerEntry | None = request.extensions[ENTRY]
        self.left.append(entry is None or self.ledger.is_stored(entry))
        return httpx.Response(200)


async def send(layer: WrittenDown, *entries: LedgerEntry | None) -> None:
    """Send a request for each entry, all at the same time."""
    requests = [httpx.Request("POST", "http://t.example", extensions={ENTRY: e}) for e in entries]
    await asyncio.gather(*(layer.handle_async_request(request) for request in requests))


def test_an_entry_is_stored_before_its_request_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One wait for the disk serves all who wait at the same time; who makes nothing does not wait,
    and the loop goes on meanwhile.
    """
    ledger = Ledger(tmp_path / "ledger.jsonl")
    threads: list[str] = []
    monkeypatch.setattr(
        ledger._file, "store", lambda: threads.append(threading.current_thread().name)
    )
    wire = Wire(ledger)
    layer = WrittenDown(wire, ledger)
    entries = [ledger.intend("contact", f"rolecall-{number}") for number in range(8)]

    asyncio.run(send(layer, *entries, None))
    asyncio.run(send(layer, ledger.intend("contact", "rolecall-9")))

    assert wire.left == [True] * 10
    assert len(threads) == 2
    assert threading.main_thread().name not in threads
    ledger.close()


def test_what_the_disk_does_not_take_does_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk keeps every request back that would make something, and none that undoes it."""
    ledger = Ledger(tmp_path / "ledger.jsonl")

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ledger._file, "store", full)
    wire = Wire(ledger)
    layer = WrittenDown(wire, ledger)
    entries = [ledger.intend("contact", f"rolecall-{number}") for number in range(2)]

    for entry in entries:
        with pytest.raises(NotWrittenWhole):
            asyncio.run(send(layer, entry))
    asyncio.run(send(layer, None, ledger.intend("contact", "found", at_any_rate=True)))

    assert wire.left == [True, True]
    ledger.close()
