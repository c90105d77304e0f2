"""Other methods: what is denied by one HTTP method is denied by every other."""

from __future__ import annotations

from dataclasses import replace

from rolecall.evidence import Exchange, cite
from rolecall.http.gate import Thing
from rolecall.outcomes import Finding, NotApplicable
from rolecall.spec.loading import load_specification
from rolecall.tokens import Caller
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.expectations import expect_hidden, expect_no_crash, expect_refused
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, operations, requirement
from rolecall.toolkit.shapes import denied, in_turn
from rolecall.toolkit.things import Request
from rolecall.toolkit.victims import Tried, expect_there, expect_untouched, victim
from rolecall.toolkit.world import World

_SPEC = load_specification()
_LOWEST = _SPEC.roles[0]


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
    """An allowed GET or POST that names another method does not update or delete."""
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
    """Role, method, denied operation and carrier: an allowed request that means a denied one."""
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
    """An allowed POST or GET that names another method does not update or delete."""
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
            # a POST to a thing may be an update of it
            if any(world.spec.allows(f"update-{resource}", role) for role, *_ in ways):
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
    """HEAD tells no more than the GET that is answered with an empty list."""
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
    """OPTIONS without a token shows no data."""
    request = await world.request(world.spec.operations[operation], None)

    answer = await world.send("OPTIONS", request.path, None, attack="SEC-A10")

    expect_hidden(answer, *filter(None, [request.fixture]))


#: A method for searches that few servers know: one that takes it for a GET has to guard it as one.
_RARE = "QUERY"


@requirement("SEC-A10")
async def test_a_rare_method_reads_nothing_that_is_denied(world: World, judge: Judge) -> None:
    """A method that the specification does not have shows nothing to who may not GET."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations["fetch-organization"], caller)
    usual = await expect_denied_as_usual(world, caller, "fetch-organization")
    assert request.fixture is not None, "a fetch is about a thing"
    thing = Thing("organization", request.fixture.id)
    if not world.gate.owns(thing):
        judge.cite(usual)
        raise NotApplicable(f"what {_RARE} does to {request.fixture} is not known beforehand")

    answer = await world.send(_RARE, request.path, caller, about=thing, attack="SEC-A10")

    async with unless_open(world, judge, "fetch-organization", caller):
        expect_hidden(answer, request.fixture)
    await judge.control(request)


@requirement("SEC-A10-trace")
async def test_trace_sends_nothing_back(world: World) -> None:
    """TRACE does not send the request back with the token in it."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations["fetch-user-self"], caller)

    answer = await world.send("TRACE", request.path, caller, attack="SEC-A10-trace")

    cite(answer, "answer")
    if answer.ok and caller.token in answer.text:
        raise Finding("a refusal, 405", f"{answer.status} with the token in it", answer)
