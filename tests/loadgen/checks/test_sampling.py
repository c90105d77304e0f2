"""Cells under load: sampling does no harm, and accuses only what was right before.

Longer than 400 lines because every test needs the same target and the same sampled cells.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import pytest

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks import sampling
from rolecall.loadgen.checks.expired import ExpiredTokens
from rolecall.loadgen.checks.guesses import WrongPasswords
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.probes import Probe
from rolecall.loadgen.checks.sampling import Sampling
from rolecall.loadgen.checks.shapes import SampledCell
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.wire import Response
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.permissions import LOWEST_SCOPE
from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Expired
from rolecall.reference.variants import VARIANTS
from rolecall.spec.loading import load_specification
from rolecall.target import ExpiryOptions
from rolecall.token_bank import BankedToken
from tests.reference.asking import QUICK
from tests.support.command import ROLES

#: Legal variants in which resources and permissions differ; the others are tried as well, in the
#: long run.
DIFFERENT = {
    "created-200",
    "deleted-200",
    "extra-fields",
    "indented-bodies",
    "other-error-bodies",
    "looks-before-it-asks",
    "reads-before-it-asks",
    "conversations-of-participants",
    "list-limit-10",
    "gzip",
    "scope-cascade",
    "scope-of-current-role",
}
#: Servers that the plain client of these tests cannot talk to, or that need an operation's body in
#: the target file.
NOT_HERE = {"closes-without-saying", "wants-members-of-its-own"}
LEGAL = [
    pytest.param(variant.name, marks=() if variant.name in DIFFERENT else pytest.mark.long)
    for variant in VARIANTS.values()
    if variant.kind == "legal" and variant.name not in NOT_HERE
]
SPEC = load_specification()


class Wire:
    """A plain client for raw requests; it remembers what it sent, and may lose every so many
    answers. Hundreds of requests a test: httpx would take most of the time.
    """

    def __init__(self, base_url: str, lossy: int = 0) -> None:
        self.client = httpx.Client(base_url=base_url, timeout=60)
        self._raw = HTTPConnection(base_url.removeprefix("http://"), timeout=60)
        self.sent: Counter[str] = Counter()
        self.lines: list[tuple[str, str]] = []
        self._lossy = lossy

    def log_in(self, account: LoadAccount) -> None:
        """A log-in of which the sampling does not know."""
        body = {"email": account.email, "password": account.password}
        assert self.client.post("/v2/auth/token", json=body).is_success

    def exchange(self, request: bytes) -> Response | None:
        """Send a request as it is written."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        method, path, _ = line.split(" ")
        headers = dict(field.split(": ", 1) for field in fields)
        del headers["host"]
        self.sent[method] += 1
        self.lines.append((method, path))
        self._raw.request(method, path, body, {"accept-encoding": "gzip", **headers})
        answer = self._raw.getresponse()
        content = answer.read()
        if answer.getheader("content-encoding") == "gzip":
            content = gzip.decompress(content)
        if self._lossy and len(self.lines) % self._lossy == 0:
            return None
        given = f"HTTP/1.1 200 OK\r\ncontent-type: {answer.getheader('content-type', '')}"
        return Response(answer.status, given.encode(), content, True)

    def close(self) -> None:
        """Close its connections."""
        self.client.close()
        self._raw.close()


class Sampled:
    """A sampling that is prepared, and what belongs to it."""

    def __init__(
        self,
        one: Running,
        dialect: dict[str, Any],
        roles: tuple[str, ...],
        lossy: int,
        expired: ExpiredTokens | None,
    ) -> None:
        chosen = SPEC.dialect(dialect, "tests")
        spec = SPEC.for_target({}, chosen, "tests")
        self.server = one.server
        self.wire = Wire(one.base_url, lossy)
        self.violations = Violations()
        self.accounts = {
            role: LoadAccount(one.accounts[role].email, one.accounts[role].password or "", role)
            for role in roles
        }
        self.invariants = Invariants(spec, chosen, self.violations, places=2**10)
        self.sampling = Sampling(
            Origin.of(one.base_url),
            spec,
            chosen,
            self.invariants,
            self.accounts.values(),
            self.wire.exchange,
            expired=expired,
        )
        self.sampling.prepare()

    def turn(self) -> list[str]:
        """One sample, to its end: the stages that it took."""
        stages: list[str] = []
        probe = self.sampling.next()
        while probe is not None:
            stages.append(probe.stage)
            answer = self.wire.exchange(probe.request)
            assert answer is not None
            probe = self.sampling.look(probe, answer)
        return stages

    def turns(self, rounds: int = 1) -> None:
        """Sample everything so many times."""
        kinds = [
            [cell for cell in self.sampling.cells if cell.allowed is allowed]
            for allowed in (False, True)
        ]
        more = self.sampling.shaped, self.sampling.expired, self.sampling.strange
        kinds = list(filter(None, [*kinds, *more]))
        for _ in range(rounds * len(kinds) * max(map(length, kinds), default=0)):
            self.turn()


def length(cells: list[SampledCell]) -> int:
    """How many turns of a kind it takes until each of its cells has had one: its shapes come in
    turn.
    """
    shapes = Counter(cell.shape for cell in cells)
    return len(shapes) * max(shapes.values())


@contextmanager
def sampled(
    *variants: str,
    roles: tuple[str, ...] = ROLES,
    dialect: Any = None,
    faults: tuple[str, ...] = (),
    signing: bool = False,
) -> Iterator[Sampled]:
    """A sampling of a reference server; with its signing key, or without."""
    with running(Settings(scrypt_n=QUICK, variants=variants, faults=faults)) as one:
        expired = (
            ExpiredTokens(ExpiryOptions(signing_key=one.signing_key), one.base_url)
            if signing
            else None
        )
        with sampling_of(one, dialect, roles, expired=expired) as it:
            yield it


@contextmanager
def sampling_of(
    one: Running,
    dialect: Any = None,
    roles: tuple[str, ...] = ROLES,
    lossy: int = 0,
    expired: ExpiredTokens | None = None,
) -> Iterator[Sampled]:
    """A sampling of a server that runs."""
    it = Sampled(one, dialect or {}, roles, lossy, expired)
    with closing(it.wire):
        yield it


# --- What is sampled ---------------------------------------------------------------------------


def test_what_is_tried_does_no_harm() -> None:
    """Allowed cells are reads, denied ones reads and writes of things made for it: all there are,
    and each as the table says.
    """
    with sampled() as it:
        cells = it.sampling.cells

        assert it.sampling.others == []
        assert {cell.operation.effect for cell in cells if cell.allowed} == {"list", "fetch"}
        assert {cell.operation.effect for cell in cells if not cell.allowed} == {
            "list",
            "fetch",
            "update",
            "delete",
        }
        assert len({str(cell) for cell in cells}) == len(cells)
        assert all(
            cell.allowed
            == (ROLES.index(cell.role) >= ROLES.index(LOWEST_SCOPE[cell.operation.name]))
            for cell in cells
        )
        tried = [
            operation for operation in SPEC.operations.values() if operation.effect != "create"
        ]
        expected = {
            f"{operation.name} as {role}"
            for operation in tried
            for role in ROLES
            if operation.effect in ("list", "fetch") or not SPEC.allows(operation.name, role)
        }
        assert {str(cell) for cell in cells} == expected
        assert it.violations.total == 0


def test_things_are_made_for_it_and_deleted_afterwards() -> None:
    """Nothing that was there before is written to, and nothing is left behind."""
    with sampled() as it:
        before = {
            resource: it.server.store.page(resource, 100, 0)
            for resource in ("users", "contacts", "services", "kbitems")
        }
        it.turns()
        assert it.sampling.close() == []
        after = {resource: it.server.store.page(resource, 100, 0) for resource in before}

    assert all(len(after[resource]) == len(before[resource]) - 1 for resource in before)
    assert all(set(after[resource]) <= set(before[resource]) for resource in before)
    assert "rolecall-load" not in str(after)


@pytest.mark.parametrize(
    "variant",
    ["writes-want-a-precondition", "updates-are-merge-patches", "unknown-members-refused"],
)
def test_things_of_every_kind_at_a_strict_server(variant: str) -> None:
    """Where preconditions are wanted, or members refused, each kind is made and deleted again."""
    with sampled(variant) as it:
        assert sorted(it.sampling._things.ids) == sorted(SPEC.resources)

        assert it.sampling.close() == []


def test_what_cannot_be_deleted_is_named() -> None:
    """A thing that the server keeps is said to be left behind."""
    with sampled() as it:

        @instead_of(it.server.resources.delete)
        def kept(principal: Any, resource: str, id: str) -> Answer:
            return Answer(403 if resource == "forms" else 204)

        (left,) = it.sampling.close()

    assert left.startswith("form ")


def test_every_kind_in_turn() -> None:
    """A denied cell, an allowed one, a denied one in a shape, an expired token, and no good one: in
    turn, and all of them come up.
    """
    with sampled(signing=True) as it:
        probes = [it.sampling.next() for _ in range(5 * len(it.sampling.cells))]

    rows = ["cells denied", "cells allowed", "denied, other shapes", "expired tokens"]
    rows.append("without a good token")
    assert all(isinstance(probe, Probe) for probe in probes)
    assert [probe.row for probe in probes if probe and probe.stage == "first"][:2] == rows[:2]
    assert all(
        rows[number % 5] == probe.row
        for number, probe in enumerate(probes)
        if probe and probe.stage == "first"
    )
    tried = it.sampling
    everything = (*tried.cells, *tried.shaped, *tried.expired, *tried.strange)
    assert {str(probe.cell) for probe in probes if probe} == {str(cell) for cell in everything}


def test_names_and_texts_hold_no_secrets() -> None:
    """What a probe is called, and how it is printed, tells no token and no password."""
    with sampled() as it:
        probe = it.sampling.next()

    assert probe is not None
    assert probe.name == f"{probe.cell}, denied"
    assert "eyJ" not in repr(probe)
    assert "eyJ" not in probe.name


def test_without_an_admin_less_is_sampled() -> None:
    """Where only some roles have accounts, their lists and own profiles are sampled, and what they
    can make; no more is tried.
    """
    with sampled(roles=("guest", "agent")) as it:
        names = {str(cell) for cell in it.sampling.cells}

    assert {"list-users as guest", "fetch-user-self as guest", "list-contacts as agent"} <= names
    assert "fetch-service as guest" not in names
    assert {cell.role for cell in it.sampling.cells} == {"guest", "agent"}
    assert any(other.startswith("everything as admin") for other in it.sampling.others)


def test_nothing_is_made_that_no_role_may_delete() -> None:
    """A process whose accounts may make a thing, and not delete it, makes none."""
    with sampled(roles=("guest", "agent")) as it:
        assert it.sampling.close() == []

    posted = {path for method, path in it.wire.lines if method == "POST"}
    assert posted == {"/v2/auth/token"}
    assert "a contact: no role that may delete one is logged in" in it.sampling.others


def test_nobody_to_ask() -> None:
    """Without an account that can log in, nothing is sampled or accused."""
    with running(Settings(scrypt_n=QUICK)) as one:
        one.accounts["guest"].password = "wrong"
        with sampling_of(one, roles=("guest",)) as it:
            assert it.sampling.next() is None

    assert it.sampling.cells == []
    assert it.violations.total == 0


# --- Who is not accused ------------------------------------------------------------------------


@pytest.mark.parametrize("variant", LEGAL)
def test_no_legal_server_is_accused(variant: str) -> None:
    """Whatever is legal is sampled for a while, and nothing is said against it."""
    if variant.startswith(("latency", "rate-limit")):
        pytest.skip(
            "sampling hundreds of cells one after the other takes a minute there; nothing about "
            "cells is different"
        )
    with sampled(variant) as it:
        for _ in range(60):
            it.turn()

        assert dict(it.violations.counts) == {}
        assert len(it.sampling.cells) > 100


def test_what_is_not_as_specified_without_load_is_not_sampled() -> None:
    """A wrong cell is the suite's to judge: it is named, left out, and no violation."""
    with sampled(faults=("flip-list-users-guest", "flip-fetch-form-admin")) as it:
        it.turns()

    assert sorted(it.sampling.others) == [
        "fetch-form as admin: 403, not allowed",
        "list-users as guest: 200, not denied",
    ]
    assert it.violations.total == 0


def test_an_empty_list_is_a_denial_where_it_is_read_so() -> None:
    """Under that reading a denied list may be empty, and not hold anything."""
    with running(Settings(scrypt_n=QUICK)) as one:
        shown: list[dict[str, str]] = []

        @instead_of(one.server.dispatcher.refuse)
        async def a_list(call: Call, principal: Any, operation: str) -> Answer:
            return Answer.of(200, shown) if operation.startswith("list-") else Answer.of(403, {})

        with sampling_of(one, {"denied_list": "empty"}) as it:
            it.turns()
            assert it.sampling.others == []
            assert it.violations.total == 0

            shown.append({"id": "x"})
            it.turns()
            assert set(it.violations.counts) == {"denied-allowed"}


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_what_says_nothing_about_permissions(status: int) -> None:
    """Overload, a lost token or a missing thing accuse no cell."""
    with sampled() as it:

        @instead_of(it.server.dispatcher.answer)
        async def troubled(call: Call) -> Answer:
            return Answer.of(status, {})

        it.turns()

    assert it.violations.total == 0


def test_a_token_that_is_no_longer_good_is_no_denial() -> None:
    """A token that has ended is renewed, and its refusal is not a violation."""
    with sampled() as it:
        it.server.clock.advance(25 * 60 * 60)
        it.turns()

    assert dict(it.violations.counts) == {}
    assert it.wire.sent["POST"] > 4


def test_a_token_is_renewed_before_it_ends() -> None:
    """Where tokens live for a minute, the sampler logs in anew in time."""
    with sampled() as it:
        for caller in it.sampling._callers.values():
            caller.grant.asked -= 0.95 * caller.grant.lifetime
        stages = [it.turn() for _ in range(2 * len(it.sampling.cells))]

    assert stages.count(["log-in", "first"]) == len(ROLES)
    assert it.violations.total == 0


def test_a_login_by_somebody_else_costs_a_new_one_and_no_more() -> None:
    """Where the role's session was ended by another log-in, the next 401 is followed by a log-in at
    once, and the cell is tried again (B9).
    """
    with sampled("lone-sessions") as it:
        for role in ROLES:
            it.wire.log_in(it.accounts[role])
        stages = [it.turn() for _ in range(2 * len(it.sampling.cells))]

    assert sum("log-in" in turn for turn in stages) == len(ROLES)
    assert all(turn in (["first"], ["before", "first"]) for turn in stages if "log-in" not in turn)
    assert dict(it.violations.counts) == {}


def test_a_denial_by_a_token_that_may_be_dead_is_none() -> None:
    """A denial is not a violation where another log-in may have ended the new token."""
    with sampled() as it:
        allowed = next(cell for cell in it.sampling.cells if cell.allowed)

        @instead_of(it.server.dispatcher.permitted)
        def closed(call: Call, principal: Any, operation: str) -> bool:
            return False

        def outcome(*, disturbed: bool) -> dict[str, int]:
            probe: Probe | None = it.sampling._probe(allowed)
            while probe is not None:
                answer = it.wire.exchange(probe.request)
                assert answer is not None
                if disturbed and probe.stage == "anew":
                    it.invariants.log_in(it.accounts[allowed.role])
                probe = it.sampling.look(probe, answer)
            return dict(it.violations.counts)

        assert outcome(disturbed=False) == {"allowed-denied": 1}
        assert outcome(disturbed=True) == {"allowed-denied": 1}


@pytest.mark.parametrize(
    "variants", [("lone-sessions",), ("short-lifetimes",)], ids=["ended", "expired"]
)
def test_what_was_made_is_deleted_though_the_tokens_have_ended(variants: tuple[str, ...]) -> None:
    """At the end every role may have to log in anew; nothing is left behind for that (B9)."""
    with sampled(
        *variants, dialect={"lifetime": 3} if "short-lifetimes" in variants else None
    ) as it:
        for role in ROLES:
            it.wire.log_in(it.accounts[role])
        it.server.clock.advance(10)
        for caller in it.sampling._callers.values():
            caller.grant.asked -= 10 if "short-lifetimes" in variants else 0

        assert it.sampling.close() == []
        assert "rolecall-load" not in str(
            [it.server.store.page(resource, 100, 0) for resource in ("users", "contacts", "forms")]
        )


def test_lost_answers_cost_nothing() -> None:
    """Where one answer in three is lost, all cells are found out all the same, and what was made is
    deleted, or named.
    """
    with running(Settings(scrypt_n=QUICK)) as one:
        with sampling_of(one, lossy=3) as it:
            assert it.sampling.others == []
            assert len(it.sampling.cells) > 120
            left = it.sampling.close()

        assert all("perhaps" in thing for thing in left)
        assert len(left) < 3
        there = str(
            [
                one.server.store.page(resource, 100, 0)
                for resource in ("users", "contacts", "forms", "services", "kbitems")
            ]
        )
        assert there.count("rolecall-load") <= len(left)
        assert dict(it.violations.counts) == {}


@pytest.mark.parametrize("id", ["", ".", "..", 7, None, "the admin's", "somebody's"])
def test_an_id_that_is_no_things_of_ours_is_never_written_to(id: Any) -> None:
    """An id that a create claims wrongly is not written to; the thing is found by name."""
    with running(Settings(scrypt_n=QUICK)) as one:
        perform = one.server.dispatcher.perform
        others = {
            "the admin's": one.accounts["admin"].id,
            "somebody's": next(iter(one.server.store.page("users", 100, 0))),
        }
        shown = others.get(id, id)

        @instead_of(one.server.dispatcher.perform)
        async def wrong(call: Call, principal: Any, operation: str) -> Answer:
            answer = await perform(call, principal, operation)
            return Answer.of(201, {"id": shown}) if operation == "create-user" else answer

        with sampling_of(one) as it:
            made = it.sampling._things.ids["user"]
            it.turns()
            assert it.sampling.close() == []
            written = [
                path
                for method, path in it.wire.lines
                if method in ("PATCH", "DELETE") and path.startswith("/v2/users")
            ]

        assert made not in (*others.values(), shown)
        assert set(written) == {f"/v2/users/{made}"}
        assert "rolecall-load" not in str(one.server.store.page("users", 100, 0))


@pytest.mark.parametrize(
    "variant",
    ["numeric-ids", "uuid-ids", "lists-lag", pytest.param("reads-lag", marks=pytest.mark.nightly)],
)
def test_things_of_other_servers(variant: str) -> None:
    """Whatever ids are, and however late lists are: the things are made, tried and deleted."""
    with sampled(variant) as it:
        assert it.sampling.others == []
        assert it.sampling.close() == []
        left = [
            it.server.store.page(resource, 100, 0)
            for resource in ("users", "contacts", "services", "kbitems")
        ]

    assert "rolecall-load" not in str(left)


def test_what_is_shown_nowhere_is_named() -> None:
    """A thing that was made, and is shown nowhere under its name, is named as perhaps there;
    nothing is deleted for it.
    """
    with running(Settings(scrypt_n=QUICK)) as one:
        perform = one.server.dispatcher.perform

        @instead_of(one.server.dispatcher.perform)
        async def hiding(call: Call, principal: Any, operation: str) -> Answer:
            answer = await perform(call, principal, operation)
            return (
                Answer.of(200, [])
                if operation == "list-contacts"
                else Answer.of(404, {})
                if operation == "fetch-contact"
                else answer
            )

        with sampling_of(one) as it:
            left = it.sampling.close()
            deleted = [
                path
                for method, path in it.wire.lines
                if method == "DELETE" and path.startswith("/v2/contacts")
            ]

    assert [line.partition(",")[0] for line in left] == [
        f"contact called {it.sampling._run}-contact"
    ]
    assert deleted == []


# --- Who is ------------------------------------------------------------------------------------


def test_a_denial_that_turns_into_permission() -> None:
    """A check that fails open after the load has begun is a violation, with its exchange."""
    with sampled() as it:

        @instead_of(it.server.dispatcher.permitted)
        def open_to_all(call: Call, principal: Any, operation: str) -> bool:
            return True

        it.turns()

    assert set(it.violations.counts) == {"denied-allowed"}
    sample = it.violations.samples[0]
    assert "was denied before the load, and is now answered 20" in sample.message
    assert "HTTP/1.1 200 OK" in sample.exchange
    assert "<token-" in sample.exchange


def test_a_signature_that_is_no_longer_looked_at() -> None:
    """A forged token that is let in after the load has begun is a violation, and nothing else."""
    with sampled() as it:

        @instead_of(it.server.verifier.signature_holds)
        def unchecked(message: bytes, signature: str, header: Document) -> bool:
            return True

        it.turns()

    assert set(it.violations.counts) == {"forged-let-in"}
    message = it.violations.samples[0].message
    assert "(a changed signature) was refused before the load, and is now answered 200" in message


@pytest.mark.parametrize("alone", [True, False])
def test_a_password_that_is_almost_right(*, alone: bool) -> None:
    """It is tried twice in a run, or once by each of several processes, at the user that was made
    for that; a token for it is a violation, and a refusal is none.
    """
    guesses = WrongPasswords(Violations(), lambda email, password: password.encode(), alone=alone)
    assert not any(guesses.next() for _ in range(200))  # nobody was made

    guesses = WrongPasswords(Violations(), lambda email, password: password.encode(), alone=alone)
    guesses.know("made@example.org", "Secret-1")
    tried = list(filter(None, (guesses.next() for _ in range(200))))

    assert tried == [b"Secret-2"] * (2 if alone else 1)
    assert guesses.right == b"Secret-1"


@pytest.mark.parametrize(
    ("status", "body", "kinds"),
    [
        (200, b'{"token":"abc"}', {"wrong-password-let-in"}),
        (200, b'{"error":"wrong"}', set()),
        (401, b'{"token":"abc"}', set()),
        (503, b"", set()),
    ],
)
def test_a_wrong_password_is_given_a_token(status: int, body: bytes, kinds: set[str]) -> None:
    """Only a token says that a password was not looked at."""
    violations = Violations()
    guesses = WrongPasswords(violations, lambda email, password: b"", alone=True)
    guesses.look(b"POST /v2/auth/token HTTP/1.1\r\n\r\n", Response(status, b"", body, True))

    assert set(violations.counts) == kinds


@pytest.mark.parametrize(
    ("status", "body", "kinds"),
    [
        (200, b'[{"id":"1"}]', {"anonymous-let-in"}),
        (200, b'{"id":"1"}', {"anonymous-let-in"}),
        (200, b'{"error":{"message":"busy"}}', set()),
        (200, b"", set()),
        (429, b"", set()),
        (503, b"", set()),
    ],
)
def test_nobody_in_particular_is_let_in(status: int, body: bytes, kinds: set[str]) -> None:
    """Who shows something without a token does what is denied to everybody; who says with a success
    that it failed does not.
    """
    with sampled() as it:
        known = it.server.dispatcher.answer

        @instead_of(it.server.dispatcher.answer)
        async def open_to_all(call: Call) -> Answer:
            if call.header_values(b"authorization"):
                return await known(call)
            return Answer(status, body)

        it.turns()

    assert set(it.violations.counts) == kinds


def test_a_denial_that_shows_the_thing_is_none() -> None:
    """A 403 with the thing in its body has shown what it denies."""
    with sampled() as it:
        perform = it.server.dispatcher.perform

        @instead_of(it.server.dispatcher.refuse)
        async def leaking(call: Call, principal: Any, operation: str) -> Answer:
            answer = (
                await perform(call, principal, operation)
                if operation.startswith("fetch-")
                else Answer(403)
            )
            answer.status = 403
            return answer

        it.turns()

    assert set(it.violations.counts) == {"denied-allowed"}


@pytest.mark.parametrize("often", [1, 2], ids=["every-time", "every-other-time"])
def test_a_permission_that_turns_into_a_denial(often: int) -> None:
    """A check that fails closed is a violation whether it lasts or passes: with a token that is let
    in, or with a new one.
    """
    with sampled() as it:
        permitted, asked = it.server.dispatcher.permitted, iter(range(10**9))

        @instead_of(it.server.dispatcher.permitted)
        def closed(call: Call, principal: Any, operation: str) -> bool:
            return permitted(call, principal, operation) and bool(next(asked) % often)

        it.turns()

    assert set(it.violations.counts) == {"allowed-denied"}


@pytest.mark.parametrize(
    ("action", "body", "accused"),
    [
        ("fetch", b'{"id": "another"}', True),
        ("fetch", b'{"error": "too many connections"}', True),
        ("fetch", b"", True),
        ("list", b"[]", True),
        ("list", b'{"error": "too many connections"}', True),
        ("list", b'[{"id": "one that somebody else has made since"}]', False),
        ("list", b"[null, {}]", True),
        ("fetch", b"<h1>We are back soon</h1>", False),
    ],
)
def test_what_is_allowed_is_shown(action: str, body: bytes, accused: bool) -> None:
    """A success without the thing that was asked for, and shown before, is a violation, and so is a
    list in which nothing is; a list that begins with other things is none, nor is a gateway's page.
    """
    with sampled() as it:
        it.sampling._known_at = 0.0
        perform = it.server.dispatcher.perform

        @instead_of(it.server.dispatcher.perform)
        async def otherwise(call: Call, principal: Any, operation: str) -> Answer:
            answer = await perform(call, principal, operation)
            if operation.startswith(action) and answer.status == 200:
                answer.body = body
                if body.startswith(b"<"):
                    answer.media_type = "text/html"
            return answer

        it.turns()

    assert set(it.violations.counts) == ({"allowed-not-shown"} if accused else set())


def test_a_thing_without_its_name_is_known_by_its_id() -> None:
    """What shows no name shows our thing by its id, also where addresses and JSON write that with
    escapes.
    """
    with sampled("ids-of-all-signs") as it:
        it.sampling._known_at = 0.0
        perform = it.server.dispatcher.perform

        @instead_of(it.server.dispatcher.perform)
        async def brief(call: Call, principal: Any, operation: str) -> Answer:
            answer = await perform(call, principal, operation)
            if operation.startswith("fetch") and answer.status == 200:
                answer.body = json.dumps({"id": json.loads(answer.body)["id"]}).encode()
            return answer

        it.turns()

    assert not it.violations.counts


@pytest.mark.parametrize("name", ["rolecall", "another"])
def test_a_list_of_another_kind_is_not_what_was_asked_for(name: str) -> None:
    """A list that holds our service is no list of anything else; one that holds a thing of the same
    id, which may be a number, is.
    """
    with sampled() as it:
        it.sampling._known_at = 0.0
        things = it.sampling._things
        said = {
            "id": things.ids["service"],
            "name": things.name("service") if name == "rolecall" else name,
        }
        perform = it.server.dispatcher.perform

        @instead_of(it.server.dispatcher.perform)
        async def services(call: Call, principal: Any, operation: str) -> Answer:
            answer = await perform(call, principal, operation)
            return Answer.of(200, [said]) if operation == "list-contacts" else answer

        it.turns()

    assert set(it.violations.counts) == ({"allowed-not-shown"} if name == "rolecall" else set())


def test_an_update_that_is_refused_and_carried_out() -> None:
    """A denied update that is done all the same is seen by the name that it gives, though it is
    answered 403 as before.
    """
    with sampled() as it:
        refuse, perform = it.server.dispatcher.refuse, it.server.dispatcher.perform

        @instead_of(it.server.dispatcher.refuse)
        async def done_before(call: Call, principal: Any, operation: str) -> Answer:
            if operation.startswith("update-"):
                await perform(call, principal, operation)
            return await refuse(call, principal, operation)

        it.turns()

    assert set(it.violations.counts) == {"denied-allowed"}
    assert any("carried out all the same" in sample.message for sample in it.violations.samples)


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_a_page_of_somebody_else_says_nothing_of_permissions(status: int) -> None:
    """What a firewall or a gateway answers in the server's place neither lets in nor denies,
    whoever asked, and with whichever token.
    """
    with sampled(signing=True) as it:
        it.sampling._known_at = 0.0
        before = it.server.wire.before

        @instead_of(it.server.wire.before)
        async def blocked(call: Call) -> Answer | None:
            if call.path.startswith("/v2/auth"):
                return await before(call)
            return Answer(status, b"<h1>Please wait</h1>", media_type="text/html")

        it.turns()

    assert not it.violations.counts


def test_what_is_not_known_everywhere_may_be_missing() -> None:
    """Within the time that replicas may lag behind, an empty list is held against nobody."""
    with sampled(dialect={"consistency": 60}) as it:
        perform = it.server.dispatcher.perform

        @instead_of(it.server.dispatcher.perform)
        async def nothing(call: Call, principal: Any, operation: str) -> Answer:
            answer = await perform(call, principal, operation)
            return Answer.of(200, []) if operation.startswith("list") else answer

        it.turns()

    assert not it.violations.counts


def test_what_was_deleted_wrongly_is_not_missed() -> None:
    """Where somebody who may not has deleted the thing, that is told, and not that it is gone."""
    with sampled() as it:
        it.sampling._known_at = 0.0
        permitted = it.server.dispatcher.permitted

        @instead_of(it.server.dispatcher.permitted)
        def deletes_are_open(call: Call, principal: Any, operation: str) -> bool:
            return operation.startswith("delete") or permitted(call, principal, operation)

        it.turns()

    assert set(it.violations.counts) == {"denied-allowed"}


def test_permissions_that_open_when_it_is_busy() -> None:
    """The fault that only load shows is found beside 40 clients, and not without them."""
    with sampled(faults=("permissions-open-when-busy",)) as it:
        for _ in range(20):
            it.turn()
        assert it.violations.total == 0
        assert it.sampling.others == []
        over = threading.Event()
        url, token = it.wire.client.base_url, it.sampling._callers["admin"].grant.token

        def read_on() -> None:
            with httpx.Client(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10
            ) as http:
                while not over.is_set():
                    http.get("/v2/services")

        clients = [threading.Thread(target=read_on) for _ in range(40)]
        for client in clients:
            client.start()
        try:
            started = perf_counter()
            while not it.violations.total and perf_counter() - started < 20:
                it.turn()
        finally:
            over.set()
            for client in clients:
                client.join()

    assert set(it.violations.counts) == {"denied-allowed"}


# --- Other shapes ------------------------------------------------------------------------------

SHAPES = {
    "HEAD",
    "right after a role that may",
    "with a slash at the end",
    "with a slash twice",
    "in capitals",
    "with a letter encoded",
    "with x-http-method-override: OPTIONS",
    "with limit=1",
    "with select=id",
    "with the own organization",
}


def test_shapes_are_refused_before_the_load() -> None:
    """Denied reads are sampled in every shape; missing paths are known by their status."""
    with sampled() as it:
        shapes = {cell.shape: cell.refused for cell in it.sampling.shaped}

    assert set(shapes) == SHAPES
    assert shapes["with a slash at the end"] == 404
    assert shapes["HEAD"] == shapes["with limit=1"] == 0
    assert it.sampling.others == []


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_shape_that_opens(shape: str) -> None:
    """Each shape that is let through after the load has begun, and no other, is a violation that
    names it.
    """
    # Longer than 40 lines because it holds the server.
    with sampled() as it:
        opened = {cell.path for cell in it.sampling.shaped if cell.shape == shape}
        permitted, unknown = it.server.dispatcher.permitted, it.server.dispatcher.unknown
        before: list[str] = [""]

        def is_open(call: Call) -> bool:
            asked, query = call.scope["raw_path"].decode(), call.scope["query_string"].decode()
            path = f"{asked}?{query}".removesuffix("?")
            after, before[0] = before[0] == path, path
            return {
                "HEAD": call.method == "HEAD",
                "right after a role that may": after,
                "with x-http-method-override: OPTIONS": call.header(b"x-http-method-override")
                is not None,
            }.get(shape, path in opened)

        @instead_of(it.server.dispatcher.permitted)
        def open_to_a_shape(call: Call, principal: Any, operation: str) -> bool:
            return is_open(call) or permitted(call, principal, operation)

        @instead_of(it.server.dispatcher.unknown)
        async def put_right(call: Call) -> Answer:
            segments = [segment for segment in call.path.lower().split("/") if segment]
            if not is_open(call):
                return await unknown(call)
            call.resource, call.id = segments[1], segments[2] if len(segments) == 3 else None
            principal = it.server.guard.authenticate(call)
            return await it.server.dispatcher.perform(
                call, principal, it.server.dispatcher.operation(call, principal)
            )

        it.turns()

    assert set(it.violations.counts) == {"denied-allowed"}
    assert all(
        f"({shape}) was denied before the load" in sample.message
        for sample in it.violations.samples
    )


@pytest.mark.parametrize("page", [b"<h1>Busy</h1>", b"[]", b"{}", b'{"message":"busy"}'])
def test_a_page_for_everybody_opens_nothing(page: bytes) -> None:
    """A 200 that shows nothing of what is denied is not a violation."""
    with sampled() as it:

        @instead_of(it.server.dispatcher.unknown)
        async def shown(call: Call) -> Answer:
            return Answer(200, page)

        it.turns()

    assert it.violations.total == 0


def test_a_shape_that_was_open_before_is_not_sampled() -> None:
    """HEAD that is unguarded without load is the suite's to judge: it is left out, and said."""
    with running(Settings(scrypt_n=QUICK)) as one:
        permitted = one.server.dispatcher.permitted

        @instead_of(one.server.dispatcher.permitted)
        def unguarded(call: Call, principal: Any, operation: str) -> bool:
            return call.method == "HEAD" or permitted(call, principal, operation)

        with sampling_of(one) as it:
            it.turns()

    assert not any(cell.shape == "HEAD" for cell in it.sampling.shaped)
    assert it.sampling.others
    assert all("(HEAD): 200, not denied" in other for other in it.sampling.others)
    assert it.violations.total == 0


# --- Expired tokens ----------------------------------------------------------------------------


def test_expired_tokens_are_presented() -> None:
    """Each role's is, plainly, by HEAD, in a short list, and right after the good one; and is
    refused.
    """
    with sampled(signing=True) as it:
        it.turns()

    expired = it.sampling.expired
    assert {cell.role for cell in expired} == set(ROLES)
    assert {cell.shape for cell in expired} == {
        "",
        "HEAD",
        "with limit=1",
        "right after a good token",
    }
    assert {cell.operation.effect for cell in expired} == {"list", "fetch"}
    assert it.sampling.not_tested == []
    assert it.violations.total == 0


def test_an_expired_token_that_is_let_in() -> None:
    """Who lets it in once the load has begun breaks EXPIRY-403, and the exchange shows when the
    token ended.
    """
    with sampled(signing=True) as it:

        @instead_of(it.server.verifier.expired)
        def endless(exp: int) -> bool:
            return False

        it.turns()

    assert set(it.violations.counts) == {"expired-let-in"}
    sample = it.violations.samples[0]
    assert "was refused as expired before the load, and is now answered 200" in sample.message
    assert "<token-" in sample.exchange
    assert all(it.server.signing_key not in sample.exchange for sample in it.violations.samples)


@pytest.mark.parametrize(
    ("status", "accused"), [(401, True), (400, True), (404, False), (429, False), (503, False)]
)
def test_an_expired_token_that_is_refused_otherwise(status: int, accused: bool) -> None:
    """A status that is about tokens in place of 403 breaks EXPIRY-403; overload, and a thing that
    is gone, say nothing.
    """
    with sampled(signing=True) as it:
        check = it.server.verifier.check_times

        @instead_of(it.server.verifier.check_times)
        def otherwise(claims: Any) -> None:
            try:
                check(claims)
            except Expired:
                raise Refusal(status, "Busy") from None

        it.turns()

    assert set(it.violations.counts) == ({"expired-otherwise"} if accused else set())


@pytest.mark.parametrize("is_known", [True, False])
def test_an_ended_session_explains_a_401(is_known: bool) -> None:
    """Where each user has one session, another log-in ends that of an expired token: 401 is lawful
    then, and only then.
    """
    with sampled("lone-sessions", signing=True) as it:
        for cell in it.sampling.expired:
            if is_known:
                it.invariants.log_in(it.accounts[cell.role])
            it.wire.log_in(it.accounts[cell.role])
            probe = it.sampling._probe(cell)
            answer = it.wire.exchange(probe.request)
            assert answer is not None
            assert answer.status == 401
            assert it.sampling.look(probe, answer) is None

    assert set(it.violations.counts) == (set() if is_known else {"expired-otherwise"})


def test_a_new_session_has_a_token_of_its_own() -> None:
    """After the role has logged in anew, what is presented has expired and belongs to the new
    session.
    """
    with sampled("lone-sessions", signing=True) as it:
        cell = it.sampling.expired[0]
        first = it.sampling._present(cell).token
        it.sampling._renew(it.accounts[cell.role])

        second = it.sampling._present(cell).token
        assert first != second
        assert (
            it.wire.client.get(
                "/v2/services", headers={"authorization": f"Bearer {second}"}
            ).status_code
            == 403
        )


@pytest.mark.parametrize(
    ("fault", "said"),
    [("never-expires", "200 before the load"), ("expired-401", "401 before the load")],
)
def test_what_was_not_refused_as_expired_before(fault: str, said: str) -> None:
    """A server that is wrong without load is the suite's to judge: nothing is presented, and the
    run says why.
    """
    with sampled(signing=True, faults=(fault,)) as it:
        it.turns()

    assert it.sampling.expired == []
    assert len(it.sampling.not_tested) == 1
    assert it.sampling.not_tested[0].startswith("expired tokens: ")
    assert said in it.sampling.not_tested[0]
    assert it.violations.total == 0


def test_no_expired_token() -> None:
    """Where the target file names no way to one, that is said, and all else is sampled."""
    with sampled() as it:
        it.turns()

    assert it.sampling.not_tested == [
        (
            "expired tokens: the target file names no source of them; give bank, signing_key_env "
            "or clock_url under "
            "[expiry] in the target file"
        )
    ]


def test_a_reading_in_which_expired_is_401() -> None:
    """In the vendor's dialect an expired token is answered 401, and expected to be."""
    with running(Settings(scrypt_n=QUICK, dialect="sdk")) as one:
        tokens = ExpiredTokens(ExpiryOptions(signing_key=one.signing_key), one.base_url)
        with sampling_of(one, one.server.readings, expired=tokens) as it:
            it.turns()

    assert it.sampling.expired
    assert dict(it.violations.counts) == {}


# --- One log-in at a time ----------------------------------------------------------------------


def test_one_log_in_of_a_role_at_a_time() -> None:
    """A role has one log-in under way at a time; other roles go on meanwhile."""
    with sampled("lone-sessions") as it:
        caller = it.sampling._callers["guest"]
        caller.grant.session.holder.lone = True
        it.invariants.log_in(caller.account)  # somebody else's, so that the guest has to renew
        probes = [it.sampling.next() for _ in range(40)]

    assert [probe.cell.role for probe in probes if probe and probe.stage == "log-in"] == ["guest"]
    assert all(probe.cell.role != "guest" for probe in probes if probe and probe.stage == "first")
    assert len(list(filter(None, probes))) == 40


def test_a_slow_target_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where shapes take too long before the load, those that were tried are sampled, and it is said
    that others are not.
    """
    monkeypatch.setattr(sampling, "_LONGEST", 0.005)
    with sampled() as it:
        it.turns()

    assert len(it.sampling.shaped) < 60
    assert it.sampling.others == [
        "denied reads in more shapes: those before took 0.005 s, and the load was to begin"
    ]
    assert it.violations.total == 0


def test_tokens_of_the_bank_are_presented(tmp_path: Path) -> None:
    """What an earlier night has left is presented as its own user, and refused; where it is let in,
    that is a violation.
    """
    with running(Settings(scrypt_n=QUICK)) as one:
        user = one.server.resources.stored("users", one.accounts["guest2"].id)
        token = one.server.issuer.write(
            one.server.issuer.claims(user) | {"iat": 1_700_000_000, "exp": 1_700_086_400}
        )
        deposit = BankedToken(
            one.base_url,
            "guest",
            user["id"],
            one.accounts["guest2"].email,
            1_700_086_400,
            token,
            "",
        )
        tmp_path.chmod(0o700)
        (tmp_path / "tokens.json").touch(mode=0o600)
        (tmp_path / "tokens.json").write_text(json.dumps([asdict(deposit)]), encoding="utf-8")

        with sampling_of(
            one, expired=ExpiredTokens(ExpiryOptions(bank=tmp_path), one.base_url)
        ) as it:
            it.turns()
            assert {(cell.role, cell.way) for cell in it.sampling.expired} == {("guest", "bank")}
            assert f"/v2/users/{user['id']}" in {cell.path for cell in it.sampling.expired}
            assert (it.sampling.not_tested, it.violations.total) == ([], 0)

            @instead_of(one.server.verifier.expired)
            def endless(exp: int) -> bool:
                return False

            it.turns()
            assert set(it.violations.counts) == {"expired-let-in"}
