"""One's own user and others: a permission for oneself does not extend to another user."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from urllib.parse import quote

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable
from rolecall.spec.ids import id_text, in_path, own_id
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import in_address, with_query
from rolecall.tokens import Caller
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.expectations import expect_no_crash, expect_refused, shown_in
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, items
from rolecall.toolkit.throwaway_users import (
    changeable,
    lockable_account,
    throwaway_user,
)
from rolecall.toolkit.victims import Tried, expect_untouched, victim
from rolecall.toolkit.world import World

_ROLES = load_specification().roles
_LOWEST = _ROLES[0]


# --- Oneself and others ------------------------------------------------------------------------


@requirement("SEC-A05")
@each("operation", ("fetch-user", "update-user"))
async def test_anothers_id_in_capitals_is_not_ones_own(
    operation: str, world: World, judge: Judge
) -> None:
    """Another user's id in other letters opens as little as in its usual spelling."""
    caller, user = await world.user(_LOWEST), await world.fresh("user")
    await expect_denied_as_usual(world, caller, "fetch-user")
    plain = await world.request(world.spec.operations[operation], caller, user)
    other_case = user.id.swapcase()
    if other_case == user.id:
        raise NotApplicable(f"the target's ids, as {user.id!r}, have no letters to write otherwise")
    thing = await world.spelled(user, other_case)
    request = replace(
        plain, path=plain.path.replace(in_path(user.id), in_path(other_case)), thing=thing
    )

    answer = await world.perform(request, caller, attack="SEC-A05")

    expect_refused(answer, user)
    if request.operation.effect == "update":
        await judge.expect_no_effect(plain, answer, caller)
        await judge.control(plain)


@requirement("SEC-A05")
@each("member", ("id", "_id"))
async def test_an_id_in_the_body_does_not_decide(member: str, world: World, judge: Judge) -> None:
    """An update of one's own user that names another user in its body leaves that one as it is."""
    user, other = await throwaway_user(world, _LOWEST), await world.fresh("user")
    plain = await world.request(world.spec.operations["update-user-self"], user.caller)
    request = replace(plain, body={**plain.body, member: world.as_given(other.id)})

    answer = await world.perform(request, user.caller, attack="SEC-A05")

    expect_no_crash(answer)
    await judge.expect_other_as_it_was(other, plain, answer)


#: Members that say who wrote a message: where ids are short numbers, others may have the same one.
_AUTHOR = re.compile(r"(?i)(?:user|author|sender)(?:_?id)?")


@requirement("SEC-A05")
async def test_nobody_writes_in_anothers_name(world: World) -> None:
    """A message that names another user where the target tells its author is not that user's."""
    caller, other = await world.user(_LOWEST), await world.user(world.highest)
    create = world.spec.operations["create-message"]
    usual = await world.perform(await world.request(create, caller), caller)
    if not usual.ok:
        raise Inconclusive(f"a message of {caller}: {usual}", create.requirement)
    authors = [
        name
        for name, value in usual.document.items()
        if _AUTHOR.fullmatch(name) and is_of(value, caller.user)
    ]
    if not authors:
        cite(usual)
        raise NotApplicable("a new message does not tell whose it is")
    plain = await world.request(create, caller)
    request = replace(plain, body=plain.body | dict.fromkeys(authors, world.as_given(other.user)))

    answer = cite(await world.perform(request, caller, attack="SEC-A05"), "answer")

    expect_no_crash(answer)
    for name in authors:
        if answer.ok and is_of(answer.document.get(name), other.user):
            raise Finding(
                f"a message of {caller}", f"{answer.status} with {other} as its {name}", answer
            )


def is_of(value: object, id: str) -> bool:
    """Whether the value of a member is this id, or the thing that has it."""
    return id in (id_text(value), own_id(value))


#: Where somebody who writes to another user, or fetches one, says the own id as well: in the body,
#: or in the query.
BESIDES: dict[str, tuple[tuple[str, str], ...]] = {
    _ROLES[0]: (("body", "id"), ("query", "id")),
    _ROLES[1]: (("body", "_id"), ("query", "user")),
    _ROLES[2]: (("body", "user"), ("body", "userId")),
}


@requirement("SEC-A05")
@each("role", BESIDES)
async def test_naming_oneself_opens_no_other_user(role: str, world: World, judge: Judge) -> None:
    """A denied update of another user stays denied when it names the caller."""
    caller, operation, tried = (
        await changeable(world, role),
        world.spec.operations["update-user"],
        [],
    )
    places = (
        sorted({place for places in BESIDES.values() for place in places})
        if world.intrusive
        else BESIDES[role]
    )
    async with unless_open(world, judge, operation.name, caller), victim(world, "user") as other:
        for place, member in places:
            request = await world.request(operation, caller, other.fixture)
            if place == "body":
                sent = replace(request, body={**request.body, member: world.as_given(caller.user)})
            else:
                sent = replace(
                    request, path=with_query(request.path, f"{member}={in_path(caller.user)}")
                )
            answer = await world.perform(sent, caller, attack="SEC-A05")

            expect_refused(answer, other.fixture)
            tried.append(Tried(request, answer, f"{role}, own id as {member} in the {place}"))
        await expect_untouched(world, other, tried)


# --- Users who are nearly oneself --------------------------------------------------------------

#: The local part and the domain of users who are near to the one with the address
#: "{local}x@{domain}".
NEAR = {
    "same-moment": ("{local}w", "{domain}"),
    "longer-local-part": ("{local}x2", "{domain}"),
    "shorter-local-part": ("{local}", "{domain}"),
    "plus-address": ("{local}x+sales", "{domain}"),
    "other-domain": ("{local}x", "mail.{domain}"),
}


@shared_setup
async def near_users(world: World) -> tuple[Caller, dict[str, tuple[Fixture | None, Exchange]]]:
    """A user of the lowest role, and others with nearly the same address, the first of them made in
    the same moment.

    Raises:
        NotTested: no user can be made that logs in.
    """
    await world.shared("user")  # by now it is known with which members a user can be made
    local, domain = in_address(world.new_name("near")), world.target.email_domain
    addresses = {
        case: f"{front}@{back}".replace("{local}", local).replace("{domain}", domain)
        for case, (front, back) in NEAR.items()
    }

    async def made(address: str) -> tuple[Fixture | None, Exchange]:
        admin = await world.user(world.highest)
        plain = await world.request(world.spec.operations["create-user"], admin)
        request = replace(plain, body={**plain.body, "email": address})
        # as it is: another address would not be near
        answer = await world.perform(request, admin, attack="SEC-A05")
        return await world.made(request, answer) if answer.ok else None, answer

    first, *rest = addresses
    own, neighbour = await asyncio.gather(
        throwaway_user(world, world.roles[0], email=f"{local}x@{domain}"), made(addresses[first])
    )
    return own.caller, {first: neighbour, **{case: await made(addresses[case]) for case in rest}}


@requirement("SEC-A05")
@each("near", NEAR)
async def test_nearly_oneself_is_not_oneself(near: str, world: World, judge: Judge) -> None:
    """A user with nearly the caller's address, or made at the same moment, is another user."""
    caller, others = await near_users(world)
    other, made = others[near]
    judge.cite(made)
    if other is None:
        raise NotApplicable(f"the target makes no user with such an address ({made})")

    # A user who is far from the caller, and was not made by this run just now.
    admin = Fixture(world.spec.resources["user"], (await world.user(world.highest)).user, "")
    for name, far in (("fetch-user", admin), ("update-user", None)):
        request = await world.request(world.spec.operations[name], caller, other)
        async with unless_open(world, judge, name, caller, far):
            answer = await world.perform(request, caller, attack="SEC-A05")

            expect_refused(answer, other)


@requirement("SEC-A05")
@each("effect", ("fetch", "update"))
async def test_an_id_in_the_query_does_not_decide(effect: str, world: World, judge: Judge) -> None:
    """A request for one's own user whose query names another user does not reach that one."""
    user, other = (
        await lockable_account(world)
        if effect == "fetch"
        else await throwaway_user(world, _LOWEST),
        await world.fresh("user"),
    )
    plain = await world.request(world.spec.operations[f"{effect}-user-self"], user.caller)
    id = quote(other.id, safe="")
    request = replace(plain, path=with_query(plain.path, f"id={id}&_id={id}"))

    answer = await world.perform(request, user.caller, attack="SEC-A05")

    expect_no_crash(answer)
    if other.name and other.name in answer.text:
        raise Finding(f"nothing of {other}", f"{answer.status} with it in the body", answer)
    if effect == "update":
        await judge.expect_other_as_it_was(other, plain, answer)


#: What a database takes for any id.
PATTERNS = {"percent": "%", "asterisk": "*"}


@requirement("SEC-A05")
@each("pattern", PATTERNS)
async def test_a_pattern_is_nobodys_id(pattern: str, world: World) -> None:
    """A pattern in place of one's own id shows no other user, nor a list of them."""
    caller = (
        await lockable_account(world)
    ).caller  # who was made last is not the first whom a pattern finds
    plain = await world.request(world.spec.operations["fetch-user-self"], caller)

    answer = await world.send(
        "GET",
        plain.path.replace(in_path(caller.user), quote(PATTERNS[pattern], safe="")),
        caller,
        attack="SEC-A05",
    )

    expect_no_crash(answer)
    shown = own_id(answer.document)
    others = {shown} if shown else set(map(own_id, items(answer)))
    if answer.ok and (others := others - {"", caller.user}):
        raise Finding(
            "a refusal: no user has this id", f"{answer.status} with user {min(others)}", answer
        )


@requirement("SEC-A05")
async def test_an_id_beside_ones_own_opens_nothing(world: World, judge: Judge) -> None:
    """A fetch of one's own id and another one, in a list or in its place by dot segments, does not
    show the other user.
    """
    caller, other = (await lockable_account(world)).caller, await world.shared("user")
    plain = await world.request(world.spec.operations["fetch-user-self"], caller)
    own, others = in_path(caller.user), in_path(other.id)

    fields = [("authorization", f"Bearer {caller.token}".encode())]
    for ids in (f"{own},{others}", f"{own}/../{others}"):  # httpx would resolve the dots
        answer = await world.client.send_raw(
            "GET", plain.path.replace(own, ids), fields, caller=str(caller), attack="SEC-A05"
        )

        expect_no_crash(answer)
        if where := shown_in(answer, other):
            async with unless_open(world, judge, "fetch-user", caller):
                raise Finding(
                    f"nothing of {other} at {ids}", f"{answer.status} with it in {where}", answer
                )


@requirement("SEC-A05")
@each("path", ("conversation-among-users", "user-among-conversations"))
async def test_an_id_of_another_kind_opens_nothing(path: str, world: World) -> None:
    """The id of one kind of thing, asked for as another kind, shows nothing that is denied."""
    caller = await world.user(_LOWEST)
    user, conversation = await world.shared("user"), await world.shared("conversation")
    names = (
        ("fetch-conversation", user)
        if path == "user-among-conversations"
        else ("fetch-user", conversation)
    )
    request = await world.request(world.spec.operations[names[0]], caller, names[1])
    namesake = await world.perform(request, await world.user(world.highest))
    is_itself = bool(names[1].name) and names[1].name in namesake.text
    if namesake.ok and is_itself and names[1] is conversation:
        raise NotApplicable(
            f"the target finds things by their id alone, and {caller.role} may fetch this one"
        )
    if namesake.ok and not is_itself:
        raise NotApplicable(
            "the target numbers each kind of thing for itself: another kind has the same id "
            f"({namesake})"
        )

    answer = await world.perform(request, caller, attack="SEC-A05")

    expect_refused(answer, names[1])
