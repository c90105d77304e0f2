"""Other routes: below a parent, inside another thing, or by a create with a known id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, NotApplicable
from rolecall.pausing import sleep
from rolecall.spec.ids import id_text, identifiers, in_path, own_id
from rolecall.spec.loading import load_specification
from rolecall.tokens import Caller
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.effect_judge import SETTLING
from rolecall.toolkit.expectations import expect_hidden, expect_no_crash
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.shapes import denied, in_turn
from rolecall.toolkit.things import Fixture, items
from rolecall.toolkit.victims import Tried, Victim, expect_untouched, victim
from rolecall.toolkit.world import World

_SPEC = load_specification()
_ATTACK = "SEC-E07"

# --- Below a parent -----------------------------------------------------------------------------


def nested(resource: str, *, everything: bool) -> Iterator[str]:
    """The operations that are tried below a parent: the list, and one on the thing itself, each
    kind of thing another one.
    """
    kind = _SPEC.resources[resource]
    by_effect = {
        operation.effect: name
        for name, operation in _SPEC.operations.items()
        if operation.resource is kind
        and operation.effect != "create"
        and not operation.is_self
        and denied(_SPEC, name)
    }
    singles = [effect for effect in ("fetch", "update", "delete") if effect in by_effect]
    everything = everything or bool(kind.parent)
    for effect in ["list", *(singles if everything else [in_turn(singles, resource)])]:
        yield by_effect[effect]


@requirement("SEC-E07")
@each("resource", _SPEC.resources)
async def test_what_is_denied_is_denied_below_its_parent(
    resource: str, world: World, judge: Judge
) -> None:
    """A denied thing is denied below its conversation or organization, too."""
    tried = []
    async with victim(world, resource) as thing:
        for parent in await parents(world, thing, judge):
            for name in nested(resource, everything=world.intrusive):
                operation, caller = (
                    world.spec.operations[name],
                    await world.user(in_turn(denied(world.spec, name), name)),
                )
                request = await world.request(operation, caller, thing.fixture)
                item = "" if operation.effect == "list" else f"/{in_path(thing.fixture.id)}"
                path = f"{parent}/{_SPEC.resources[resource].collection.rpartition('/')[2]}{item}"
                async with unless_open(world, judge, name, caller):
                    answer = await world.perform(
                        replace(request, path=path), caller, attack=_ATTACK
                    )
                    await expect_not_shown(world, answer, thing.fixture, parent, caller)
                tried.append(
                    Tried(request, answer, f"{caller.role}, below {parent.rsplit('/', 2)[1]}")
                )
        if writes := [
            write for write in tried if write.request.operation.effect in ("update", "delete")
        ]:
            async with unless_open(world, judge, writes[-1].request.operation.name, caller):
                await expect_untouched(world, thing, writes)


async def parents(world: World, thing: Victim, judge: Judge) -> list[str]:
    """The paths of what a thing is in: its conversation, and the accounts' organization."""
    organization = id_text(await world.organization())
    found = [("organization", organization), ("conversation", thing.fixture.conversation)]
    if not any(id for _, id in found):
        judge.cite((await world.user(world.highest)).grant.exchange)
        raise NotApplicable("no answer tells to which organization the accounts belong")
    return [f"{_SPEC.resources[kind].collection}/{in_path(id)}" for kind, id in found if id]


async def expect_not_shown(
    world: World, answer: Exchange, fixture: Fixture, parent: str, caller: Caller
) -> None:
    """The answer shows nothing of a thing that the same caller is not shown with the parent itself:
    messages may come with theirs.

    Raises:
        Finding: it does.
    """
    expect_no_crash(answer)
    if not _is_in(fixture, answer):
        return
    plain = await world.send("GET", parent, caller)
    if not (plain.ok and _is_in(fixture, plain)):
        raise Finding(
            f"an answer to {caller.role} that shows nothing of {fixture}",
            f"{answer.status} with it",
            answer,
        )


def _is_in(fixture: Fixture, answer: Exchange) -> bool:
    return fixture.id in identifiers(answer.json) or (
        fixture.name in answer.text if fixture.name else False
    )


# --- Under another name -------------------------------------------------------------------------

#: Other names that a route may have had, or may have for another client: what is read, and how its
#: path is written then.
NAMES: dict[str, tuple[str, Callable[[str], str]]] = {
    "as-the-page-calls-it": (
        "list-organization-groups",
        lambda path: path.replace("/orggroups", "/organizationGroups"),
    ),
    "in-the-singular": ("fetch-user", lambda path: path.replace("/users/", "/user/")),
    "as-a-search": ("list-users", lambda path: f"{path}/search?q=rolecall"),
}


@requirement("SEC-E07")
@each("name", NAMES)
async def test_no_other_name_of_a_route_is_less_guarded(
    name: str, world: World, judge: Judge
) -> None:
    """What may not be read is not read where its route has another name."""
    operation, renamed = NAMES[name]
    caller = await world.user(_SPEC.roles[0])
    request = await world.request(world.spec.operations[operation], caller)
    await judge.control(request)
    usual = await expect_denied_as_usual(world, caller, operation)
    path = renamed(request.path)
    if path == request.path:
        judge.cite(usual)
        raise NotApplicable(f"{operation} has no other name that comes to mind: {path}")

    answer = await world.send("GET", path, caller, attack=_ATTACK)

    if answer.ok and set(filter(None, map(own_id, items(answer)))) == {caller.user}:
        return  # oneself is what everybody may fetch
    async with unless_open(world, judge, operation, caller):
        expect_hidden(answer, *filter(None, [request.fixture]))


# --- Inside of another create ------------------------------------------------------------------

#: What a role may create, what it may not, and the member in which that is asked for as well;
#: {name} and {email} are of the latter. A contact is left out: by the vendor's client it is made
#: with its conversation.
INSIDE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "organization-in-conversation": (
        "conversation",
        "organization",
        {"organization": {"name": "{name}"}},
    ),
    "user-in-conversation": (
        "conversation",
        "user",
        {"participants": [{"user": {"givenName": "{name}", "email": "{email}"}}]},
    ),
    "form-in-conversation": ("conversation", "form", {"forms": [{"name": "{name}", "fields": []}]}),
    "conversation-in-message": ("message", "conversation", {"conversation": {"name": "{name}"}}),
}


@requirement("SEC-E07")
@each("case", INSIDE)
async def test_nothing_is_created_inside_of_another_create(
    case: str, world: World, judge: Judge
) -> None:
    """Who may not create a thing does not create it as a member of something that may be
    created.
    """
    outer, inner, members = INSIDE[case]
    role = next(
        role for role in denied(_SPEC, f"create-{inner}") if _SPEC.allows(f"create-{outer}", role)
    )
    caller = await world.user(role)
    plain = await world.request(world.spec.operations[f"create-{outer}"], caller)
    hidden = await world.request(world.spec.operations[f"create-{inner}"], caller)
    await world.look_at_all(inner)
    entry = world.ledger.intend(inner, hidden.name)
    email = f"{hidden.name.replace('-', '.')}@{world.target.email_domain}"
    body = {**plain.body, **world.fill(members, name=hidden.name, email=email)}

    async with unless_open(world, judge, f"create-{inner}", caller):
        answer = await world.perform(replace(plain, body=body), caller, attack=_ATTACK)

        expect_no_crash(answer)
        await sleep(SETTLING)
        found = await world.find(inner, hidden.name, answer.finished)
        if found and inner == "conversation" and plain.name in f"{found}":
            found = None  # the one that the message is in: some show their last message
        if found:
            world.gate.own(entry, own_id(found))
            raise Finding(
                f"no {inner} made by {role} with a {outer}",
                f"{answer.status}, and there is one",
                answer,
            )
        world.ledger.gone(entry)


@requirement("SEC-E07")
async def test_a_create_takes_over_nothing_that_is_there(world: World, judge: Judge) -> None:
    """A create that embeds another message's id leaves that message as it is."""
    caller = await world.user(
        next(
            role
            for role in denied(_SPEC, "update-message")
            if _SPEC.allows("create-conversation", role)
        )
    )
    plain = await world.request(world.spec.operations["create-conversation"], caller)
    async with victim(world, "message") as thing:
        message = {"id": world.as_given(thing.fixture.id), "text": plain.name}
        answer = await world.perform(
            replace(plain, body={**plain.body, "messages": [message]}), caller, attack=_ATTACK
        )

        expect_no_crash(answer)
        async with unless_open(world, judge, "update-message", caller):
            await expect_untouched(
                world, thing, [Tried(plain, answer, f"{caller.role}, inside of a new conversation")]
            )


# --- Over what is there ------------------------------------------------------------------------


def creators() -> dict[str, tuple[str, str, str]]:
    """What may be created by a role that may not update it: the kind of thing, the role, and the
    member for the id.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for resource in _SPEC.resources:
        for role in denied(_SPEC, f"update-{resource}"):
            if _SPEC.allows(f"create-{resource}", role):
                member = ("id", "_id")[len(found) % 2]
                found[f"{resource}-{role}"] = (resource, role, member)
    return found


@requirement("SEC-E07")
@each("case", creators())
async def test_a_create_does_not_write_over_what_is_there(
    case: str, world: World, judge: Judge
) -> None:
    """A create with the id of a thing that the caller may not update leaves it as it is."""
    resource, role, member = creators()[case]
    caller = await world.user(role)
    members = ("id", "_id") if world.intrusive or role == _SPEC.roles[0] else (member,)
    async with victim(world, resource) as thing:
        tried = []
        for name in members:
            request = await world.request(world.spec.operations[f"create-{resource}"], caller)
            body = {**request.body, name: world.as_given(thing.fixture.id)}
            answer = await world.perform(replace(request, body=body), caller, attack=_ATTACK)

            expect_no_crash(answer)
            tried.append(Tried(request, answer, f"{role}, {name} of what is there"))
        async with unless_open(world, judge, f"update-{resource}", caller):
            await expect_untouched(world, thing, tried)
