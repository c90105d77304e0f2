"""Hidden things: no refusal, id, embedded object or limit shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rolecall.evidence import cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.ids import id_text, is_of_id, own_id, unused_id
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import with_query
from rolecall.toolkit.controls import expect_denied_as_usual
from rolecall.toolkit.denials import expect_still_refused
from rolecall.toolkit.expectations import expect_no_crash
from rolecall.toolkit.insides import (
    Fetched,
    allowed_parts,
    beyond_a_reference,
    exposed,
    substance,
)
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, each, operations, requirement
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, items
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    throwaway_user,
)
from rolecall.toolkit.world import World

_ROLES = load_specification().roles
_LOWEST = _ROLES[0]


# --- What is there, and what is not ------------------------------------------------------------


@requirement("SEC-A12")
@operations(
    lambda operation: (
        operation.effect == "fetch" and not load_specification().allows(operation.name, _LOWEST)
    )
)
async def test_a_refusal_does_not_tell_what_there_is(
    operation: str, world: World, judge: Judge
) -> None:
    """A role that may not fetch is answered alike whether the thing exists or not."""
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


# --- Other organizations -----------------------------------------------------------------------

#: Things of an organization that a bot may list and fetch, and that belong to no single user.
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
    """A user of another organization sees a thing both in the list and by its id, or neither."""
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
            if any(is_of_id(item, thing.id) for item in items(page)):
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


#: A fetch that is denied to users of another organization whatever the organization.
_DENIED_ANYHOW = "fetch-form"


@requirement(f"PERM-{_DENIED_ANYHOW}")
async def test_another_organization_gives_no_rights(world: World) -> None:
    """What a role may not fetch is not fetched by such a user of another organization either."""
    try:
        caller = (await user_of_another_organization(world)).caller
    except (NotTested, Inconclusive) as reason:
        cite((await world.user(world.highest)).grant.exchange)
        raise NotApplicable(f"a user of another organization: {reason}") from None
    request = await world.request(world.spec.operations[_DENIED_ANYHOW], caller)

    answer = await world.perform(request, caller, attack=f"PERM-{_DENIED_ANYHOW}")

    who = f"{caller.role} of another organization"
    expect_still_refused(world, answer, request, who)


# --- Denied things inside allowed ones ---------------------------------------------------------

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
    "self-populate-whole-organization": (
        "fetch-user-self",
        0,
        "populate=organization",
        "organization",
    ),
    "self-expand-organization": (
        "fetch-user-self",
        0,
        "expand=organization&embed=organization&with=organization&relations=organization",
        "organization",
    ),
    "self-include-organization": (
        "fetch-user-self",
        0,
        "include=organization&join=organization&fields=*,organization.*",
        "organization",
    ),
}


@shared_setup
async def denied_documents(world: World, resource: str) -> list[dict[str, Any]]:
    """The highest role's user, or the accounts' organization, as the highest role sees it.

    Where nothing tells which organization that is, or what tells it is no id of one, all of them.

    Left out are those that hold nothing by which they could be told from a reference to them.

    Raises:
        Inconclusive: none is to be seen.
    """
    admin = await world.user(world.highest)
    id = admin.user if resource == "user" else id_text(await world.organization())
    found = await world.observe(Fixture(world.spec.resources[resource], id, "")) if id else None
    documents = [found] if found else []
    if not documents and resource == "organization":
        documents = await world.listing(resource, 0.0)
    if not documents:
        raise Inconclusive(f"a {resource} as {world.highest} sees it", f"PERM-fetch-{resource}")
    return [document for document in documents if len(beyond_a_reference(document)) > 1]


@requirement("SEC-A14")
@each("case", INSIDE)
async def test_an_allowed_read_does_not_carry_a_denied_one(
    case: str, world: World, judge: Judge
) -> None:
    """An allowed read does not embed a denied thing, however its query asks for it."""
    operation, number, query, resource = INSIDE[case]
    caller = await world.user(world.roles[number])
    documents = await denied_documents(world, resource)
    await expect_denied_as_usual(world, caller, f"fetch-{resource}")
    request = await world.request(world.spec.operations[operation], caller)
    path = with_query(request.path, query)

    answer = await world.send("GET", path, caller, attack="SEC-A14")

    expect_no_crash(answer)
    if not documents:
        judge.cite(answer)
        raise NotApplicable(
            f"a {resource} holds nothing that a reference to it might not hold as well"
        )
    shown = exposed(answer, documents)
    if len(shown) > 1:
        plain = await world.perform(request, caller)
        if not exposed(plain, documents):
            raise Finding(
                f"an answer without the {resource}",
                f"{answer.status} with its {', '.join(shown)}",
                answer,
            )
    judge.cite(answer)


# --- Denied things inside plain answers --------------------------------------------------------


@requirement("SEC-A14", phase=SUMMARY)
async def test_no_plain_answer_carries_a_denied_thing(responses: Responses, world: World) -> None:
    """No answer to what a role may do holds nearly all of another thing that it may not fetch."""
    fetched = Fetched(responses, world)
    denied = {role: fetched.denied_to(role) for role in world.roles}
    refusals = [refusal for kinds in denied.values() for refusal in kinds.values()]
    looked_at = None
    for exchange, role, own, inside in allowed_parts(responses, world, fetched):
        looked_at = exchange
        for inner in inside:
            kind = next((kind for kind in denied[role] if fetched.is_whole(kind, inner)), "")
            if kind and own_id(inner) != own:
                cite(denied[role][kind], "denied as usual")
                raise Finding(
                    f"an answer without the {kind}, which {role} may not fetch",
                    f"{exchange.status} with {kind} {own_id(inner)} in it: "
                    f"{', '.join(substance(inner))}",
                    exchange,
                )
    if not refusals or looked_at is None:
        raise NotTested("the run saw no answer that could hold what was denied")
    cite(refusals[-1], "denied as usual")
    cite(looked_at, "answer")
    if not fetched.tell_enough():
        raise NotApplicable("no thing holds anything that a mention of it might not hold as well")


# --- How much ----------------------------------------------------------------------------------

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
    """A list with a limit out of bounds is refused or cut, and causes no server error."""
    caller = await world.user(world.highest)
    path = (await world.request(world.spec.operations["list-users"], caller)).path

    answer = await world.send("GET", f"{path}?limit={LIMITS[limit]}", caller, attack="SEC-A18")

    cite(answer, "answer")
    expect_no_crash(answer)
