"""Servers that close connections unannounced are certified, and nothing is carried out twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.strangers import Handler, Stranger, Who, certified


class Counting(Stranger):
    """Counts the creates that it carries out, by what they write."""

    def __init__(self) -> None:
        super().__init__(trouble=False)
        self.done: Counter[str] = Counter()

    def create(self, name: str, members: dict[str, Any], who: Who) -> tuple[int, Any]:
        """Count a create: each has a name of its own."""
        written = json.dumps(members, sort_keys=True)
        answer = super().create(name, members, who)
        self.done[f"create {name} {written}"] += 1
        return answer


class ClosesEach(Handler):
    """Each connection is closed behind its answer."""

    most = 1
    pause = 0.0

    def setup(self) -> None:
        """Begin to count."""
        super().setup()
        self.answered = 0

    def say(self, status: int, document: Any) -> None:
        """Close after so many answers, which do not say so."""
        super().say(status, document)
        self.answered += 1
        if self.answered == self.most:
            self.wfile.flush()
            time.sleep(self.pause)
            self.close_connection = True


class ClosesEachFifth(ClosesEach):
    """A connection is closed behind its fifth answer."""

    most = 5


class ClosesLate(ClosesEachFifth):
    """The connection is closed while the next request may be on its way, which is not read."""

    pause = 0.003


class ClosesWhatIsIdle(Handler):
    """A connection is closed when nothing has come for a tenth of a second."""

    timeout = 0.1


@pytest.mark.long
@pytest.mark.parametrize("handler", [ClosesEach, ClosesEachFifth, ClosesLate, ClosesWhatIsIdle])
def test_a_server_that_closes_without_saying_so(handler: type[Handler], tmp_path: Path) -> None:
    """The run is conformant with every cell decided, and the server has made nothing twice and
    keeps nothing.
    """
    server = Counting()
    finished = certified(server, tmp_path, handler=handler)

    assert finished.results["verdict"] == "conformant", finished.said
    assert finished.results["counts"]["cells"]["passed"] == 376
    assert len(server.done) > 200
    assert set(server.done.values()) == {1}
    assert server.damage() == []
    assert server.left() == finished.results["left_behind"] == []
