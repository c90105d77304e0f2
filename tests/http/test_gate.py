"""The gate, and what reaches the wire through it when a target answers with anything at all.

Longer than 400 lines because each rule of the gate has its requests beside it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.harness.cleanup import tidy
from rolecall.http._httpx import httpx
from rolecall.http.client import Client
from rolecall.http.gate import Creation, Gate, Thing, Withheld, means_another_method, names
from rolecall.ledger import CLOCK, Ledger
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.redaction import Secrets
from rolecall.spec.loading import load_specification
from rolecall.target import Account, ApiKeyOptions, Target
from rolecall.toolkit.throwaway_users import changeable
from rolecall.toolkit.world import World

URL = "http://target.example"
SPEC = load_specification()
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """A ledger that is closed at the end."""
    ledger = Ledger(path)
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate with nothing behind it yet."""
    with opened(tmp_path / "ledger.jsonl") as ledger:
        yield Gate(ledger, URL, clock_url=f"{URL}/__clock")


def made(gate: Gate, resource: str, id: str) -> Thing:
    """A thing of the run's own."""
    gate.own(gate.ledger.intend(resource, "rolecall-1"), id)
    return Thing(resource, id)


# --- The gate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_what_is_safe_passes(gate: Gate, method: str) -> None:
    """A safe method that means no other passes, whatever it names."""
    gate.admit(method, f"{URL}/v2/users/somebody", {}, None)


@pytest.mark.parametrize("method", UNSAFE)
def test_what_is_the_runs_own_may_be_changed(gate: Gate, method: str) -> None:
    """A change of a thing that the run made, named in the path, passes."""
    gate.admit(method, f"{URL}/v2/contacts/a%2Fb", {}, made(gate, "contact", "a/b"))


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    ("path", "thing"),
    [
        ("/v2/contacts/", Thing("contact", "")),
        ("/v2/contacts", None),
        ("/v2/contacts/", Thing("contact", "own")),
        ("/v2/contacts/other", Thing("contact", "own")),
        ("/v2/contacts/other", Thing("contact", "other")),
        ("/v2/users/own", Thing("user", "own")),
        ("/v2/contacts/gone", Thing("contact", "gone")),
    ],
    ids=[
        "no-id",
        "no-thing",
        "collection",
        "another-in-the-path",
        "not-ours",
        "another-kind",
        "gone",
    ],
)
def test_what_is_not_the_runs_own_is_not_changed(
    gate: Gate, method: str, path: str, thing: Thing | None
) -> None:
    """A change without an id, of a collection, of another's thing or of one that is gone is never
    sent.
    """
    made(gate, "contact", "own")
    made(gate, "contact", "gone")
    gone = gate.ledger.of("contact", "gone")
    assert gone is not None
    gate.ledger.gone(gone)

    with pytest.raises(Withheld):
        gate.admit(method, f"{URL}{path}", {}, thing)


def test_an_accounts_user_is_never_the_runs_own(gate: Gate) -> None:
    """Even when a create was answered with its id, an account's user is changed on loan only, and
    then no more.
    """
    gate.protect("user", "admin")
    thing = made(gate, "user", "admin")

    with pytest.raises(Withheld):
        gate.admit("DELETE", f"{URL}/v2/users/admin", {}, thing)
    with gate.borrowing("user", "admin"):
        gate.admit("PATCH", f"{URL}/v2/users/admin", {}, thing)
    with pytest.raises(Withheld):
        gate.admit("PATCH", f"{URL}/v2/users/admin", {}, thing)


def test_what_was_there_before_is_others(gate: Gate) -> None:
    """An id that was shown before a create left is not that create's; one that is shown after it
    may be.
    """
    gate.saw("contact", "17", 10.0)

    assert gate.is_others("contact", "17", 11.0)
    assert gate.is_others("contact", "17", 10.0), "a clock may tick so slowly"
    assert not gate.is_others("contact", "17", 9.0)
    assert not gate.is_others("user", "17", 11.0)


def test_a_creation_needs_its_entry(gate: Gate, tmp_path: Path) -> None:
    """A create passes once its entry is in this run's ledger, and only inside of something of the
    run's own.
    """
    entry = gate.ledger.intend("message", "rolecall-1")
    with opened(tmp_path / "other.jsonl") as ledger:
        other = ledger.intend("message", "x")
    gate.admit(
        "POST",
        f"{URL}/v2/conversations/1/messages",
        {},
        Creation(entry, made(gate, "conversation", "1")),
    )

    with pytest.raises(Withheld):
        gate.admit(
            "POST",
            f"{URL}/v2/conversations/2/messages",
            {},
            Creation(entry, Thing("conversation", "2")),
        )
    with pytest.raises(Withheld):
        gate.admit("POST", f"{URL}/v2/contacts", {}, Creation(other))


def test_the_clock_is_moved_by_its_hook_alone(gate: Gate) -> None:
    """A move of the clock needs its entry and goes to the hook's URL; nothing else that is unsafe
    leaves for elsewhere.
    """
    move, thing = (
        Creation(gate.ledger.intend(CLOCK, "+60 s")),
        Creation(gate.ledger.intend("contact", "rolecall-1")),
    )
    gate.admit("POST", f"{URL}/__clock", {}, move)

    for url, about in (
        (f"{URL}/v2/contacts", move),
        ("http://elsewhere.example/v2/contacts", thing),
        (f"{URL}.example/", thing),
    ):
        with pytest.raises(Withheld):
            gate.admit("POST", url, {}, about)


@pytest.mark.parametrize(
    "headers",
    [{"X-HTTP-Method-Override": "DELETE"}, {"x-http-method": "PUT"}, {"x-method-override": "x"}],
)
def test_a_method_that_means_another_is_unsafe(gate: Gate, headers: dict[str, str]) -> None:
    """A GET that names another method in a field is treated as one that changes things."""
    with pytest.raises(Withheld):
        gate.admit("GET", f"{URL}/v2/contacts/other", headers, None)
    assert means_another_method("", headers)
    assert means_another_method("a=b&_method=", {})


def test_read_only_is_read_only(tmp_path: Path) -> None:
    """A read-only run sends GET, HEAD, OPTIONS and log-ins: no clock, no TRACE, no other method at
    the token endpoint.
    """
    with opened(tmp_path / "ledger.jsonl") as ledger:
        gate = Gate(ledger, URL, clock_url=f"{URL}/__clock", read_only=True)
        move = Creation(ledger.intend(CLOCK, "+60 s"))
    for method in ("GET", "HEAD", "OPTIONS"):
        gate.admit(method, f"{URL}/v2/users", {}, None)
    gate.admit("POST", f"{URL}/v2/auth/token", {}, None)
    cases = [
        ("TRACE", "/v2/users", None),
        ("DELETE", "/v2/auth/token", None),
        ("POST", "/__clock", move),
    ]
    for method, path, about in [
        *cases,
        ("GET", "/v2/users?_method=DELETE", None),
        ("POST", "/v2/auth/token/x", None),
    ]:
        with pytest.raises(NotTested, match="--read-only"):
            gate.admit(method, URL + path, {}, about)


def test_an_id_is_named_whole() -> None:
    """An id stands in a path as a segment of its own, or as a value of the query: a part of one is
    another id.
    """
    assert names("/v2/contacts/17", "17")
    assert names("/v2/contacts?id=17&x=1", "17")
    assert not names("/v2/contacts/170", "17")
    assert not names("/v2/contacts/170?id=171", "17")


# --- Anything at all ---------------------------------------------------------------------------

ACCOUNTS = {role: f"{number:024x}" for number, role in enumerate(SPEC.roles, 1)}
#: What is there before the run, by resource: texts and numbers, and the accounts' users.
VICTIMS: dict[str, list[Any]] = {
    name: [f"{number:024x}" for number in range(10, 14)]
    + [1, 2, 3, "7"]
    + (list(ACCOUNTS.values()) if name == "user" else [])
    for name in [*SPEC.resources, "api-key"]
}
COLLECTIONS = {resource.collection: name for name, resource in SPEC.resources.items()} | {
    "/v2/apikeys": "api-key"
}
ANSWERS = 10_000


class Anything(Client):
    """A target that lets the accounts log in and answers everything else with JSON of chance.

    ``truthful``: the first answer of each list shows what is there. ``echoes``: what a create sent
    comes back under any id.
    """

    def __init__(self, gate: Gate, seed: int) -> None:
        target = Target(
            "anything", URL, _accounts(), api_keys=ApiKeyOptions("/v2/apikeys"), source="anything"
        )
        super().__init__(target, Evidence(), Secrets(), gate)
        self.target = target
        self.chance = random.Random(seed)
        self.truthful = seed % 3 == 0
        self.echoes = seed % 3 != 1
        self.listed: set[str] = set()
        self.answers = 0
        self.bad: list[str] = []

    async def _transmit(self, request: httpx.Request, exchange: Exchange) -> None:
        self.answers += 1
        path = exchange.url.removeprefix(URL)
        exchange.finished = exchange.started
        exchange.headers = [("content-type", "application/json")]
        if path.startswith("/v2/auth/token"):
            exchange.status, document = self._grant(exchange)
        else:
            self._look(exchange.method, path)
            exchange.status = self.chance.choice((200, 200, 201, 201, 404, 403))
            document = self._document(exchange, path)
        exchange.body = json.dumps(document).encode()

    def _grant(self, exchange: Exchange) -> tuple[int, Any]:
        body = json.loads(exchange.request_body or b"{}")
        role = str(body.get("email", "")).partition("@")[0]
        if role not in ACCOUNTS:
            return self.chance.choice(((401, {}), (200, self._anything(3))))
        claims = {"_id": ACCOUNTS[role], "scope": role, "iat": 1, "exp": 2**40}
        token = jwt.encode(claims, "k" * 32)
        return 200, {
            "tokenType": "Bearer",
            "token": token,
            "refreshToken": "r.s",
            "user": ACCOUNTS[role],
            "scope": role,
        }

    def _look(self, method: str, path: str) -> None:
        """Note a request that would harm what was there before."""
        front, _, last = path.partition("?")[0].rpartition("/")
        last = unquote(last)
        if method in UNSAFE and front in COLLECTIONS:
            borrowed = last in ACCOUNTS.values() and method == "PATCH" and front == "/v2/users"
            if not last.strip() or (last in map(str, VICTIMS[COLLECTIONS[front]]) and not borrowed):
                self.bad.append(f"{method} {path}")
        elif method not in ("GET", "HEAD", "OPTIONS", "TRACE") and (
            method != "POST" or path in ("/v2/", "/v2")
        ):
            self.bad.append(f"{method} {path}")

    def _document(self, exchange: Exchange, path: str) -> Any:
        collection = path.partition("?")[0]
        if (
            self.truthful
            and exchange.method == "GET"
            and collection in COLLECTIONS
            and collection not in self.listed
        ):
            self.listed.add(collection)
            exchange.status = 200
            return [
                {"createdBy": {"id": ACCOUNTS["admin"]}, "id": id}
                for id in VICTIMS[COLLECTIONS[collection]]
            ]
        document = self._anything(4)
        if (
            self.echoes
            and exchange.request_body
            and (self.truthful or collection != "/v2/apikeys")
            and self.chance.random() < 0.7
        ):
            sent = json.loads(exchange.request_body)
            document = {
                **sent,
                "id": self.chance.choice([*VICTIMS["user"], "new", 99, None, ""]),
                "createdBy": {"id": ACCOUNTS["admin"]},
            }
        return document

    def _anything(self, depth: int) -> Any:
        """JSON of chance, with the ids of what is there in it at any depth."""
        # Longer than 40 lines because it is the model of all requests that are tried.
        some = [
            None,
            True,
            0,
            -1,
            1.5,
            "",
            " ",
            "text",
            "7",
            1,
            2,
            3,
            *ACCOUNTS.values(),
            *VICTIMS["contact"],
        ]
        kind = self.chance.random()
        if depth == 0 or kind < 0.2:
            return self.chance.choice(some)
        if kind < 0.5:
            return [self._anything(depth - 1) for _ in range(self.chance.randrange(4))]
        members = (
            "id",
            "_id",
            "user",
            "name",
            "createdBy",
            "token",
            "scope",
            "email",
            "givenName",
            "profile",
            "title",
            "text",
        )
        return {
            self.chance.choice(members): self._anything(depth - 1)
            for _ in range(self.chance.randrange(5))
        }


def _accounts() -> dict[str, Account]:
    return {
        role: Account(role, role, f"{role}@example.org", f"Secret-of-{role}-1")
        for role in SPEC.roles
    }


async def act(world: World) -> None:
    """Everything that a run does with things: make, change, delete, lend, look, tidy up."""

    async def write(operation: str, role: str) -> None:
        caller = await world.user(role)
        async with world.borrowing.request_to_try(
            world.spec.operations[operation], caller
        ) as request:
            answer = await world.perform(request, caller)
            if request.operation.effect == "create" and answer.ok:
                await world.made(request, answer)

    deeds: list[Callable[[], Awaitable[object]]] = [
        lambda: changeable(world, "guest"),
        lambda: world.create_key(["guest"]),
    ]
    deeds += [
        lambda: changeable(world, "agent", "api-key"),
        lambda: world.shared("conversation"),
        world.participants,
    ]
    writes = [
        name
        for name, operation in SPEC.operations.items()
        if operation.effect in ("create", "update", "delete")
    ]
    deeds += [lambda name=name: write(name, "admin") for name in writes]  # type: ignore[misc]
    for deed in [world.everybody, *deeds, *deeds]:
        try:
            await deed()
        except (Inconclusive, NotTested, Finding):
            continue
    await tidy(world)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that is only slept through passes at once: lists that lag are looked at again for
    seconds, thousands of times.
    """
    skipped, monotonic, sleep = [0.0], time.monotonic, asyncio.sleep

    async def skip(seconds: float) -> None:
        skipped[0] += seconds
        await sleep(0)

    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + skipped[0])
    monkeypatch.setattr(asyncio, "sleep", skip)


@pytest.mark.usefixtures("quick")
def test_no_answer_whatever_leads_to_harm(tmp_path: Path) -> None:
    """However creates, lists and fetches are answered, no request names what was there before, or a
    collection, or nothing.
    """
    answers, seed, sent = 0, 0, 0
    while answers < ANSWERS:
        with opened(tmp_path / f"{seed}.jsonl") as ledger:
            client = Anything(Gate(ledger, URL), seed)
            world = World(client.target, SPEC, client, "20261125-000000-abcdef", intrusive=False)

            asyncio.run(act(world))

        assert client.bad == [], f"seed {seed}"
        answers, seed = answers + client.answers, seed + 1
        sent += sum(exchange.method in UNSAFE for exchange in client._evidence.exchanges)

    assert sent > answers // 20, "hardly anything was tried"
