"""Questions that show the faults of what an error tells, and of the form of answers."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx

from tests.reference.asking import Api, Probe, read, sees


def error(secret: str, **body: str) -> Probe:
    """Whether the error of a failed login holds a text."""

    async def probe(api: Api) -> bool:
        return secret in (await api.login("guest", **body)).text

    return probe


sees("password-echoed")(error("let-me-in", password="let-me-in"))
sees("stack-trace")(error("Traceback", password="let-me-in"))
sees("query-shown")(error("SELECT", password="let-me-in"))


@sees("token-echoed")
async def token_echoed(api: Api) -> bool:
    return "a.b.c" in (await api.ask("GET", "/v2/users", "a.b.c")).text


@sees("refresh-token-echoed")
async def refresh_token_echoed(api: Api) -> bool:
    return "f" * 80 in (await api.get_refresh("bot", f"{'0' * 24}.{'f' * 80}")).text


@sees("unknown-user-told", "unknown-user-404")
async def told_apart(api: Api) -> bool:
    known = await api.login("guest", password="wrong")
    unknown = await api.login("guest", email="nobody@example.org", password="wrong")
    return (known.status_code, known.content) != (unknown.status_code, unknown.content)


@sees("unknown-user-timed")
async def timed_apart(api: Api) -> bool:
    shortest = {}
    for email in ("guest@example.org", "nobody@example.org"):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            await api.login("guest", email=email, password="wrong")
            times.append(time.perf_counter() - start)
        shortest[email] = min(times)
    return shortest["guest@example.org"] - shortest["nobody@example.org"] > 0.04


@sees("refusals-carry-tokens")
async def tokens_in_refusal(api: Api) -> bool:
    return "refreshToken" in (await api.login("guest", password="wrong")).text


@sees("refusals-mention-a-token")
async def token_in_an_error(api: Api) -> bool:
    return "Bearer eyJ" in (await api.login("guest", password="wrong")).text


def shown(
    wrong: Callable[[httpx.Response], bool], path: str = "/v2/users", who: str | None = "admin"
) -> Probe:
    """Whether an answer has the wrong form."""

    async def probe(api: Api) -> bool:
        return wrong(await api.ask("GET", path, who, headers={"Origin": "https://evil.example"}))

    return probe


sees("errors-as-html")(shown(lambda answer: "html" in answer.headers["content-type"], who=None))
sees("errors-without-message")(shown(lambda answer: "error" not in read(answer), who=None))
sees("no-challenge")(shown(lambda answer: "www-authenticate" not in answer.headers, who=None))
sees("redirects-to-http")(shown(lambda answer: answer.is_redirect, "/v2/forms"))
sees("slash-redirected-elsewhere")(shown(lambda answer: answer.is_redirect, "/v2/forms/"))
sees("reflects-origin")(shown(lambda answer: "access-control-allow-origin" in answer.headers))
sees("lists-as-text")(shown(lambda answer: answer.headers["content-type"] != "application/json"))
for name in (
    "lists-in-an-envelope",
    "lists-go-on-in-the-body",
    "answers-in-data",
    "answers-under-their-name",
    "answers-as-hal",
    "answers-as-json-api",
    "things-by-their-ids",
):
    sees(name)(shown(lambda answer: not isinstance(read(answer), list)))
for name in ("members-in-pascal-case", "ids-in-uid"):
    sees(name)(shown(lambda answer: "id" not in read(answer)[0]))
sees("dates-as-numbers")(shown(lambda answer: not isinstance(read(answer)[0]["createdAt"], str)))


@sees("clock-half-a-minute-ahead")
async def clock(api: Api) -> bool:
    date = (await api.ask("GET", "/v2/users")).headers["date"]
    return parsedate_to_datetime(date).timestamp() > time.time() + 20
