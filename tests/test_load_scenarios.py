"""What the clients of scenarios send, one step after the other, and what they make of trouble."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest

from rolecall.conformance.tables import load_specification
from rolecall.load.accounts import Account
from rolecall.load.measure.recorder import Recorder
from rolecall.load.measure.totals import Totals
from rolecall.load.scenarios import USUAL_WEIGHTS, Guarded, RefreshGet, RefreshPost, Session, maker, retry_after
from rolecall.load.site import Site
from rolecall.load.transport.wire import Origin, Response
from tests.miniatures import Answer, Connection, Miniature, Received, always, in_turn, json_response, response
from tests.token_answers import DAY, USER, claims, document

ACCOUNT = Account("ada@example.org", "Sesame-1", "agent")


@contextmanager
def site_of(answer: Answer) -> Iterator[tuple[Site, Miniature]]:
    """A site with one account, at a miniature."""
    tables = load_specification()
    dialect = tables.dialect({}, "tests")
    spec = tables.for_target({}, dialect, "tests")
    with Miniature(answer) as server:
        site = Site(Origin.of(server.url), spec, dialect, [ACCOUNT], timeout=2)
        site.begin(Recorder(perf_counter()))
        yield site, server


def granted(request: Received, connection: Connection) -> None:
    """New tokens for whoever asks."""
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


def errors(site: Site) -> dict[str, int]:
    """The errors by kind."""
    totals = Totals()
    totals.merge("one", site.recorder.take())
    found: dict[str, int] = totals.document()["errors"]
    return found


def test_a_chain_of_refreshes() -> None:
    """Each refresh presents what the one before it gave, by GET in the query, by POST in the body with the e-mail."""
    for scenario in (RefreshGet, RefreshPost):
        with site_of(tokens_and_reads) as (site, server):
            client = scenario(site)
            client.prepare()
            held = []
            for _ in range(3):
                assert client.grant is not None
                held.append((client.grant.token, client.grant.refresh_token))
                client.step(perf_counter())
            client.close()

        asked = [it for it in server.received[1:] if it.path.startswith("/v2/auth/token")]
        if scenario is RefreshGet:
            assert [(it.headers["authorization"], it.path.partition("refreshToken=")[2]) for it in asked] == [
                (f"Bearer {token}", refresh) for token, refresh in held
            ]
        else:
            assert [json.loads(it.body) for it in asked] == [
                {"refreshToken": refresh, "clientId": ACCOUNT.email} for _, refresh in held
            ]
            assert all("authorization" not in it.headers for it in asked)
        assert not site.violations.counts


def test_a_session_reads_and_refreshes() -> None:
    """A session reads its profile and lists, and refreshes by either path, with the newest token always."""
    with site_of(tokens_and_reads) as (site, server):
        client = Session(site)
        client.prepare()
        for _ in range(40):
            client.step(perf_counter())
        client.close()

    paths = Counter(it.path.partition("?")[0] for it in server.received if it.method == "GET")
    assert paths[f"/v2/users/{USER}"] > 5
    assert sum(count for path, count in paths.items() if path not in (f"/v2/users/{USER}", "/v2/auth/token")) > 5
    assert paths["/v2/auth/token"] > 1
    assert not site.violations.counts


@pytest.mark.parametrize(
    ("trouble", "found"),
    [
        ([always(response(401))], {"chain-broken": 1}),  # whoever holds the last refresh token can go on
        ([cut, always(response(401))], {}),  # the first may have been carried out, so that the second is refused rightly
        ([always(response(500)), always(response(401))], {}),  # so may this one
        ([always(response(429, retry_after="1")), always(response(401))], {"chain-broken": 1}),  # this one was not
    ],
)
def test_a_refresh_that_is_refused(trouble: list[Answer], found: dict[str, int]) -> None:
    """A chain is broken where a refresh is refused that nothing explains; then the client logs in anew, and goes on."""
    with site_of(in_turn(granted, *trouble, granted, tokens_and_reads)) as (site, server):
        client = RefreshPost(site)
        client.prepare()
        for _ in range(len(trouble) + 2):
            client.step(perf_counter())
        client.close()

    assert dict(site.violations.counts) == found
    assert json.loads(server.received[1 + len(trouble)].body) == {"email": ACCOUNT.email, "password": ACCOUNT.password}


def test_trouble_is_counted_by_kind() -> None:
    """An answer that did not come and one that is none are two kinds of error."""
    with site_of(in_turn(granted, cut, always(b"garbage\r\n\r\n"), always(response(500)))) as (site, _):
        client = RefreshGet(site)
        client.prepare()
        for _ in range(3):
            client.step(perf_counter())
        client.close()

        assert errors(site) == {"closed": 1, "garbage": 1, "500": 1}


@pytest.mark.parametrize("value", ["two words", "ümlaut", "a\r\nx: y", ""])
def test_a_token_that_cannot_be_sent(value: str) -> None:
    """A token with what may not stand in a header is a violation of the server's, and never sent."""

    def answer(request: Received, connection: Connection) -> None:
        connection.send(json_response(document(USER, token=value)))

    with site_of(answer) as (site, server):
        client = Session(site)
        client.prepare()
        for _ in range(3):
            client.step(perf_counter())
        client.close()

    assert site.violations.counts
    assert not [it for it in server.received if "authorization" in it.headers]


def test_weights_are_kept_evenly() -> None:
    """Clients of a mixture come by their weights, in every stretch of them."""
    with site_of(granted) as (site, _):
        make = maker("mixed", site, USUAL_WEIGHTS)
        names = [make().name for _ in range(30)]

    for start in (0, 10, 20):
        assert Counter(names[start : start + 10]) == USUAL_WEIGHTS


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"3", 3), (b"0", 0), (b"600", 60), (b"Sun, 22 Nov 2026 16:00:00 GMT", 1), (b"-1", 1), (None, 1)]
)
def test_retry_after(value: bytes | None, seconds: float) -> None:
    """Seconds are heeded, up to a minute; what is no number of them is a second."""
    field = b"" if value is None else b"\r\nretry-after: " + value

    assert retry_after(Response(429, b"HTTP/1.1 429 Whatever" + field, b"", True)) == seconds


def test_makers_of_one_scenario() -> None:
    """A scenario's own maker makes that, and guarded one around another."""
    with site_of(granted) as (site, _):
        assert isinstance(maker("session", site, {})(), Session)
        assert isinstance(maker("guarded", site, {}, "session")(), Guarded)
