"""Faults of caches: in front of the guard, or with too little in the key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import replace

from rolecall.reference.app import Server
from rolecall.reference.cache import Cache, clear_at_changes
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import RESOURCES
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

KEPT = 5.0
"""Seconds for which an answer is kept."""

DECIDED = 2.0
"""Seconds for which it is kept that somebody was allowed or refused something."""


def _url(call: Call) -> tuple[str, bytes]:
    return call.path, call.scope["query_string"]


def _copy(answer: Answer) -> Answer:
    """An answer that can be changed on its way out."""
    return replace(answer, headers=dict(answer.headers))


def _answers_cached(server: Server, key: Callable[[Call, Principal], Hashable | None]) -> None:
    """Keep good answers behind the authentication and in front of the permissions; no key, no
    keeping.
    """
    cache: Cache[Answer] = clear_at_changes(server, Cache(KEPT))
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def cached(call: Call) -> Answer:
        if call.method != "GET" or call.resource not in RESOURCES:
            return await answer(call)
        name = key(call, server.guard.authenticate(call))
        if name is None:
            return await answer(call)
        kept = cache.get(name)
        if kept is None:
            kept = await answer(call)
            if kept.status == 200:
                cache.put(name, _copy(kept))
        return _copy(kept)


@fault("lists-cached-by-url", finding="PERM-list-organizations")
def lists_cached_by_url(server: Server) -> None:
    """Lists are kept for five seconds by their URL, and permissions are checked behind the cache.

    Modelled on SPR-14204 (https://github.com/spring-projects/spring-framework/issues/18778).
    """
    _answers_cached(server, lambda call, principal: _url(call) if call.id is None else None)


@fault("things-cached-for-their-organization", finding="PERM-fetch-organization")
def things_cached_for_their_organization(server: Server) -> None:
    """Fetches are kept for five seconds by URL and organization; the user is not in the key.

    Modelled on CVE-2025-57752 (Next.js, a cache key without Authorization).
    """
    _answers_cached(
        server,
        lambda call, principal: (
            None if call.id is None else (_url(call), principal.user.get("organization"))
        ),
    )


@fault("services-cached-for-those-with-a-token", finding="PERM-list-services")
def services_cached_for_those_with_a_token(server: Server) -> None:
    """Services are kept by whether there was an Authorization header, and not by which.

    Modelled on https://github.com/TupiC/strapi-cache/pull/127.
    """
    _answers_cached(
        server,
        lambda call, principal: (
            ("with a token", _url(call)) if call.resource == "services" else None
        ),
    )


@fault("decisions-cached-by-url", finding="PERM-list-organizations")
def decisions_cached_by_url(server: Server) -> None:
    """A permission is kept for two seconds by method and path; the caller is not in the key.

    Modelled on https://github.com/apache/usergrid/pull/526.
    """
    allowed: Cache[bool] = Cache(DECIDED)
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def remembered(call: Call, principal: Principal, operation: str) -> bool:
        key = (call.method, call.path)
        if allowed.get(key):
            return True
        return permitted(call, principal, operation) and allowed.put(key, True)


@fault("refusals-cached-by-url", finding="PERM-list-organizations")
def refusals_cached_by_url(server: Server) -> None:
    """A refused read is kept for two seconds by its URL, and told to the next caller.

    Modelled on https://github.com/ging/fiware-pep-proxy/issues/143.
    """
    refused: Cache[bool] = Cache(DECIDED)
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def remembered(call: Call) -> Answer:
        if call.verb != "GET":
            return await answer(call)
        server.guard.authenticate(call)
        if refused.get(_url(call)):
            raise Refusal(403, "Permission Denied")
        try:
            return await answer(call)
        except Refusal as refusal:
            if refusal.status == 403:
                refused.put(_url(call), True)
            raise


@fault("refusals-with-the-cached-body", finding="PERM-list-organizations")
def refusals_with_the_cached_body(server: Server) -> None:
    """A read that is refused has the right status, and the body that is in the cache for its URL.

    Modelled on https://github.com/cantaloupe-project/cantaloupe/issues/347.
    """
    cache: Cache[bytes] = clear_at_changes(server, Cache(KEPT))
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def cached(call: Call) -> Answer:
        if call.method != "GET":
            return await answer(call)
        try:
            given = await answer(call)
        except Refusal as refusal:
            body = cache.get(_url(call))
            if refusal.status != 403 or body is None:
                raise
            return Answer(403, body)
        if given.status == 200:
            cache.put(_url(call), given.body)
        return given


def _tagged(server: Server, is_known: Callable[[str, str], bool]) -> None:
    """Give reads an ETag, and answer 304 before the guard to who ``is_known`` to have it, by what
    If-None-Match says and the ETag.
    """
    tags: Cache[str] = clear_at_changes(server, Cache(KEPT))
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def conditional(call: Call) -> Answer:
        if call.verb != "GET":
            return await answer(call)
        server.guard.authenticate(call)
        wanted, tag = call.header(b"if-none-match"), tags.get(_url(call))
        if tag is not None and wanted is not None and is_known(wanted, tag):
            return Answer(304, headers={"ETag": tag})
        given = await answer(call)
        if given.status == 200:
            tag = f'"{hashlib.sha256(given.body).hexdigest()[:16]}"'
            tags.put(_url(call), tag)
            given.headers["ETag"] = tag
        return given


@fault("not-modified-before-the-guard", finding="PERM-list-organizations")
def not_modified_before_the_guard(server: Server) -> None:
    """Reads have an ETag, and If-None-Match is answered 304 before permissions are looked at.

    Modelled on https://github.com/kwhitley/apicache/issues/225.
    """
    _tagged(server, lambda wanted, tag: wanted == "*" or tag in wanted)


@fault("not-modified-to-who-knows-the-tag", finding="PERM-list-organizations")
def not_modified_to_who_knows_the_tag(server: Server) -> None:
    """Who sends the right ETag of something is told that it is unchanged, may he read it or not."""
    _tagged(server, lambda wanted, tag: wanted == tag)
