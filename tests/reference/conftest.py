"""One real server for the tests that change nothing others could notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK, Api, tell

Story = Callable[[Api], Awaitable[Any]]


@pytest.fixture(scope="session", name="reference")
def _reference() -> Iterator[Running]:
    """A server on a socket."""
    with running(Settings(scrypt_n=QUICK)) as one:
        yield one


@pytest.fixture(name="told")
def _told(reference: Running) -> Callable[[Story], Any]:
    """Tell a story to the server on the socket."""
    return lambda story: tell(reference.server, story, base_url=reference.base_url)
