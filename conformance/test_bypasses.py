"""Ways around the permissions: other methods, other spellings of a path, other versions; denied
there as here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, NotApplicable
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import with_query
from rolecall.tokens import Caller
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.expectations import expect_hidden, expect_no_crash, expect_refused
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, operations, requirement
from rolecall.toolkit.shapes import denied, in_turn
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.victims import Tried, expect_there, expect_untouched, victim
from rolecall.toolkit.world import World

_SPEC = load_specification()
_LOWEST = _SPEC.roles[0]

# --- Other methods -------------------------------------------------------------------------------


@requirement("SEC-A08")
@each("resource", _SPEC.resources)
async def test_a_denied_update_is_denied_by_any_method(
    resource: str, world: World, judge: Judge
) -> None:
    """Who may not update a thing does not get it done by PUT, or by POST to the thing itself."""
    operation, tried = world.spec.operations[f"update-{resource}"], []
    caller = await world.user(in_turn(denied(world.spec, operation.name), resource))
    async with unless_open(world, judge, operation.name, caller), victim(world, resource) as thing:
        for method in ("PUT", "POST"):
            request = await world.request(operation, caller, thing.fixture)
            answer = await world.perform(by_method(request, method), caller, attack="SEC-A08")

            expect_refused(answer, thing.fixture)
            tried.append(Tried(request, answer, f"{caller.role}, {method}"))
        await expect_untouched(world, thing, tried)


def by_method(request: Request, method: str) -> Request:
    """The same request by another method."""
    return replace(request, operation=replace(request.operation, method=method))


#: Where a request may say that it means another method than its own: a header, or a parameter and
#: member.
CARRIERS = ("x-http-method-override", "x-http-method", "x-method-override", "_method")


@requirement("SEC-A09")
@each("carrier", CARRIERS)
async def test_an_allowed_method_stands_for_no_denied_one(
    carrier: str, world: World, judge: Judge
) -> None:
    """A GET that may be sent, or a POST, does not delete or update by saying that it means to."""
    caller = await world.user(_LOWEST)
    delete = await world.request_on_own_fixture(
        world.spec.operations["delete-conversation"], caller
    )
    update = await world.request(
        world.spec.operations["update-conversation"], caller, delete.fixture
    )

    for method, deed in (("GET", delete), ("POST", update), ("POST", delete)):
        answer = await meaning_another(world, deed, caller, method, carrier)

        expect_no_crash(answer)
    for deed in (delete, update):
        await judge.expect_no_effect(deed, answer, caller)
    for deed in (update, delete):
        await judge.control(deed)


def overrides(resource: str, *, everything: bool) -> list[tuple[str, str, str, str]]:
    """Role, method, the operation that is meant, and the carrier that says so: what a role may do
    with a kind of thing, to do what it may not.
    """
    place, found = list(_SPEC.resources).index(resource), []
    for effect, method in (("create", "POST"), ("fetch", "GET")):
        for meant in ("delete", "update"):
            may_not = denied(_SPEC, f"{meant}-{resource}")
            role = next(
                (role for role in may_not if _SPEC.allows(f"{effect}-{resource}", role)), ""
            )
            if not role and method == "POST":  # a guard may look at the method alone
                role = in_turn(may_not, resource)
            carriers = (
                CARRIERS
                if everything
                else (CARRIERS[0], CARRIERS[1 + place % 3])
                if method == "POST"
                else CARRIERS[place % 4 :][:1]
            )
            found += [
                (role, method, f"{meant}-{resource}", carrier)
                for carrier in carriers
                if role and (everything or method == "POST" or meant == "delete")
            ]
    return found


@requirement("SEC-A09")
@each("resource", _SPEC.resources)
async def test_who_may_create_or_fetch_does_not_delete_by_that(
    resource: str, world: World, judge: Judge
) -> None:
    """A POST by a role that may create, or a GET by one that may fetch, is no update and no delete,
    whatever else it says.
    """
    tried, ways = [], overrides(resource, everything=world.intrusive)
    async with victim(world, resource) as thing:
        for role, method, meant, carrier in ways:
            caller = await world.user(role)
            request = await world.request(world.spec.operations[meant], caller, thing.fixture)
            async with unless_open(world, judge, meant, caller):
                answer = await meaning_another(world, request, caller, method, carrier)

                expect_no_crash(answer)
                tried.append(Tried(request, answer, f"{role}, {method} with {carrier}"))
        async with unless_open(world, judge, meant, caller):
            if any(
                world.spec.allows(f"update-{resource}", role) for role, *_ in ways
            ):  # a POST to a thing may be an update of it
                await expect_there(world, thing, tried)
            else:
                await expect_untouched(world, thing, tried)


async def meaning_another(
    world: World, request: Request, caller: Caller, method: str, carrier: str
) -> Exchange:
    """Send a request by one method that says it means its own."""
    meant, is_member = request.operation.method, carrier == "_method"
    return await world.send(
        method,
        f"{request.path}?_method={meant}" if is_member else request.path,
        caller,
        headers={} if is_member else {carrier: meant},
        json=None
        if method == "GET"
        else {**(request.body or {}), "_method": meant}
        if is_member
        else request.body,
        about=request.thing,
        attack="SEC-A09",
        repeatable=False,
    )


@requirement("SEC-A10")
@operations(lambda op: op.effect == "list" and not _SPEC.allows(op.name, _LOWEST))
async def test_head_is_denied_where_get_is(operation: str, world: World, judge: Judge) -> None:
    """HEAD tells nothing to those who may not GET."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations[operation], caller)
    usual = await expect_denied_as_usual(world, caller, operation)

    answer = await world.send("HEAD", request.path, caller, attack="SEC-A10")

    async with unless_open(world, judge, operation, caller):
        if usual.ok:  # a dialect in which an empty list is a denial
            expect_as_empty(answer, usual)
        else:
            expect_refused(answer)
    await judge.control(request)


@requirement("SEC-A10")
@operations(lambda op: op.effect == "fetch" and bool(denied(_SPEC, op.name)))
async def test_head_of_a_thing_is_denied_where_get_is(
    operation: str, world: World, judge: Judge
) -> None:
    """HEAD says nothing of a single thing to those who may not GET it."""
    caller = await world.user(in_turn(denied(world.spec, operation), operation))
    request = await world.request(world.spec.operations[operation], caller)
    await expect_denied_as_usual(world, caller, operation)

    answer = await world.send("HEAD", request.path, caller, attack="SEC-A10")

    async with unless_open(world, judge, operation, caller):
        expect_refused(answer)
    await judge.control(request)


def expect_as_empty(answer: Exchange, usual: Exchange) -> None:
    """A HEAD tells no more than the GET that is answered with an empty list: neither by its status
    nor by a length.
    """
    expect_no_crash(answer)
    lengths = [exchange.header("content-length") for exchange in (answer, usual)]
    if answer.ok and all(lengths) and len(set(lengths)) > 1:
        raise Finding(
            f"Content-Length: {lengths[1]}, as of the empty list",
            f"Content-Length: {lengths[0]}",
            answer,
        )


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


# --- Other paths --------------------------------------------------------------------------------

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
    "capital": lambda front, last: (
        f"{front}/{re.sub('[a-z]', lambda letter: letter[0].upper(), last, count=1)}"
    ),
    "encoded-letter": lambda front, last: f"{front}/%{ord(last[0]):02x}{last[1:]}",
    "encoded-slash": lambda front, last: f"{front}%2f{last}",
    "trailing-nul": lambda front, last: f"{front}/{last}%00",
    "double-encoded-letter": lambda front, last: f"{front}/%25{ord(last[0]):02x}{last[1:]}",
    "trailing-space": lambda front, last: f"{front}/{last}%20",
    "trailing-line-break": lambda front, last: f"{front}/{last}%0a",
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


#: The two operations that all of these are tried on, and what is tried on every other: a guard may
#: be mounted for each kind of thing.
_EVERY_TRICK = ("list-users", "fetch-organization")
USUAL_TRICKS = ("capital", "encoded-letter", "trailing-slash", "double-slash")


def spelled(path: str, trick: str) -> str:
    """A path in another spelling of its front and its last segment; the query stays."""
    path, _, query = path.partition("?")
    front, _, last = path.rpartition("/")
    return with_query(TRICKS[trick](front, last), query)


def spelled_by_kind(path: str, trick: str) -> str:
    """The path of a thing in another spelling of its kind: ``/v2/Services/...``."""
    front, kind, id = path.rsplit("/", 2)
    return TRICKS[trick](front, f"{kind}/{id}")


@requirement("SEC-A11")
@each("trick", TRICKS)
@each("operation", _EVERY_TRICK)
async def test_no_spelling_of_a_path_leads_around(
    operation: str, trick: str, world: World, judge: Judge
) -> None:
    """A path spelled in another way shows nothing to those to whom it shows nothing in its own."""
    path, hidden = await denied_read(world, operation, judge)

    answer = await knock(world, spelled(path, trick), "SEC-A11")

    async with unless_open(world, judge, operation, await world.user(_LOWEST)):
        expect_hidden(answer, *hidden)


@requirement("SEC-A11")
@operations(
    lambda op: (
        op.effect in ("list", "fetch")
        and not _SPEC.allows(op.name, _LOWEST)
        and op.name not in _EVERY_TRICK
    )
)
async def test_every_kind_of_thing_is_guarded_in_any_spelling(
    operation: str, world: World, judge: Judge
) -> None:
    """The same for each kind of thing, whose name is the part of the path that a guard or a router
    may read differently.
    """
    path, hidden = await denied_read(world, operation, judge)
    is_list = world.spec.operations[operation].effect == "list"
    tricks = USUAL_TRICKS if is_list or world.intrusive else [in_turn(USUAL_TRICKS, operation)]

    for trick in tricks:
        answer = await knock(
            world, (spelled if is_list else spelled_by_kind)(path, trick), "SEC-A11"
        )

        async with unless_open(world, judge, operation, await world.user(_LOWEST)):
            expect_hidden(answer, *hidden)


@requirement("SEC-A11")
@operations(
    lambda op: (
        op.effect in ("create", "update", "delete")
        and not op.is_self
        and bool(denied(_SPEC, op.name))
    )
)
async def test_no_spelling_of_a_path_leads_to_a_write(
    operation: str, world: World, judge: Judge
) -> None:
    """A denied create, update or delete is not done at another spelling of its path."""
    tried = world.spec.operations[operation]
    caller = await world.user(in_turn(denied(world.spec, operation), operation))
    tricks = USUAL_TRICKS if world.intrusive else [in_turn(USUAL_TRICKS, operation)]
    async with unless_open(world, judge, operation, caller):
        if tried.effect == "create":
            for trick in tricks:
                request = await world.request(tried, caller)
                answer = await world.perform(
                    replace(request, path=spelled(request.path, trick)), caller, attack="SEC-A11"
                )
                await judge.expect_no_effect(request, answer, caller)
            return
        async with victim(world, tried.resource.name) as thing:
            asked = []
            for trick in tricks:
                request = await world.request(tried, caller, thing.fixture)
                path = spelled_by_kind(request.path, trick)
                answer = await world.send(
                    tried.method,
                    path,
                    caller,
                    json=request.body,
                    about=request.thing,
                    attack="SEC-A11",
                )
                expect_hidden(answer, thing.fixture)
                asked.append(Tried(request, answer, f"{caller.role}, {trick}"))
            await expect_untouched(world, thing, asked)


VERSIONS = {"v1": "/v1", "v3": "/v3", "none": "", "api": "/api/v2"}


@requirement("SEC-A16")
@each("version", VERSIONS)
@each("operation", ("list-users", "fetch-organization"))
async def test_no_other_version_is_weaker(
    operation: str, version: str, world: World, judge: Judge
) -> None:
    """Under another version, or none, nothing is shown to those to whom it is denied."""
    path, hidden = await denied_read(world, operation, judge)
    if not re.match(r"/v\d+/", path):
        raise NotApplicable(
            f"there is no version in the path of {operation}, {urlsplit(path).path}"
        )

    answer = await knock(world, re.sub(r"^/v\d+", VERSIONS[version], path), "SEC-A16")

    async with unless_open(world, judge, operation, await world.user(_LOWEST)):
        expect_hidden(answer, *hidden)


@requirement("SEC-A16")
@each("name", ("localhost", "internal.invalid"))
async def test_no_other_host_is_weaker(name: str, world: World, judge: Judge) -> None:
    """Under another host name nothing is shown to those to whom it is denied."""
    path, hidden = await denied_read(world, "list-users", judge)

    answer = await knock(world, path, "SEC-A16", host=name)

    async with unless_open(world, judge, "list-users", await world.user(_LOWEST)):
        expect_hidden(answer, *hidden)
