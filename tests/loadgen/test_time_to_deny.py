"""The scenario time-to-deny: credentials are made, revoked and cleared away on real servers, and
the delay that is measured is the server's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import gevent
import pytest

from rolecall.loadgen import deny_scenario
from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.denials import KINDS, Denial
from rolecall.loadgen.checks.expired import ExpiredTokens
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.deny_scenario import Revocations
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.caches import remember_credentials
from rolecall.reference.variants.members import unknown_members_refused
from rolecall.reference.variants.writing import writes_want_a_precondition
from rolecall.spec.loading import load_specification
from rolecall.target import ExpiryOptions
from tests.support.load_runs import load

TABLES = load_specification()
DIALECT = TABLES.dialect({}, "tests")
SPEC = TABLES.for_target({}, DIALECT, "tests")


@contextmanager
def beside(
    prepare: Callable[[Server], None] = lambda server: None,
    *,
    kinds: Iterable[str] = KINDS,
    within: float = 1.0,
    keys_path: str = "/v2/apikeys",
    may_make: Callable[[str], bool] = lambda resource: True,
    knows_key: bool = True,
    fault: str = "",
    roles: Iterable[str] = ("guest", "agent", "bot", "admin"),
    idle: Iterable[str] = (),
) -> Iterator[tuple[ClientContext, Revocations, Running]]:
    """Revocations at a server of our own, which are still to begin."""
    settings = Settings(scrypt_n=16, faults=(fault,) if fault else ())
    with running(settings, prepare) as one:
        accounts = {
            role: LoadAccount(one.accounts[role].email, one.accounts[role].password or "", role)
            for role in ("guest", "agent", "bot", "admin")
        }
        context = ClientContext(
            Origin.of(one.base_url),
            SPEC,
            DIALECT,
            [accounts[role] for role in roles],
            idle_accounts=[accounts[role] for role in idle],
            timeout=5,
            expired=ExpiredTokens(
                ExpiryOptions(signing_key=one.signing_key if knows_key else ""), one.base_url
            ),
            may_make=may_make,
            keys_path=keys_path,
            deny_within=within,
        )
        context.begin(Recorder(perf_counter()))
        revocations = Revocations(context, kinds)
        revocations.prepare()
        yield context, revocations, one


def watch(context: ClientContext, revocations: Revocations, count: int = 1) -> list[Denial]:
    """Let them begin, until so many of the first kind and one of each other one were watched."""
    kinds, found = set(revocations._kinds), []
    add = context.denials.add

    def noted(kind: str, denial: Denial) -> None:
        found.append(denial)
        kinds.discard(kind)
        add(kind, denial)

    context.denials.add = noted  # type: ignore[method-assign]
    revocations.go_on()
    until = perf_counter() + 30
    while (kinds or len(found) < count) and perf_counter() < until:
        gevent.sleep(0.02)
    assert not kinds
    return found


def rows(context: ClientContext) -> dict[str, tuple[int, int]]:
    """By kind: how many were denied, and how many were late."""
    document = context.denials.document(1.0)
    return {row["kind"]: (row["denied"], row["late"]) for row in document["kinds"]}


@pytest.mark.long
def test_every_kind_at_a_server_that_looks_at_each_request() -> None:
    """What the reference server revokes it refuses at once; what it has no reason to revoke, it
    lets in; nothing is held against it, and nothing is left there.
    """
    with beside() as (context, revocations, one):
        users = len(one.server.store.page("users", 100, 0))
        watch(context, revocations, 7)
        left = revocations.close()

        assert left == []
        assert len(one.server.store.page("users", 100, 0)) == users
        assert one.server.store.api_keys() == []
    found = rows(context)
    for kind in ("user-deleted", "key-deleted", "rotated", "expired"):
        assert found[kind][0], kind
        assert not found[kind][1], kind
    for kind in ("user-demoted", "password-changed", "refreshed"):
        assert found[kind] == (0, found[kind][1]), kind
        assert found[kind][1], kind
    assert context.violations.total == 0
    assert context.recorder.begun == 0
    assert context.beside > 0


@pytest.mark.long
@pytest.mark.parametrize(("seconds", "count"), [(0.05, 3), (1.0, 2)])
def test_the_delay_is_that_of_the_cache(seconds: float, count: int) -> None:
    """What is measured is what is left of the cache's time when the user is deleted, within 10 % or
    5 ms beside what is told of how far it may be off.
    """
    removed: list[float] = []
    ends: list[float] = []

    def prepare(server: Server) -> None:
        (cache,) = remember_credentials(server, seconds)
        remove = server.store.remove

        @instead_of(server.store.remove)
        def noted(resource: str, id: str) -> None:
            if server.store.get(resource, id) is not None:
                removed.append(time.monotonic())
                tokens = (
                    until
                    for until, principal in cache._kept.values()
                    if principal is not None and principal.id == id
                )
                ends.append(max(tokens, default=0.0))
            remove(resource, id)

    with beside(prepare, kinds=["user-deleted"], within=3.0) as (context, revocations, _):
        found = watch(context, revocations, count)
        revocations.close()

    for denial, end, at in zip(found, ends, removed, strict=False):
        truth = max(end - at, 0.0)
        assert denial.outcome == "denied"
        assert abs(denial.delay - truth) <= max(0.1 * truth, 0.005) + denial.off
        assert not denial.uneven


def test_nothing_is_made_that_may_not_be() -> None:
    """Where no user may be made, where keys are made nobody knows, or no account is an
    administrator's, nothing is sent for it, and the reasons are told.
    """
    with beside(may_make=lambda resource: False, keys_path="") as (context, revocations, one):
        users = len(one.server.store.page("users", 100, 0))
        revocations.go_on()
        wait_for = perf_counter() + 10
        while revocations._kinds and perf_counter() < wait_for:
            gevent.sleep(0.05)
        assert revocations.close() == []
        assert len(one.server.store.page("users", 100, 0)) == users
    why = {kind["kind"]: kind["why"] for kind in context.denials.document(1)["not_watched"]}
    assert why.pop("key-deleted") == "the target file has no create_path under [api_keys]"
    assert set(why.values()) == {"[fixtures.user] create = false in the target file"}

    with beside(roles=("guest", "agent")) as (context, revocations, _):
        revocations.go_on()
        assert revocations.close() == []
        assert context.beside == 0
    why = {kind["kind"]: kind["why"] for kind in context.denials.document(1)["not_watched"]}
    assert set(why.values()) == {"no account here is of a role that may make users"}


def test_an_administrator_who_is_no_part_of_the_load() -> None:
    """Where the load logs in guests alone, the target file's own administrator makes what is
    revoked.
    """
    with beside(kinds=["user-deleted"], roles=["guest"], idle=["admin"]) as (
        context,
        revocations,
        _,
    ):
        (denial,) = watch(context, revocations)

        assert revocations.close() == []
    assert denial.outcome == "denied"


@pytest.mark.long
def test_a_token_that_is_let_in_past_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the margin for clocks that is a violation of EXPIRY-403, told once for each token; a
    server that heeds the end is not accused.
    """
    monkeypatch.setattr(deny_scenario, "MARGIN", 1.0)
    monkeypatch.setattr(deny_scenario, "_PAST_THE_END", 3.0)
    with beside(kinds=["expired"], fault="never-expires") as (context, revocations, _):
        (denial,) = watch(context, revocations)
        revocations.close()

    assert denial.outcome == "late"
    assert context.violations.counts == {"expired-let-in": 1}
    (sample,) = context.violations.samples
    assert "s past its end" in sample.message
    assert ".<token-1>" in sample.exchange  # its signature is not shown


def test_the_end_of_the_load_ends_it() -> None:
    """When the load is over in the middle of a revocation, what was made is deleted."""
    with beside(kinds=["user-demoted"], within=60.0) as (context, revocations, one):
        users = len(one.server.store.page("users", 100, 0))
        revocations.go_on()
        until = perf_counter() + 10
        while len(one.server.store.page("users", 100, 0)) == users and perf_counter() < until:
            gevent.sleep(0.01)
        began = perf_counter()
        context.give_up()

        assert revocations.close() == []
        assert perf_counter() - began < 5
        assert len(one.server.store.page("users", 100, 0)) == users


@pytest.mark.long
def test_a_server_of_several_workers_under_load(tmp_path: Path) -> None:
    """A whole run at a server whose workers each remember: connections that differ are seen, the
    delays are told in every report, nothing is held against the server, and nothing is left.
    """
    run = load(
        "time-to-deny",
        "--rate=50",
        "--duration=8s",
        "--deny-within=2s",
        "--serve-option=--variant=workers-remember-credentials",
        cwd=tmp_path,
    )

    assert run.came_to(0), run.said
    denials = run.document["denials"]
    deleted = {row["kind"]: row for row in denials["kinds"]}["user-deleted"]
    assert run.document["violations"] == {}
    assert run.document["sampled"]["left"] == []
    assert denials["bound_s"] == 2
    assert sum(row["uneven"] for row in denials["kinds"])
    assert 0 < deleted["delay_ms"]["max"] < 1500
    assert "time to deny  user-deleted: " in run.said
    assert "Time to deny" in (run.folder / "load.html").read_text(encoding="utf-8")


def test_a_user_is_made_without_the_members_that_are_refused() -> None:
    """Where a server refuses what it does not know, its throw-away users are made without that."""
    with beside(unknown_members_refused, kinds=["user-deleted"]) as (context, revocations, one):
        (denial,) = watch(context, revocations)

        assert revocations.close() == []
        assert one.server.store.api_keys() == []
    assert denial.outcome == "denied"


def test_a_precondition_is_met_where_one_is_wanted() -> None:
    """Where deletes are answered 428 without If-Match, users are deleted with one, and none is
    left.
    """
    with beside(writes_want_a_precondition, kinds=["user-deleted"]) as (context, revocations, _):
        (denial,) = watch(context, revocations)

        assert revocations.close() == []
    assert denial.outcome == "denied"


def test_why_no_user_is_made() -> None:
    """Where a server takes no new user whatever, the reason names its answer and what may help."""

    def prepare(server: Server) -> None:
        @instead_of(server.resources.create)
        async def refused(call: Call, principal: Principal, resource: str) -> Answer:
            raise Refusal(422, "pronouns must be given")

    with beside(prepare, kinds=["user-deleted"]) as (context, revocations, _):
        revocations.go_on()
        until = perf_counter() + 10
        while context.beside < 4 and perf_counter() < until:
            gevent.sleep(0.02)

        assert revocations.close() == []
    why = {kind["kind"]: kind["why"] for kind in context.denials.document(1)["not_watched"]}
    assert "POST /v2/users as admin is answered 422" in why["user-deleted"]
    assert "[operations.create-user]" in why["user-deleted"]
