"""Denials by dialect, the cascade, marks and hidden things, in memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from conformance.test_hidden_things import denied_documents
from conformance.test_issuance_claims import leaves
from conformance.test_other_methods import expect_as_empty
from rolecall.errors import UsageError
from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, Inconclusive
from rolecall.spec.ids import identifiers, walked
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Dialect
from rolecall.toolkit.controls import expect_denied_as_usual
from rolecall.toolkit.expectations import expect_hidden
from rolecall.toolkit.insides import exposed
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.observed_cells import CredentialCells
from rolecall.toolkit.things import Fixture, Request
from tests.support.exchanges import exchange

SPEC = load_specification()
LIST, FETCH = SPEC.operations["list-users"], SPEC.operations["fetch-user"]
DEFAULT, EMPTY = SPEC.dialect({}, "a test"), SPEC.dialect({"denied_list": "empty"}, "a test")


def answer(status: int, document: Any = ..., **facts: Any) -> Exchange:
    """An answer with a JSON body, or none."""
    body = b"" if document is ... else json.dumps(document).encode()
    return exchange(status=status, body=body, **facts)


# --- One predicate of what a denial is ---------------------------------------------------------

#: Dialect, answer to a list, whether it allows, denies, and denies as specified.
ANSWERS: dict[str, tuple[Dialect, Exchange, bool, bool, bool]] = {
    "403": (DEFAULT, answer(403), False, True, True),
    "404": (DEFAULT, answer(404), False, True, False),
    "a-list": (DEFAULT, answer(200, [{"id": "1"}]), True, False, False),
    "an-empty-list": (DEFAULT, answer(200, []), True, False, False),
    "an-empty-list-that-denies": (EMPTY, answer(200, []), False, True, True),
    "a-list-that-shows-something": (EMPTY, answer(200, [{"id": "1"}]), True, False, False),
    "an-empty-object": (EMPTY, answer(200, {}), True, False, False),
    "403-beside-it": (EMPTY, answer(403), False, True, True),
    "a-redirect": (DEFAULT, answer(302), False, False, False),
    "a-crash": (DEFAULT, answer(500), False, False, False),
    "a-crash-with-an-empty-list": (EMPTY, answer(500, []), False, False, False),
    "no-answer": (DEFAULT, answer(0), False, False, False),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_a_denial_is(case: str) -> None:
    """The dialect alone says what allows and what denies; a redirect and a server error are
    neither.
    """
    dialect, said, allows, denies, as_specified = ANSWERS[case]

    assert dialect.allows(LIST, said) is allows
    assert dialect.denies(LIST, said) is denies
    assert dialect.denies_as_specified(LIST, said) is as_specified


def test_an_empty_list_denies_lists_only() -> None:
    """A fetch that is answered with an empty array is not a denial in any dialect."""
    assert EMPTY.allows(FETCH, answer(200, []))
    assert not EMPTY.denies(FETCH, answer(200, []))


class World:
    """As much of a world as these judgements need: a dialect, and one answer to every read."""

    spec = SPEC
    highest = "admin"

    def __init__(
        self,
        said: Exchange | None = None,
        dialect: Dialect = DEFAULT,
        documents: Any = (),
        organization: str = "",
    ) -> None:
        self.said, self.dialect, self._documents, self._organization = (
            said,
            dialect,
            list(documents),
            organization,
        )

    async def reads(self, caller: object, operation: str) -> Exchange:
        """The answer to every read."""
        assert self.said is not None
        return self.said

    async def user(self, name: str) -> Any:
        """A caller without facts."""
        return Fixture(SPEC.resources["user"], "1", "")

    async def organization(self) -> str:
        """The accounts' organization, as far as it is known."""
        return self._organization

    async def observe(self, fixture: Fixture) -> Any:
        """The first thing there is."""
        return next(iter(self._documents), None)

    async def listing(self, resource: str, after: float) -> Any:
        """All there is."""
        return self._documents


@pytest.mark.parametrize(
    ("said", "dialect"), [(answer(403), DEFAULT), (answer(404), DEFAULT), (answer(200, []), EMPTY)]
)
def test_the_usual_way_is_denied(said: Exchange, dialect: Dialect) -> None:
    """What this dialect calls a denial is the control of a way around it."""
    usual: Any = World(said, dialect), "guest", "list-users"
    assert asyncio.run(expect_denied_as_usual(*usual)) is said


@pytest.mark.parametrize("said", [answer(200, []), answer(302), answer(500)])
def test_the_usual_way_is_not_denied(said: Exchange) -> None:
    """Where the usual way is not denied, there is nothing to be found around it; a crash is no
    denial either.
    """
    usual: Any = World(said), "guest", "list-users"
    with pytest.raises(Inconclusive, match="list-users denied to guest"):
        asyncio.run(expect_denied_as_usual(*usual))


def test_head_may_be_as_the_empty_list() -> None:
    """Where an empty list is a denial, HEAD may be answered so, too, and may not tell a length that
    GET would not.
    """
    usual = answer(200, [], headers=[("Content-Length", "2")])

    expect_as_empty(answer(200, headers=[("Content-Length", "2")]), usual)
    expect_as_empty(answer(200), usual)
    expect_as_empty(answer(403, headers=[("Content-Length", "99")]), usual)
    with pytest.raises(Finding, match="Content-Length: 4711"):
        expect_as_empty(answer(200, headers=[("Content-Length", "4711")]), usual)


# --- The cascade -------------------------------------------------------------------------------


def seen(answers: dict[tuple[str, str], Exchange], dialect: Dialect = DEFAULT) -> CredentialCells:
    """What was seen of some cells."""
    return CredentialCells(answers, SPEC.operations, dialect)


def test_a_cascade_needs_both_roles() -> None:
    """Nothing follows for a role of which nothing was seen."""
    only_guest = seen({("list-users", "guest"): answer(200, [{"id": "1"}])})

    assert (
        only_guest.allowed("guest", "agent")
        == only_guest.allowed("agent", "bot")
        == only_guest.breaks("guest", "agent")
        == []
    )


def test_a_cascade_that_breaks() -> None:
    """What the lower role was allowed and the higher one refused breaks the cascade; what neither
    may does not count.
    """
    found = seen(
        {
            ("list-users", "guest"): answer(200, [{"id": "1"}]),
            ("list-users", "agent"): answer(403),
            ("list-forms", "guest"): answer(403),
            ("list-forms", "agent"): answer(403),
            ("fetch-user", "guest"): answer(200, {"id": "1"}),
            ("fetch-user", "agent"): answer(200, {"id": "1"}),
        }
    )

    assert found.allowed("guest", "agent") == ["list-users", "fetch-user"]
    assert found.breaks("guest", "agent") == ["list-users"]


def test_an_empty_list_allows_nothing_in_its_dialect() -> None:
    """Where an empty list is a denial, the cascade takes it for one on either side."""
    answers = {("list-users", "guest"): answer(200, []), ("list-users", "agent"): answer(403)}

    assert seen(answers).breaks("guest", "agent") == ["list-users"]
    assert seen(answers, EMPTY).allowed("guest", "agent") == []


# --- Marks -------------------------------------------------------------------------------------


def request(operation: str, body: Any, name: str = "rolecall-1-2") -> Request:
    """A request with a body."""
    return Request(SPEC.operations[operation], "/", body, name)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"enabled": False},
        {"password": "rolecall-1-2"},
        {"messages": [{"text": "rolecall-1-2"}]},
        {"rolecall-1-2": "name"},
    ],
)
@pytest.mark.parametrize("document", [None, {}, {"enabled": False, "password": "rolecall-1-2"}])
def test_without_a_mark_nothing_reads_back(body: Any, document: Any) -> None:
    """A body in which no member that is shown again holds the test's name proves nothing of any
    document.
    """
    with pytest.raises(Inconclusive, match="a mark by which to know"):
        Judge.reads_back(document, request("update-service", body))


def test_without_a_name_nothing_reads_back() -> None:
    """The empty name, which every text holds, is not a mark."""
    with pytest.raises(Inconclusive, match="a mark by which to know"):
        Judge.reads_back(
            {"name": "anything"}, request("update-service", {"name": "anything"}, name="")
        )


def test_a_mark_reads_back() -> None:
    """What was written is known by every member that holds the test's name, at any depth, and by
    nothing else.
    """
    asked = request(
        "update-contact", {"profile": {"name": "rolecall-1-2"}, "remark": "as we do it"}
    )

    assert Judge.reads_back({"profile": {"name": "rolecall-1-2", "more": 1}}, asked)
    assert not Judge.reads_back({"profile": {"name": "before"}, "remark": "as we do it"}, asked)
    assert not Judge.reads_back(None, asked)


@pytest.mark.parametrize("shown", ["ROLECALL-1-2", "Rolecall 1 2", "a rolecall.1.2@example.org"])
def test_a_mark_is_known_by_its_letters_and_digits(shown: str) -> None:
    """A target may write names in capitals, or with other signs between; another number is another
    name.
    """
    asked = request("update-service", {"name": "rolecall-1-2"})

    assert Judge.reads_back({"name": shown}, asked)
    assert not Judge.reads_back({"name": shown.replace("2", "3")}, asked)


@pytest.mark.parametrize(("length", "is_known"), [(99, True), (36, True), (34, False)])
def test_a_mark_may_be_cut_behind_its_number(length: int, is_known: bool) -> None:
    """A target may keep the beginning of a name; without the whole number it could be another's."""
    name = "rolecall-20261127-173407-0d6551-24-update-service"
    asked = request("update-service", {"name": name}, name=name)

    assert Judge.reads_back({"name": name[:length]}, asked) is is_known


#: Bodies that a target file may not give: what comes of them could not be seen.
UNMARKED: dict[str, tuple[str, dict[str, Any]]] = {
    "create-without": ("create-form", {"title": "a form"}),
    "update-without": ("update-service", {"enabled": False}),
    "update-of-nothing": ("update-service", {}),
    "only-in-a-password": ("update-user", {"password": "x{name}"}),
    "only-in-first-messages": ("create-conversation", {"messages": [{"text": "{name}"}]}),
    "only-as-a-members-name": ("create-form", {"{name}": "a form"}),
}


@pytest.mark.parametrize("case", UNMARKED)
def test_a_body_without_a_mark_is_refused(case: str) -> None:
    """A body of the target file that lacks {name} where it would be read back is a mistake, said
    with the remedy.
    """
    operation, body = UNMARKED[case]

    with pytest.raises(UsageError) as refused:
        SPEC.for_target({operation: {"body": body}}, DEFAULT, "staging.toml")

    assert str(refused.value).startswith(
        f"staging.toml, [operations.{operation}] body: no member that can be read back holds "
        f"{{name}}"
    )
    assert '= "{name}"' in str(refused.value) or '"{name}"' in refused.value.hint


@pytest.mark.parametrize(
    ("operation", "override"),
    [
        ("create-form", {"body": {"title": "form {name}"}}),
        ("update-contact", {"body": {"profile": {"names": ["{name}"]}}}),
        ("delete-form", {"method": "POST", "body": {"reason": "a test"}}),
        ("update-service", {"method": "PUT"}),
    ],
)
def test_a_body_with_a_mark_is_taken(operation: str, override: dict[str, Any]) -> None:
    """A mark may stand at any depth and within a longer text; a delete needs none, and neither does
    a body that is not given.
    """
    changed = SPEC.for_target({operation: override}, DEFAULT, "staging.toml")

    for key, value in override.items():
        assert getattr(changed.operations[operation], key) == value


# --- Hidden things -----------------------------------------------------------------------------


def test_a_thing_without_an_id_cannot_be_hidden() -> None:
    """A thing with neither id nor name cannot be known in an answer: inconclusive."""
    with pytest.raises(Inconclusive, match="the id of a user"):
        expect_hidden(answer(403), Fixture(SPEC.resources["user"], "", ""))


ORGANIZATION = {
    "id": "1",
    "name": "ours",
    "status": "active",
    "settings": {"plan": "gold"},
    "tags": [],
}


def test_a_document_is_known_by_what_no_reference_has() -> None:
    """A denied thing inside an allowed one is known by members that a reference to it would not
    carry.
    """
    world: Any = World(documents=[ORGANIZATION], organization="1")

    documents = asyncio.run(denied_documents(world, "organization"))

    assert exposed(answer(200, {"organization": ORGANIZATION}), documents) == ["status", "settings"]
    assert exposed(answer(200, {"organization": {"id": "1", "name": "ours"}}), documents) == []


def test_where_nothing_tells_the_organization_any_of_them_is_denied() -> None:
    """If tokens and users do not name their organization, all that the highest role lists are
    looked for.
    """
    others = [{**ORGANIZATION, "id": str(number)} for number in range(3)]

    world: Any = World(documents=others)
    documents = asyncio.run(denied_documents(world, "organization"))

    assert exposed(answer(200, [{"id": "9", "parent": others[2]}]), documents) == [
        "status",
        "settings",
    ]


def test_a_document_that_cannot_be_seen_proves_nothing() -> None:
    """Where the highest role does not see it either, or sees nothing but a reference, nothing is
    compared with nothing.
    """
    with pytest.raises(Inconclusive, match="organization as admin sees it"):
        asyncio.run(denied_documents(World(organization="1"), "organization"))  # type: ignore[arg-type]  # a stand-in
    bare: Any = World(documents=[{"id": "1", "name": "ours"}], organization="1")
    assert asyncio.run(denied_documents(bare, "organization")) == []


# --- Documents of any depth --------------------------------------------------------------------


def nested(depth: int) -> Any:
    """An id within so many objects and arrays."""
    document: Any = {"id": "deep"}
    for _ in range(depth):
        document = {"inner": [document]}
    return document


def test_documents_may_be_of_any_depth() -> None:
    """What a newer Python reads, deeper than it walks, is walked all the same: ids are found, and
    nothing breaks.
    """
    deep = {"id": "first", "name": "here", "inner": nested(5_000)}

    assert list(identifiers(deep)) == ["first", "deep"]
    assert Judge.reads_back(deep, request("update-service", {"name": "here"}, name="here"))
    assert sum(1 for _ in walked(deep)) > 10_000
    assert ("name", "here") in list(leaves(deep))


def test_a_document_is_walked_in_order() -> None:
    """A thing's own id comes before those of what is in it, and these as they are written."""
    assert list(
        identifiers({"owner": {"id": "2"}, "others": [{"_id": "3"}, {"id": "4"}], "id": "1"})
    ) == ["1", "2", "3", "4"]
