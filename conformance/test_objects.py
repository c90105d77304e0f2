"""Whose things: a permission for one's own user or for a list is none for what is another's,
however asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.ids import id_text, in_path, own_id, unused_id, walked
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import in_address, with_query
from rolecall.tokens import Caller
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.expectations import expect_no_crash, expect_refused
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, operations, requirement
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, items
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    changeable,
    lockable_account,
    throwaway_user,
)
from rolecall.toolkit.victims import Tried, expect_untouched, victim
from rolecall.toolkit.world import World

_ROLES = load_specification().roles
_LOWEST = _ROLES[0]

# --- Oneself and others --------------------------------------------------------------------------


@requirement("SEC-A05")
@each("operation", ("fetch-user", "update-user"))
async def test_anothers_id_in_capitals_is_not_ones_own(
    operation: str, world: World, judge: Judge
) -> None:
    """Another user's id in upper-case digits opens as little as in its usual spelling, and nothing
    is changed.
    """
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
    """An update of one's own user that names another user in its body leaves the other as it is."""
    user, other = await throwaway_user(world, _LOWEST), await world.fresh("user")
    plain = await world.request(world.spec.operations["update-user-self"], user.caller)
    request = replace(plain, body={**plain.body, member: world.as_given(other.id)})

    answer = await world.perform(request, user.caller, attack="SEC-A05")

    expect_no_crash(answer)
    now = await world.observe(other)
    if now is None or judge.reads_back(now, plain):
        raise Finding(f"{other} as it was", f"{answer.status}, and it was changed", answer)


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
    """An update of another user that names the caller in its body or query is refused, and the
    other stays as it is.
    """
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


# --- Users who are nearly oneself ---------------------------------------------------------------

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
        answer = await world.perform(
            request, admin, attack="SEC-A05"
        )  # as it is: another address would not be near
        return await world.made(request, answer) if answer.ok else None, answer

    first, *rest = addresses
    own, neighbour = await asyncio.gather(
        throwaway_user(world, world.roles[0], email=f"{local}x@{domain}"), made(addresses[first])
    )
    return own.caller, {first: neighbour, **{case: await made(addresses[case]) for case in rest}}


@requirement("SEC-A05")
@each("near", NEAR)
async def test_nearly_oneself_is_not_oneself(near: str, world: World, judge: Judge) -> None:
    """A user whose address is nearly the caller's, or who was made in the same moment, is another
    user.
    """
    caller, others = await near_users(world)
    other, made = others[near]
    judge.cite(made)
    if other is None:
        raise NotApplicable(f"the target makes no user with such an address ({made})")

    # Somebody who is far from the caller, and was not made by this run just now.
    admin = Fixture(world.spec.resources["user"], (await world.user(world.highest)).user, "")
    for name, far in (("fetch-user", admin), ("update-user", None)):
        request = await world.request(world.spec.operations[name], caller, other)
        async with unless_open(world, judge, name, caller, far):
            answer = await world.perform(request, caller, attack="SEC-A05")

            expect_refused(answer, other)


@requirement("SEC-A05")
@each("effect", ("fetch", "update"))
async def test_an_id_in_the_query_does_not_decide(effect: str, world: World, judge: Judge) -> None:
    """A request for one's own user whose query names another user shows nothing of the other, and
    leaves it as it is.
    """
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
    now = await world.observe(other)
    if effect == "update" and (now is None or judge.reads_back(now, plain)):
        raise Finding(f"{other} as it was", f"{answer.status}, and it was changed", answer)


#: What a database takes for any id.
PATTERNS = {"percent": "%", "asterisk": "*"}


@requirement("SEC-A05")
@each("pattern", PATTERNS)
async def test_a_pattern_is_nobodys_id(pattern: str, world: World) -> None:
    """A pattern in place of one's own id shows nobody, in particular nobody else."""
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
    if answer.ok and (shown := own_id(answer.json)) and shown != caller.user:
        raise Finding(
            "a refusal: no user has this id", f"{answer.status} with user {shown}", answer
        )


@requirement("SEC-A05")
@each("path", ("conversation-among-users", "user-among-conversations"))
async def test_an_id_of_another_kind_opens_nothing(path: str, world: World) -> None:
    """The id of one kind of thing, asked for as another kind that the caller may fetch, shows
    nothing.
    """
    caller = await world.user(_LOWEST)
    user, conversation = await world.shared("user"), await world.shared("conversation")
    names = (
        ("fetch-conversation", user)
        if path == "user-among-conversations"
        else ("fetch-user", conversation)
    )
    request = await world.request(world.spec.operations[names[0]], caller, names[1])
    namesake = await world.perform(request, await world.user(world.highest))
    if namesake.ok:
        raise NotApplicable(
            "the target numbers each kind of thing for itself: another kind has the same id "
            f"({namesake})"
        )

    answer = await world.perform(request, caller, attack="SEC-A05")

    expect_refused(answer, names[1])


# --- What is there, and what is not -------------------------------------------------------------


@requirement("SEC-A12")
@operations(
    lambda operation: (
        operation.effect == "fetch" and not load_specification().allows(operation.name, _LOWEST)
    )
)
async def test_a_refusal_does_not_tell_what_there_is(
    operation: str, world: World, judge: Judge
) -> None:
    """Who may not fetch is answered alike whether the thing is there or not."""
    caller = await world.user(_LOWEST)
    there = await world.reads(caller, operation)
    thing = await world.shared(world.spec.operations[operation].resource.name)
    request = await world.request(
        world.spec.operations[operation], caller, replace(thing, id=unused_id(thing.id))
    )

    answer = await world.perform(request, caller, attack="SEC-A12")

    judge.cite(there, answer)
    if not there.ok and answer.status != there.status:
        raise Finding(
            f"{there.status}, as for what is there", f"{answer.status} for what is not", answer
        )


# --- Other organizations ------------------------------------------------------------------------

#: Things of an organization that a bot may list and fetch, and that belong to nobody in particular.
BELONGINGS = ("user", "contact", "knowledge-item")


@shared_setup
async def user_of_another_organization(world: World) -> ThrowawayUser:
    """A user in an organization of its own, of the role below the highest."""
    organization = await world.fresh("organization")
    return await throwaway_user(
        world, world.roles[-2], organization=world.as_given(organization.id)
    )


@requirement("SEC-A07")
@each("resource", BELONGINGS)
async def test_what_is_hidden_in_a_list_is_hidden_by_its_id(
    resource: str, world: World, judge: Judge
) -> None:
    """A user of another organization is shown a thing both in the list and by its id, or in neither
    way.
    """
    caller, thing = (await user_of_another_organization(world)).caller, await world.shared(resource)
    if not thing.name:
        raise NotTested(f"a {resource} of the accounts' own organization: none can be made")
    listing = world.spec.operations[f"list-{resource}s"]
    path = (await world.request(listing, caller)).path

    async def is_listed() -> bool:
        async for page in world.pages(path, caller):
            judge.cite(page)
            if not page.ok:
                raise Inconclusive(
                    f"the list of {resource}s for {caller}: {page}", listing.requirement
                )
            if any(own_id(item) == thing.id for item in items(page)):
                return True
        return False

    answer = await world.perform(
        await world.request(world.spec.operations[f"fetch-{resource}"], caller, thing), caller
    )
    listed = await world.patience.until(
        is_listed, thing.made_by.finished if thing.made_by and answer.ok else 0.0, listing.name
    )

    judge.note(f"a {resource} of another organization is {'shown' if answer.ok else 'hidden'}")
    if answer.ok and not listed:
        if await world.find(resource, thing.name, answer.finished) is None:
            raise Inconclusive(f"{thing} in the list of who may see it", listing.requirement)
        raise Finding(f"a refusal: the list hides the {resource}", f"{answer.status}", answer)


# --- Denied things inside allowed ones ----------------------------------------------------------

#: An allowed read, by whom, what its query asks to be put in, and what of that is denied to them.
INSIDE = {
    "contacts-populate-organization": ("list-contacts", 1, "populate=organization", "organization"),
    "knowledge-items-populate-organization": (
        "list-knowledge-items",
        1,
        "populate=organization",
        "organization",
    ),
    "conversations-populate-users": ("list-conversations", 1, "populate=participants.user", "user"),
    "conversation-populate-users": ("fetch-conversation", 0, "populate=participants.user", "user"),
    "conversation-populate-organization": (
        "fetch-conversation",
        0,
        "populate=organization",
        "organization",
    ),
    "self-populate-organization": (
        "fetch-user-self",
        0,
        "populate=organization.name",
        "organization",
    ),
    "self-expand-organization": ("fetch-user-self", 0, "expand=organization", "organization"),
    "self-include-organization": ("fetch-user-self", 0, "include=organization", "organization"),
}
#: Members that a reference to a thing may well carry, besides its id.
_REFERENCE = ("id", "_id", "name", "displayName", "role", "type", "organization", "url")


def objects(document: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a document, at any depth."""
    return (value for value in walked(document) if isinstance(value, dict))


def beyond_a_reference(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says that no reference to it would say."""
    return {
        name: value
        for name, value in document.items()
        if name not in _REFERENCE and value not in (None, "", [], {})
    }


def exposed(answer: Exchange, documents: list[dict[str, Any]]) -> list[str]:
    """What an answer shows of one of these documents beyond a reference to it."""
    inside = list(objects(answer.json))
    shown = [
        [name for name, value in beyond_a_reference(document).items() if inner.get(name) == value]
        for document in documents
        for inner in inside
        if own_id(document) == own_id(inner) != ""
    ]
    return max(shown, key=len, default=[])


@shared_setup
async def denied_documents(world: World, resource: str) -> list[dict[str, Any]]:
    """The highest role's user, or the accounts' organization, as the highest role sees it.

    Where nothing tells which organization that is, all of them.

    Raises:
        Inconclusive: none is to be seen.
        NotApplicable: they hold nothing by which they could be told from a reference to them.
    """
    admin = await world.user(world.highest)
    id = admin.user if resource == "user" else id_text(await world.organization())
    if id:
        found = await world.observe(Fixture(world.spec.resources[resource], id, ""))
        documents = [found] if found else []
    else:
        documents = await world.listing(resource, 0.0)
    if not documents:
        raise Inconclusive(f"a {resource} as {world.highest} sees it", f"PERM-fetch-{resource}")
    telling = [document for document in documents if len(beyond_a_reference(document)) > 1]
    if not telling:
        raise NotApplicable(
            f"a {resource} holds nothing that a reference to it might not hold as well"
        )
    return telling


@requirement("SEC-A14")
@each("case", INSIDE)
async def test_an_allowed_read_does_not_carry_a_denied_one(
    case: str, world: World, judge: Judge
) -> None:
    """What a role may not fetch does not come inside of what it may, however the query asks for it."""
    operation, number, query, resource = INSIDE[case]
    caller = await world.user(world.roles[number])
    documents = await denied_documents(world, resource)
    await expect_denied_as_usual(world, caller, f"fetch-{resource}")
    request = await world.request(world.spec.operations[operation], caller)
    path = with_query(request.path, query)

    answer = await world.send("GET", path, caller, attack="SEC-A14")

    expect_no_crash(answer)
    shown = exposed(answer, documents)
    if len(shown) > 1:
        plain = await world.perform(request, caller)
        if not exposed(plain, documents):
            raise Finding(
                f"no {resource} in it", f"{answer.status} with its {', '.join(shown)}", answer
            )
    judge.cite(answer)


# --- How much -----------------------------------------------------------------------------------

LIMITS = {
    "huge": "1000000000",
    "beyond-64-bits": "99999999999999999999",
    "negative": "-1",
    "text": "ten",
    "fraction": "1.5",
}


@requirement("SEC-A18")
@each("limit", LIMITS)
async def test_any_limit_is_answered(limit: str, world: World) -> None:
    """A list with a limit out of bounds is refused, or cut to what the server allows; it is no
    server error.
    """
    caller = await world.user(world.highest)
    path = (await world.request(world.spec.operations["list-users"], caller)).path

    answer = await world.send("GET", f"{path}?limit={LIMITS[limit]}", caller, attack="SEC-A18")

    cite(answer, "answer")
    expect_no_crash(answer)
