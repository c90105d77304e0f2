"""The requests that the clients of scenarios send, and what they do when these fail.

Longer than 400 lines because each scenario has its requests and its failures here.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.deny_scenario import TimeToDenyScenario
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.race_scenario import RefreshRaceScenario
from rolecall.loadgen.scenario import RefreshingScenario
from rolecall.loadgen.scenarios import (
    SCENARIOS,
    USUAL_WEIGHTS,
    GuardedScenario,
    RefreshGetScenario,
    RefreshPostScenario,
    SessionScenario,
    maker,
)
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.loading import load_specification
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    always,
    in_turn,
    json_response,
    response,
)
from tests.support.token_answers import DAY, USER, claims, document

ACCOUNT = LoadAccount("ada@example.org", "Sesame-1", "agent")


@contextmanager
def context_of(answer: Answer) -> Iterator[tuple[ClientContext, Miniature]]:
    """A context with one account, at a miniature."""
    tables = load_specification()
    dialect = tables.dialect({}, "tests")
    spec = tables.for_target({}, dialect, "tests")
    with Miniature(answer) as server:
        context = ClientContext(Origin.of(server.url), spec, dialect, [ACCOUNT], timeout=2)
        context.begin(Recorder(perf_counter()))
        yield context, server


def granted(request: Received, connection: Connection) -> None:
    """New tokens for each request."""
    now = int(time.time())
    connection.send(json_response(document(USER, claims(USER, iat=now, exp=now + DAY))))


def profile(request: Received, connection: Connection) -> None:
    """The only user there is, or an empty list."""
    connection.send(json_response({"id": USER} if USER in request.path else []))


def tokens_and_reads(request: Received, connection: Connection) -> None:
    """A server on which all goes well."""
    (granted if request.path.startswith("/v2/auth/token") else profile)(request, connection)


def cut(request: Received, connection: Connection) -> None:
    """Closed without an answer."""
    connection.cut()


def in_session(context: ClientContext, steps: int) -> None:
    """A client's session of so many steps."""
    client = SessionScenario(context)
    client.prepare()
    for _ in range(steps):
        client.step(perf_counter())
    client.close()


def errors(context: ClientContext) -> dict[str, int]:
    """The errors by kind."""
    totals = Totals()
    totals.merge("one", context.recorder.take())
    found: dict[str, int] = totals.document()["errors"]
    return found


def test_a_chain_of_refreshes() -> None:
    """Each refresh presents what the one before it gave, by GET in the query, by POST in the body
    with the e-mail.
    """
    for scenario in (RefreshGetScenario, RefreshPostScenario):
        with context_of(tokens_and_reads) as (context, server):
            client = scenario(context)
            client.prepare()
            held = []
            for _ in range(3):
                assert client.grant is not None
                held.append((client.grant.token, client.grant.refresh_token))
                client.step(perf_counter())
            client.close()

        asked = [
            received
            for received in server.received[1:]
            if received.path.startswith("/v2/auth/token")
        ]
        if scenario is RefreshGetScenario:
            assert [
                (received.headers["authorization"], received.path.partition("refreshToken=")[2])
                for received in asked
            ] == [(f"Bearer {token}", refresh) for token, refresh in held]
        else:
            assert [json.loads(received.body) for received in asked] == [
                {"refreshToken": refresh, "clientId": ACCOUNT.email} for _, refresh in held
            ]
            assert all("authorization" not in received.headers for received in asked)
        assert not context.violations.counts


def test_a_session_reads_and_refreshes() -> None:
    """A session reads its profile and lists, and refreshes by either path, with the newest token
    always.
    """
    with context_of(tokens_and_reads) as (context, server):
        in_session(context, 40)

    paths = Counter(
        received.path.partition("?")[0] for received in server.received if received.method == "GET"
    )
    assert paths[f"/v2/users/{USER}"] > 5
    assert (
        sum(
            count
            for path, count in paths.items()
            if path not in (f"/v2/users/{USER}", "/v2/auth/token")
        )
        > 5
    )
    assert paths["/v2/auth/token"] > 1
    assert not context.violations.counts


@pytest.mark.parametrize(
    ("trouble", "found"),
    [
        # a client that holds the last refresh token can go on
        ([always(response(401))], {"chain-broken": 1}),
        ([cut], {}),  # it may have been carried out, so that it is unknown what is held
        # so may this one, so that the second is refused rightly
        ([always(response(500)), always(response(401))], {}),
        # this one was not
        ([always(response(429, retry_after="1")), always(response(401))], {"chain-broken": 1}),
    ],
)
def test_a_refresh_that_is_refused(trouble: list[Answer], found: dict[str, int]) -> None:
    """A chain is broken where a refresh is refused that nothing explains; then the client logs in
    anew, and goes on.
    """
    with context_of(in_turn(granted, *trouble, granted, tokens_and_reads)) as (context, server):
        client = RefreshPostScenario(context)
        client.prepare()
        for _ in range(len(trouble) + 2):
            client.step(perf_counter())
        client.close()

    assert dict(context.violations.counts) == found
    assert json.loads(server.received[1 + len(trouble)].body) == {
        "email": ACCOUNT.email,
        "password": ACCOUNT.password,
    }


@pytest.mark.parametrize("body", [b"<h1>Under maintenance</h1>", b"", b'"soon"', b"[1,"])
def test_a_list_that_is_none_is_a_violation(body: bytes) -> None:
    """Under load, too, 200 with something else than JSON is no list."""

    def answer(request: Received, connection: Connection) -> None:
        if request.path.startswith("/v2/auth/token") or USER in request.path:
            tokens_and_reads(request, connection)
        else:
            connection.send(response(200, body))

    with context_of(answer) as (context, _):
        in_session(context, 8)

    assert set(context.violations.counts) == {"body"}


def test_trouble_is_counted_by_kind() -> None:
    """A missing answer and an unreadable one are two kinds of error."""
    with context_of(in_turn(granted, cut, always(b"garbage\r\n\r\n"), always(response(500)))) as (
        context,
        _,
    ):
        client = RefreshGetScenario(context)
        client.prepare()
        for _ in range(3):
            client.step(perf_counter())
        client.close()

        assert errors(context) == {"closed": 1, "garbage": 1, "500": 1}


@pytest.mark.parametrize(
    "change",
    ["two words", "ümlaut", "a\r\nx: y", "", "{}=", "{} ", "{}\n", "{}é", "{}.x", "{}\ud800"],
)
def test_a_token_that_cannot_be_sent(change: str) -> None:
    """A token with what may not stand in a header is a violation of the server's, never sent, and
    breaks no client (B6).
    """

    def answer(request: Received, connection: Connection) -> None:
        value = change.format(document(USER)["token"])
        connection.send(
            json_response(
                document(USER, token=value) if "auth/token" in request.path else {"id": USER}
            )
        )

    with context_of(answer) as (context, server):
        for scenario in (*SCENARIOS, "guarded"):
            client = maker(scenario, context, {})()
            client.prepare()
            for _ in range(11 if scenario == "guarded" else 2):
                client.step(perf_counter())
            client.close()

    assert set(context.violations.counts) == ({"jwt"} if change else {"shape"})
    assert not [received for received in server.received if "authorization" in received.headers]


@pytest.mark.parametrize("text", ["\ud800", "x" * 3 + "\udfff"])
@pytest.mark.parametrize("member", ["refreshToken", "user", "scope"])
def test_half_a_character_cannot_be_sent(member: str, text: str) -> None:
    """Nor is a refresh token, or a user's id, that no request can hold."""

    def answer(request: Received, connection: Connection) -> None:
        connection.send(json_response(document(USER) | {member: text}))

    with context_of(answer) as (context, _):
        for scenario in SCENARIOS:
            client = maker(scenario, context, {})()
            client.prepare()
            client.step(perf_counter())
            client.close()

    assert set(context.violations.counts) == {"shape"}


# --- Tokens that are old (B7), sessions that were ended (B3) -----------------------------------


def test_an_old_token_is_not_used_any_more() -> None:
    """A client that was idle for most of a token's life goes on by POST, which needs no access
    token.
    """
    for scenario in (RefreshGetScenario, SessionScenario, RefreshRaceScenario):
        with context_of(tokens_and_reads) as (context, server):
            client = scenario(context)
            client.prepare()
            for _ in range(3):
                assert client.grant is not None
                client.grant.asked -= 0.95 * DAY
                already = len(server.received)
                client.step(perf_counter())
                assert (server.received[already].method, server.received[already].path) == (
                    "POST",
                    "/v2/auth/token",
                )
            client.close()

        assert not context.violations.counts
        assert not errors(context)


@pytest.mark.parametrize(
    "scenario", [RefreshGetScenario, RefreshPostScenario, SessionScenario, RefreshRaceScenario]
)
def test_the_end_of_a_session_by_another_login_is_no_error(
    scenario: type[RefreshingScenario],
) -> None:
    """A refusal that another log-in of the account explains is a row of its own, and the client
    logs in anew.
    """
    ended = False

    def answer(request: Received, connection: Connection) -> None:
        if b"password" in request.body or not ended:
            tokens_and_reads(request, connection)
        else:
            connection.send(json_response({}, 401))

    with context_of(answer) as (context, _):
        client = scenario(context)
        client.prepare()
        context.invariants.log_in(ACCOUNT)
        ended = True
        for _ in range(2):
            client.step(perf_counter())
            assert client.grant is None
            ended = False
            client.step(perf_counter())
            assert client.grant is not None
            ended = True
        client.close()

        assert not context.violations.counts
        # in a race refusals are what is expected
        assert ("session ended" in context.entries) is (scenario is not RefreshRaceScenario)
        assert not errors(context)


def test_after_a_race_access_tokens_are_tried_before_refresh_tokens() -> None:
    """A refresh may revoke the access tokens of its session, so that to try a refresh token first
    would kill what is tried next.
    """
    with context_of(tokens_and_reads) as (context, server):
        client = RefreshRaceScenario(context)
        client.prepare()
        client.step(perf_counter())
        client.close()

    asked = [
        "read" if USER in received.path and "auth" not in received.path else "refresh"
        for received in server.received[1:]
    ]
    assert (
        asked
        == ["refresh"] * context.racers + ["read"] * context.racers + ["refresh"] * context.racers
    )
    assert not context.violations.counts


def test_a_race_goes_on_with_what_is_last() -> None:
    """Of the refreshes after a race the last one's tokens are certain to be good."""
    with context_of(tokens_and_reads) as (context, _):
        client = RefreshRaceScenario(context)
        client.prepare()
        client.step(perf_counter())

        assert client.grant is not None
        assert not client.grant.may_be_refused
        client.close()


def test_a_race_in_which_the_session_was_ended_is_not_judged() -> None:
    """A race during another log-in may have no winner (B3)."""
    with context_of(in_turn(granted, always(response(401)))) as (context, _):
        client = RefreshRaceScenario(context)
        client.prepare()
        context.invariants.log_in(ACCOUNT)
        client.step(perf_counter())
        client.close()

    assert not context.violations.counts

    with context_of(in_turn(granted, always(response(401)))) as (context, _):
        client = RefreshRaceScenario(context)
        client.prepare()
        client.step(perf_counter())
        client.close()

    assert dict(context.violations.counts) == {"race-without-winner": 1}


def test_weights_are_kept_evenly() -> None:
    """Clients of a mixture come by their weights, in every stretch of them."""
    with context_of(granted) as (context, _):
        make = maker("mixed", context, USUAL_WEIGHTS)
        names = [make().name for _ in range(30)]

    for start in (0, 10, 20):
        assert Counter(names[start : start + 10]) == USUAL_WEIGHTS


def test_sessions_do_not_refresh_all_at_once() -> None:
    """Of 18 sessions that take turns, each refreshes in another turn: the load is even."""
    with context_of(tokens_and_reads) as (context, server):
        clients = [SessionScenario(context) for _ in range(18)]
        for client in clients:
            client.prepare()
        refreshes = []
        for _ in range(9):
            before = len(server.received)
            for client in clients:
                client.step(perf_counter())
            refreshes.append(
                sum(
                    request.path.startswith("/v2/auth/token")
                    for request in server.received[before:]
                )
            )
        for client in clients:
            client.close()

    assert refreshes == [2] * 9


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"3", 3),
        (b"0", 0),
        (b"600", 600),
        (b"Sun, 22 Nov 2026 16:00:09 GMT", 9),
        (b"-1", 1),
        (b"soon", 1),
        (None, 1),
    ],
)
def test_retry_after(value: bytes | None, seconds: float) -> None:
    """Seconds, and a date by the server's own clock, are heeded; what is neither is a second."""
    field = b"" if value is None else b"\r\nretry-after: " + value
    head = b"HTTP/1.1 429 Whatever\r\ndate: Sun, 22 Nov 2026 16:00:00 GMT" + field

    assert Response(429, head, b"", True).seconds_to_wait == seconds


def test_makers_of_one_scenario() -> None:
    """A scenario's own maker makes that; guarded and time-to-deny are made around another."""
    with context_of(granted) as (context, _):
        assert isinstance(maker("session", context, {})(), SessionScenario)
        assert isinstance(maker("guarded", context, {}, "session")(), GuardedScenario)
        beside = maker("time-to-deny", context, {}, "session")()
        assert isinstance(beside, TimeToDenyScenario)
        assert isinstance(beside.inner, SessionScenario)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (response(403, b'{"error": {"message": "no"}}', content_type="application/json"), "403"),
        (response(403, b"<h1>Blocked</h1>", content_type="text/html"), "403-page"),
        (response(502, b"<h1>Bad Gateway</h1>", content_type="text/html"), "502-page"),
        (response(302, location="/login"), "302"),
        (response(503), "503"),
    ],
)
def test_a_web_page_is_an_error_of_its_own_kind(answer: bytes, kind: str) -> None:
    """A refusal that is a web page, as of a firewall, is not counted with those of the API."""
    with context_of(always(answer)) as (context, _):
        SCENARIOS["issuance"](context).step(perf_counter())

        assert errors(context) == {kind: 1}
