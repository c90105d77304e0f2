"""Measures what it costs to look at an answer, and what of that each part costs, in CPU time.

Run it with ``python benchmarks/checks.py``. There is no network: log-ins are answered at once, each
with another token of 600 bytes, so what is left is Rolecall's own work. The parts are measured
alone, one after the other; what they do not add up to are the comparisons between them.
"""

from __future__ import annotations

import gc
import json
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from time import perf_counter, process_time
from typing import Any, ClassVar

from rolecall.jwt_forging import compact
from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.seen_tokens import SeenTokens, own_fingerprint
from rolecall.loadgen.checks.sessions import Harmless, Holder, LoginSession, SessionGrant
from rolecall.loadgen.checks.token_answer import jwt_claims, token_answer_in
from rolecall.loadgen.client_context import ClientContext, LoadConnection
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.scenarios import IssuanceScenario
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.wire import Response, whole
from rolecall.spec.loading import load_specification

ANSWERS, ROUNDS = 20_000, 7
USERS = [f"{number:024x}" for number in range(1, 41)]
_HEAD = {"alg": "HS256", "typ": "JWT"}
ACCOUNTS = [LoadAccount(f"user{user}@example.org", "a password", "admin") for user in USERS]


def answer(user: str) -> bytes:
    """A whole answer to a log-in of this user."""
    now = int(time.time())
    claims = {"_id": user, "scope": "admin", "iat": now, "exp": now + 86_400}
    claims |= {"organization": "f" * 24, "jti": secrets.token_hex(16)}
    token = compact(_HEAD, claims, lambda message: secrets.token_bytes(32))
    document = {"tokenType": "Bearer", "token": token, "user": user, "scope": "admin"}
    document |= {"refreshToken": f"{user}.{secrets.token_hex(20)}", "organization": "f" * 24}
    return _response(json.dumps(document).encode())


def _response(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


class Answered(LoadConnection):
    """A connection whose answers are there before anything is asked."""

    answers: ClassVar[Iterator[bytes]]

    def open(self) -> None:
        """Nothing has to be opened."""

    def exchange(self, request: bytes) -> Response:
        """The next answer, or the profile that is asked for."""
        self.sent = self.received = perf_counter()
        answer = whole(_profile(request) if request.startswith(b"GET") else next(self.answers))
        assert answer is not None
        return answer


class Unconnected(ClientContext):
    """A target of which every connection is `Answered`, also those that come later."""

    def connect(self) -> Answered:
        """A connection without a socket."""
        return Answered(self.origin, timeout=1.0)


def _rows(context: ClientContext) -> Iterator[list[Any]]:
    """What was measured of each kind of request, as a message has it."""
    return (sums for _, _, sums in context.recorder.take()["entries"])


def _profile(request: bytes) -> bytes:
    user = request.split(b" ", 2)[1].rpartition(b"/")[2]
    return _response(b'{"id":"%s"}' % user)


def step(rounds: list[list[bytes]], *, looks: bool) -> float:
    """CPU microseconds of one log-in by a client: the median of the rounds."""
    tables = load_specification()
    dialect = tables.dialect({}, "")
    origin = Origin.of("http://127.0.0.1:9")
    spec = tables.for_target({}, dialect, "")
    context = Unconnected(origin, spec, dialect, ACCOUNTS, timeout=1.0, looks=looks)
    client = IssuanceScenario(context)
    took = []
    for answers in rounds:
        context.begin(Recorder(perf_counter()))
        Answered.answers = iter(answers)
        gc.collect()
        gc.freeze()
        took.append(_of_one(lambda: client.step(perf_counter()), len(answers)))
        assert not any(errors for *_, errors, _, _ in _rows(context)), "it was answered"
    assert context.violations.total == 0
    return statistics.median(took)


def each(work: Callable[[], object]) -> float:
    """CPU microseconds of one call: the median of the rounds."""
    return statistics.median(_of_one(work, ANSWERS) for _ in range(ROUNDS))


def _of_one(work: Callable[[], object], count: int) -> float:
    """CPU microseconds of one of so many calls."""
    begun = process_time()
    for _ in range(count):
        work()
    return (process_time() - begun) / count * 1e6


def parts() -> Iterator[tuple[str, float]]:
    """What a look at an answer is made of, each with its CPU microseconds."""
    data = answer(USERS[0])
    response = whole(data)
    assert response is not None
    payload = json.loads(response.body)["token"].split(".")[1]
    holder = Holder(ACCOUNTS[0], Harmless())
    session = LoginSession(holder)
    seen = SeenTokens()
    numbers = iter([secrets.randbits(64) for _ in range(ANSWERS * ROUNDS)])
    yield "the JSON of the answer, by the schema", each(lambda: token_answer_in(response.body))
    yield "the token's claims: base64url and JSON", each(lambda: jwt_claims(payload))
    yield "the account of the session", each(lambda: LoginSession(holder))
    yield (
        "the account of the grant",
        each(lambda: SessionGrant(payload, payload, USERS[0], session, 0, 0.0, 86_400, 1, True)),
    )
    yield "a fingerprint, twice", 2 * each(lambda: own_fingerprint(payload))
    # Random places are far from each other, as those of tokens are; that costs most.
    yield "the table of those seen, twice", 2 * each(lambda: seen.add(next(numbers)))


def main() -> None:
    """Measure, and print one table."""
    rounds = [
        [answer(user) for user, _ in zip(cycle(USERS), range(ANSWERS), strict=False)]
        for _ in range(ROUNDS)
    ]
    without, checked = step(rounds, looks=False), step(rounds, looks=True)
    nothing = each(lambda: None)
    found = {name: microseconds - nothing for name, microseconds in parts()}
    found["comparing them, and calls"] = checked - without - sum(found.values())
    print("| | CPU µs |\n|---|---:|")
    print(f"| a log-in and its answer, without the network | {without:.1f} |")
    for name, microseconds in found.items():
        print(f"| {name} | {microseconds:.1f} |")
    print(f"| **all of it** | **{checked:.1f}** |")


if __name__ == "__main__":
    main()
