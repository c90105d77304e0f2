"""Ways around the permissions: other methods, other spellings of a path, other versions; denied there as here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from rolecall.conformance.bounds import expect_no_crash
from rolecall.conformance.closed import expect_denied_as_usual, expect_hidden, expect_refused
from rolecall.conformance.fixtures import Fixture
from rolecall.conformance.judge import Judge
from rolecall.conformance.marks import each, operations, requirement
from rolecall.conformance.tables import load_specification
from rolecall.conformance.world import World
from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, NotApplicable

_SPEC = load_specification()
_LOWEST = _SPEC.roles[0]

# --- Other methods ----------------------------------------------------------------------------------------------------


@requirement("SEC-A08")
@each("resource", ("organization", "conversation", "message", "contact"))
async def test_a_denied_update_is_denied_by_any_method(resource: str, world: World, judge: Judge) -> None:
    """Who may not update a thing does not get it done by PUT, or by POST to the thing itself."""
    caller = await world.user(_LOWEST)
    request = await world.request_on_own_fixture(world.spec.operations[f"update-{resource}"], caller)
    assert request.fixture is not None

    for method in ("PUT", "POST"):
        other = replace(request, operation=replace(request.operation, method=method))
        answer = await world.perform(other, caller, attack="SEC-A08")

        expect_refused(answer, request.fixture)
    await judge.expect_no_effect(request, answer, caller)
    await judge.control(request)


#: Where a request may say that it means another method than its own: a header, or a parameter and member.
CARRIERS = ("x-http-method-override", "x-http-method", "x-method-override", "_method")


@requirement("SEC-A09")
@each("carrier", CARRIERS)
async def test_an_allowed_method_stands_for_no_denied_one(carrier: str, world: World, judge: Judge) -> None:
    """A GET that may be sent, or a POST, does not delete or update by saying that it means to."""
    caller = await world.user(_LOWEST)
    delete = await world.request_on_own_fixture(world.spec.operations["delete-conversation"], caller)
    update = await world.request(world.spec.operations["update-conversation"], caller, delete.fixture)

    for method, deed in (("GET", delete), ("POST", update), ("POST", delete)):
        meant = deed.operation.method
        in_body = {**(deed.body or {}), "_method": meant} if carrier == "_method" else deed.body
        answer = await world.send(
            method,
            f"{deed.path}?_method={meant}" if carrier == "_method" else deed.path,
            caller,
            headers={} if carrier == "_method" else {carrier: meant},
            json=None if method == "GET" else in_body,
            about=deed.thing,
            attack="SEC-A09",
            repeatable=False,
        )

        expect_no_crash(answer)
    for deed in (delete, update):
        await judge.expect_no_effect(deed, answer, caller)
    for deed in (update, delete):
        await judge.control(deed)


@requirement("SEC-A10")
@operations(lambda op: op.effect == "list" and not _SPEC.allows(op.name, _LOWEST))
async def test_head_is_denied_where_get_is(operation: str, world: World, judge: Judge) -> None:
    """HEAD tells nothing to those who may not GET."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations[operation], caller)
    usual = await expect_denied_as_usual(world, caller, operation)

    answer = await world.send("HEAD", request.path, caller, attack="SEC-A10")

    if usual.ok:  # a dialect in which an empty list is a denial
        expect_as_empty(answer, usual)
    else:
        expect_refused(answer)
    await judge.control(request)


def expect_as_empty(answer: Exchange, usual: Exchange) -> None:
    """A HEAD tells no more than the GET that is answered with an empty list: neither by its status nor by a length."""
    expect_no_crash(answer)
    lengths = [exchange.header("content-length") for exchange in (answer, usual)]
    if answer.ok and all(lengths) and len(set(lengths)) > 1:
        raise Finding(f"Content-Length: {lengths[1]}, as of the empty list", f"Content-Length: {lengths[0]}", answer)


@requirement("SEC-A10")
@each("operation", ("list-users", "fetch-organization", "fetch-conversation"))
async def test_options_shows_no_data(operation: str, world: World) -> None:
    """OPTIONS without a token says what can be done, and nothing of what is there."""
    request = await world.request(world.spec.operations[operation], None)

    answer = await world.send("OPTIONS", request.path, None, attack="SEC-A10")

    expect_hidden(answer, *filter(None, [request.fixture]))


@requirement("SEC-A10-trace")
async def test_trace_sends_nothing_back(world: World) -> None:
    """TRACE does not send the request back with the token in it."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations["fetch-user-self"], caller)

    answer = await world.send("TRACE", request.path, caller, attack="SEC-A10-trace")

    cite(answer, "answer")
    if answer.ok and caller.token in answer.text:
        raise Finding("a refusal, 405", f"{answer.status} with the token in it", answer)


# --- Other paths ------------------------------------------------------------------------------------------------------

#: Other spellings of a path: of its front and its last segment.
TRICKS: dict[str, Callable[[str, str], str]] = {
    "trailing-slash": lambda front, last: f"{front}/{last}/",
    "double-slash": lambda front, last: f"{front}//{last}",
    "dot-segment": lambda front, last: f"{front}/./{last}",
    "parent-segment": lambda front, last: f"{front}/x/../{last}",
    "encoded-dot-segment": lambda front, last: f"{front}/%2e/{last}",
    "encoded-parent-segment": lambda front, last: f"{front}/x/%2e%2e/{last}",
    "path-parameter": lambda front, last: f"{front}/{last};x=1",
    "json-suffix": lambda front, last: f"{front}/{last}.json",
    "upper-case": lambda front, last: f"{front}/{last}".upper(),
    "encoded-letter": lambda front, last: f"{front}/%{ord(last[0]):02x}{last[1:]}",
    "encoded-slash": lambda front, last: f"{front}%2f{last}",
    "trailing-nul": lambda front, last: f"{front}/{last}%00",
    "format": lambda front, last: f"{front}/{last}?_format=json",
}


async def knock(world: World, path: str, attack: str, **headers: str) -> Exchange:
    """GET a path as the lowest role, to the letter."""
    caller = await world.user(_LOWEST)
    if "/." not in path:
        return await world.send("GET", path, caller, headers=headers, attack=attack)
    fields = {"authorization": f"Bearer {caller.token}", "accept": "application/json", **headers}
    raw = [(name, value.encode()) for name, value in fields.items()]
    return await world.client.send_raw("GET", path, raw, caller=str(caller), attack=attack)


async def denied_read(world: World, operation: str, judge: Judge) -> tuple[str, list[Fixture]]:
    """The path of a read that the lowest role may not do and others do, and what it would show."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations[operation], caller)
    await judge.control(request)
    await expect_denied_as_usual(world, caller, operation)
    return request.path, [request.fixture] if request.fixture else []


@requirement("SEC-A11")
@each("trick", TRICKS)
@each("operation", ("list-users", "fetch-organization"))
async def test_no_spelling_of_a_path_leads_around(operation: str, trick: str, world: World, judge: Judge) -> None:
    """A path spelled in another way shows nothing to those to whom it shows nothing in its own."""
    path, hidden = await denied_read(world, operation, judge)
    front, _, last = path.rpartition("/")

    answer = await knock(world, TRICKS[trick](front, last), "SEC-A11")

    expect_hidden(answer, *hidden)


VERSIONS = {"v1": "/v1", "v3": "/v3", "none": "", "api": "/api/v2"}


@requirement("SEC-A16")
@each("version", VERSIONS)
@each("operation", ("list-users", "fetch-organization"))
async def test_no_other_version_is_weaker(operation: str, version: str, world: World, judge: Judge) -> None:
    """Under another version, or none, nothing is shown to those to whom it is denied."""
    path, hidden = await denied_read(world, operation, judge)
    if not re.match(r"/v\d+/", path):
        raise NotApplicable(f"there is no version in the path of {operation}, {urlsplit(path).path}")

    answer = await knock(world, re.sub(r"^/v\d+", VERSIONS[version], path), "SEC-A16")

    expect_hidden(answer, *hidden)


@requirement("SEC-A16")
@each("name", ("localhost", "internal.invalid"))
async def test_no_other_host_is_weaker(name: str, world: World, judge: Judge) -> None:
    """Under another host name nothing is shown to those to whom it is denied."""
    path, hidden = await denied_read(world, "list-users", judge)

    answer = await knock(world, path, "SEC-A16", host=name)

    expect_hidden(answer, *hidden)
