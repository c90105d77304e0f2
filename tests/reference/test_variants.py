"""Variants differ as they say, and otherwise work; trouble troubles as it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest

from rolecall.reference.server import running
from rolecall.reference.settings import ROLES, Settings
from rolecall.reference.variants import VARIANTS
from rolecall.reference.variants.tokens import KEY_SET
from tests.reference.asking import QUICK, Api, read, tell, with_api

Story = Callable[[Api], Awaitable[Any]]

ON_THE_WIRE = {
    "gzip",
    "chunked",
    "connection-close",
    "title-case-headers",
    "http-1.0",
    "no-date",
    "deleted-200",
}
#: Each has a test of its own.
OF_THEIR_OWN = {
    "latency-50ms",
    "latency-80ms",
    "rs256",
    "closes-without-saying",
    "reads-lag",
    "makers-see-at-once",
    "soft-deletes",
    "created-is-at-its-location",
    "writes-want-a-precondition",
    "updates-are-merge-patches",
    "deletes-archive",
}
LEGAL = [name for name, it in VARIANTS.items() if it.kind == "legal" and name not in OF_THEIR_OWN]


def vary(name: str, story: Story) -> Any:
    """Tell a story to a server with a variant."""
    return with_api(Settings(scrypt_n=QUICK, variants=(name,)), story)


def vary_over_socket(name: str, story: Story) -> Any:
    """The same, over a socket."""
    with running(Settings(scrypt_n=QUICK, variants=(name,))) as one:
        return tell(one.server, story, base_url=one.base_url, timeout=5)


async def live(api: Api) -> None:
    """An ordinary day: a login, both refreshes, a resource's life, a denial."""
    issued = read(await api.login("bot"))
    new = read(await api.get_refresh(issued["token"], issued["refreshToken"]))
    newer = read(await api.post_refresh(new["refreshToken"], api.server.accounts["bot"].email))
    created = await api.ask("POST", "/v2/contacts", newer["token"], json={"meta": {"a": 1}})
    assert created.status_code in (200, 201)
    path = f"/v2/contacts/{quote(str(read(created)['id']), safe='')}"
    assert read(await api.ask("GET", path, newer["token"]))["meta"]["a"] == 1
    assert (await api.ask("PATCH", path, newer["token"], json={"meta": {}})).status_code == 200
    assert (await api.ask("DELETE", path, newer["token"])).status_code == 403
    deleted = await api.ask("DELETE", path, "admin")
    assert (deleted.status_code in (200, 202, 204), deleted.content) == (True, b"")
    assert (await api.ask("GET", path, newer["token"])).status_code == 404
    assert (await api.ask("GET", "/v2/contacts")).status_code == 401


@pytest.mark.parametrize("name", LEGAL)
def test_legal_variant_lives(name: str) -> None:
    """A server with a legal variant serves an ordinary day."""
    (vary_over_socket if name in ON_THE_WIRE else vary)(name, live)


def refreshed_twice(name: str, later: float = 0) -> tuple[int, bool]:
    """The answer to the second use of a refresh token, and whether it repeats the first."""

    async def story(api: Api) -> tuple[int, bool]:
        token = read(await api.login("bot"))["refreshToken"]
        client = api.server.accounts["bot"].email
        new = read(await api.post_refresh(token, client))
        api.server.clock.advance(later)
        return (await api.post_refresh(token, client)).status_code, new["refreshToken"] == token

    result: tuple[int, bool] = vary(name, story)
    return result


@pytest.mark.parametrize(
    ("name", "later", "status", "same"),
    [
        ("refresh-tokens-rotate", 0, 401, False),
        ("refresh-tokens-stay", 0, 200, True),
        ("refresh-tokens-reusable", 0, 200, False),
        ("refresh-grace-window", 0, 200, False),
        ("refresh-grace-window", 31, 401, False),
        ("refresh-reuse-ends-family", 0, 401, False),
    ],
)
def test_second_use_of_a_refresh_token(name: str, later: float, status: int, same: bool) -> None:
    """Rotation is as the variant says."""
    assert refreshed_twice(name, later) == (status, same)


def test_reuse_ends_the_family() -> None:
    """After a second use the token that came of the first is dead too."""

    async def story(api: Api) -> None:
        token = read(await api.login("bot"))["refreshToken"]
        client = api.server.accounts["bot"].email
        new = read(await api.post_refresh(token, client))["refreshToken"]
        await api.post_refresh(token, client)
        assert (await api.post_refresh(new, client)).status_code == 401

    vary("refresh-reuse-ends-family", story)


def test_refresh_tokens_that_are_gone() -> None:
    """A refresh token that is not known is answered 410, and a good one as usual."""

    async def story(api: Api) -> list[int]:
        good, client = (
            read(await api.login("bot"))["refreshToken"],
            api.server.accounts["bot"].email,
        )
        answers = [await api.post_refresh(token, client) for token in (f"{good[:-1]}x", good)]
        return [answer.status_code for answer in answers]

    assert vary("refresh-tokens-are-gone", story) == [410, 200]


def test_scope_as_cascade() -> None:
    """The scope lists what the role includes."""

    async def story(api: Api) -> None:
        assert read(await api.login("bot"))["scope"] == "guest agent bot"

    vary("scope-cascade", story)


def test_a_day_at_most() -> None:
    """A token whose exp is in milliseconds is good for 24 hours after its iat, and no longer."""

    async def story(api: Api) -> None:
        now = int(api.server.clock.now())
        assert await api.accepted(api.token("admin", iat=now - 3600, exp=now * 1000))
        assert not await api.accepted(api.token("admin", iat=now - 90000, exp=now * 1000))

    vary("a-day-at-most", story)


def test_rs256_with_a_key_set() -> None:
    """Tokens are signed with RS256, and the key to check them is published."""

    async def story(api: Api) -> None:
        await live(api)
        key = jwt.PyJWKSet.from_dict(read(await api.ask("GET", KEY_SET))).keys[0]
        claims = jwt.decode(read(await api.login("bot"))["token"], key, algorithms=["RS256"])
        assert claims["scope"] == "bot"

    vary("rs256", story)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("extra-fields", lambda answer: "_links" in read(answer)[0]),
        (
            "other-key-order",
            lambda answer: list(read(answer)[0]) == sorted(read(answer)[0], reverse=True),
        ),
        ("resources-without-dates", lambda answer: "createdAt" not in read(answer)[0]),
        ("indented-bodies", lambda answer: answer.content.startswith(b"[\n")),
        ("gzip", lambda answer: answer.headers["content-encoding"] == "gzip"),
        ("chunked", lambda answer: answer.headers["transfer-encoding"] == "chunked"),
        ("connection-close", lambda answer: answer.headers["connection"] == "close"),
        (
            "http-1.0",
            lambda answer: (
                answer.http_version == "HTTP/1.0" and "content-length" not in answer.headers
            ),
        ),
        ("no-date", lambda answer: "date" not in answer.headers),
        ("title-case-headers", lambda answer: b"Content-Type" in dict(answer.headers.raw)),
        (
            "list-limit-10",
            lambda answer: len(read(answer)) == 10 and "limit=10" in answer.headers["link"],
        ),
        ("latency-80ms", lambda answer: answer.elapsed.total_seconds() > 0.08),
        ("latency-50ms", lambda answer: answer.elapsed.total_seconds() > 0.05),
        ("wrong-content-type", lambda answer: "html" in answer.headers["content-type"]),
    ],
)
def test_form_of_answers(name: str, check: Callable[[httpx.Response], bool]) -> None:
    """An answer looks as the variant says, and holds what it should."""

    async def story(api: Api) -> None:
        for _ in range(12):
            api.put("contacts")
        answer = await api.ask("GET", "/v2/contacts", "admin")
        assert check(answer)
        assert read(answer)[0]["profile"] == {"name": "Ada"} or name == "extra-fields"

    vary_over_socket(name, story)


def test_other_error_bodies() -> None:
    """Errors come as problem documents."""

    async def story(api: Api) -> None:
        answer = await api.ask("GET", "/v2/users")
        assert (answer.status_code, read(answer)["status"]) == (401, 401)

    vary("other-error-bodies", story)


def test_errors_without_bodies() -> None:
    """Errors have their status and nothing to read."""

    async def story(api: Api) -> None:
        answer = await api.ask("GET", "/v2/users")
        assert (answer.status_code, answer.content) == (401, b"")

    vary("errors-without-bodies", story)


def test_order_of_checks_varies() -> None:
    """What is missing, or wrong in the body, may be said before what is not allowed."""

    async def missing(api: Api) -> None:
        assert (await api.ask("GET", f"/v2/services/{'0' * 24}", "guest")).status_code == 404

    async def wrong(api: Api) -> None:
        assert (await api.ask("POST", "/v2/services", "guest", json={})).status_code == 400
        assert (
            await api.ask("POST", "/v2/services", "guest", json={"name": "x"})
        ).status_code == 403

    vary("looks-before-it-asks", missing)
    vary("reads-before-it-asks", wrong)


def test_conversations_of_participants() -> None:
    """Below bot a conversation is there for those in it only."""

    async def story(api: Api) -> None:
        body = {"participants": [{"user": api.user("guest")["id"]}]}
        made = await api.ask("POST", "/v2/conversations", "agent", json=body)
        path = f"/v2/conversations/{read(made)['id']}"
        for role, status in (
            ("guest", 200),
            ("guest2", 404),
            ("agent", 200),
            ("bot", 200),
            ("admin", 200),
        ):
            assert (await api.ask("GET", path, role)).status_code == status
        other = api.put("conversations")
        assert (
            await api.ask("POST", f"{path}/messages", "guest", json={"text": "x"})
        ).status_code == 201
        answer = await api.ask(
            "POST", f"/v2/conversations/{other}/messages", "guest", json={"text": "x"}
        )
        assert answer.status_code == 404
        assert len(read(await api.ask("GET", "/v2/conversations", "agent"))) == 1
        assert len(read(await api.ask("GET", "/v2/conversations", "bot"))) == 2

    vary("conversations-of-participants", story)


def test_rate_limit() -> None:
    """The 21st request in a second is answered 429, and welcome after Retry-After."""

    async def story(api: Api) -> None:
        answers = [await api.ask("GET", "/v2/users", "admin") for _ in range(22)]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 2
        await asyncio.sleep(float(answers[-1].headers["retry-after"]))
        assert (await api.ask("GET", "/v2/users", "admin")).status_code == 200

    vary("rate-limit-20", story)


@pytest.mark.parametrize(
    ("name", "status"),
    [("post-refresh-refuses-authorization", 400), ("post-refresh-ignores-authorization", 200)],
)
def test_stale_authorization(name: str, status: int) -> None:
    """POST refresh with a bearer is refused or not, as the variant says."""

    async def story(api: Api) -> None:
        token = read(await api.login("guest"))["refreshToken"]
        body = {"refreshToken": token, "clientId": "guest@example.org"}
        assert (await api.ask("POST", "/v2/auth/token", "guest", json=body)).status_code == status

    vary(name, story)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("clock-five-seconds-ahead", 5),
        ("clock-five-seconds-behind", -5),
        ("clock-ten-minutes-ahead", 600),
        ("clock-ten-minutes-behind", -600),
    ],
)
def test_clock_is_off(name: str, seconds: int) -> None:
    """Iat is off as the variant says."""

    async def story(api: Api) -> None:
        claims = api.server.verifier.document(api.token("guest").split(".")[1])
        assert abs(claims["iat"] - time.time() - seconds) < 2

    vary(name, story)


@pytest.mark.parametrize(
    ("name", "nth", "status"),
    [
        ("every-15th-503", 15, 503),
        ("every-15th-503-retry-after", 15, 503),
        ("every-15th-502", 15, 502),
        ("every-50th-429", 50, 429),
    ],
)
def test_every_nth_fails(name: str, nth: int, status: int) -> None:
    """Every nth request fails, and only those."""

    async def story(api: Api) -> None:
        statuses = [
            (await api.ask("GET", "/v2/users", "admin")).status_code for _ in range(2 * nth)
        ]
        assert statuses == ([200] * (nth - 1) + [status]) * 2

    vary(name, story)


@pytest.mark.parametrize(
    "name", ["resets-now-and-then", "cut-off-now-and-then", "truncated-json-now-and-then"]
)
def test_broken_answers(name: str) -> None:
    """The fortieth answer breaks, and the next is whole."""

    async def story(api: Api) -> None:
        for _ in range(39):
            assert read(await api.ask("GET", "/v2/users", "admin"))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, ValueError)):
            read(await api.ask("GET", "/v2/users", "admin"))
        assert read(await api.ask("GET", "/v2/users", "admin"))

    vary_over_socket(name, story)


def test_hangs() -> None:
    """The three-hundredth request is not answered, and the server goes on."""

    async def story(api: Api) -> None:
        for _ in range(299):
            await api.ask("OPTIONS", "/v2/users")
        with pytest.raises(httpx.ReadTimeout):
            await api.ask("OPTIONS", "/v2/users", timeout=0.1)
        assert (await api.ask("OPTIONS", "/v2/users")).status_code == 204

    vary_over_socket("hangs-now-and-then", story)


def test_random_prefix() -> None:
    """Only the URL of the target file leads to the server, and its links stay under it."""
    with running(Settings(scrypt_n=QUICK, variants=("random-prefix",))) as one:
        tell(one.server, live, base_url=one.base_url)

        async def story(api: Api) -> None:
            api.put("contacts")
            api.put("contacts")
            link = (await api.ask("GET", "/v2/contacts?limit=1", "admin")).headers["link"]
            assert link.startswith(f"<{one.base_url}/v2/contacts?")
            bare = one.base_url.rsplit("/", 1)[0]
            assert (await api.ask("GET", f"{bare}/v2/contacts", "admin")).status_code == 404

        tell(one.server, story, base_url=one.base_url)


def test_every_variant_is_described() -> None:
    """A reader of the list learns what a variant does."""
    for variant in VARIANTS.values():
        assert variant.description.endswith(".")
    kinds = {variant.kind for variant in VARIANTS.values()}
    assert kinds == {"legal", "trouble", "lint", "load", "under-load"}
    assert set(ROLES) == {"guest", "agent", "bot", "admin"}
