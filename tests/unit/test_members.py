"""Members that a target does not know (AMB-16), in memory: what is sent after a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.spec.loading import load_specification
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.members import (
    MOST_TRIES,
    REFUSED,
    Attempts,
    Members,
    at,
    is_put_away,
    members_missing,
    members_named,
)
from rolecall.toolkit.things import Request
from tests.support.exchanges import exchange

SPEC = load_specification()
NAME = "rolecall-1-2"
ITEM = {"name": NAME, "title": NAME, "content": "text", "organization": "1"}


def request(body: Any, operation: str = "create-knowledge-item") -> Request:
    """A request with a body."""
    return Request(SPEC.operations[operation], "/", body, NAME)


def refusal(document: Any, status: int = 422) -> Exchange:
    """A refusal with this body."""
    return exchange(status=status, body=json.dumps(document).encode())


#: An error, what it blames, and what it calls required.
ERRORS: dict[str, tuple[Any, set[str], set[str]]] = {
    "a-sentence": ({"message": "Not known: name, title"}, {"name", "title"}, set()),
    "a-quoted-name": (
        {"error": {"message": "the member name 'title' is not allowed"}},
        {"title"},
        set(),
    ),
    "a-sentence-of-what-lacks": ({"message": "title is required"}, set(), {"title"}),
    "problem-details": (
        {"title": "Unprocessable content", "status": 422, "detail": "unknown: content"},
        {"content"},
        set(),
    ),
    "errors-by-member": (
        {"errors": {"title": ["unknown"], "name": ["is required"]}},
        {"title"},
        {"name"},
    ),
    "list-of-errors": (
        [{"field": "title", "reason": "unknown"}, {"field": "name", "reason": "missing"}],
        {"title"},
        {"name"},
    ),
    "pointers": (
        {"errors": [{"loc": ["body", "title"], "msg": "extra fields not permitted"}]},
        {"title"},
        set(),
    ),
    "Go, as a problem of no type of its own (RFC 9457 4.2.1)": (
        {"type": "about:blank", "detail": 'json: unknown field "title"', "status": 400},
        {"title"},
        set(),
    ),
    "a problem that says blank": (
        {"type": "about:blank", "detail": '"title" must not be blank', "status": 422},
        set(),
        {"title"},
    ),
    "nothing": (None, set(), set()),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_an_error_names(case: str) -> None:
    """The names of members are found in an error however it is made, those that are required
    apart.
    """
    document, blamed, missing = ERRORS[case]

    named, required = members_named(refusal(document))

    assert named & set(ITEM) == blamed
    assert required & set(ITEM) == missing


#: What errors of common libraries say is missing.
MISSING: dict[str, tuple[Any, set[str]]] = {
    "FastAPI": (
        {
            "detail": [
                {
                    "type": "missing",
                    "loc": ["body", "question"],
                    "msg": "Field required",
                    "input": {},
                }
            ]
        },
        {"question"},
    ),
    "zod": (
        {
            "error": {
                "details": [
                    {
                        "path": "label",
                        "message": "Invalid input: expected string, received undefined",
                    }
                ]
            }
        },
        {"label"},
    ),
    "joi": (
        {
            "message": '"question" is required',
            "details": [{"message": '"answer" is required', "path": ["answer"]}],
        },
        {"question", "answer"},
    ),
    "ajv": (
        {
            "errors": [
                {
                    "keyword": "required",
                    "params": {"missingProperty": "title"},
                    "message": "must have required property 'title'",
                }
            ]
        },
        {"title"},
    ),
    "Rails": ({"errors": {"question": ["can't be blank"], "name": ["is too long"]}}, {"question"}),
    "mongoose": (
        {"message": "Item validation failed: question: Path `question` is required."},
        {"question"},
    ),
    "express-validator": (
        {"errors": [{"type": "field", "msg": "is required", "path": "answer", "location": "body"}]},
        {"answer"},
    ),
    "JSON:API": (
        {
            "errors": [
                {"source": {"pointer": "/data/attributes/title"}, "detail": "title is missing"}
            ]
        },
        {"title"},
    ),
    "a list of its own": (
        {"error": {"code": "invalid", "required": ["title", "content"]}},
        {"title", "content"},
    ),
    "Spring": (
        {
            "errors": [
                {"field": "question", "defaultMessage": "must not be blank", "code": "NotBlank"}
            ]
        },
        {"question"},
    ),
    "Go": (
        {
            "error": "Key: 'Item.Question' Error:Field validation for 'Question' failed on the "
            "'required' tag"
        },
        set(),
    ),
    "a sentence": ({"message": "Missing required field: 'title'"}, {"title"}),
    "nothing of the kind": (
        {"message": "This field is not allowed: name", "path": "/v2/kbitems"},
        set(),
    ),
    "an error with a message": (
        {"error": {"message": "title is required", "code": "required"}},
        {"title"},
    ),
    "no JSON": ("title is required", {"title"}),
}


@pytest.mark.parametrize("library", MISSING)
def test_what_an_error_says_is_missing(library: str) -> None:
    """The members that are wanted are found in the errors of common libraries, and nothing else is
    taken for one.
    """
    document, missing = MISSING[library]

    assert members_missing(refusal(document)) == missing


def strict(
    known: set[str], needed: set[str], say: Callable[[list[str], list[str]], Any]
) -> Callable[[Request], Exchange]:
    """A server that takes bodies with these members only, and not without those that it needs."""

    def answer(asked: Request) -> Exchange:
        unknown = [name for name in asked.body if name not in known]
        lacking = [name for name in needed if name not in asked.body]
        return refusal(say(unknown, lacking)) if unknown or lacking else exchange(status=201)

    return answer


#: Servers that refuse something of a knowledge item, by how they say so.
SERVERS: dict[str, Callable[[Request], Exchange]] = {
    "all-at-once": strict(
        {"title", "content", "organization"},
        set(),
        lambda unknown, _: {"message": f"unknown: {unknown}"},
    ),
    "one-by-one": strict(
        {"title"}, set(), lambda unknown, _: {"message": f"{unknown[0]} is not known"}
    ),
    "without-a-word": strict({"title", "name"}, set(), lambda *_: None),
    "what-nobody-could-know": strict(
        {"question", "answer"},
        {"question", "answer"},
        lambda unknown, lacking: {
            "errors": {name: ["is required"] for name in lacking}
            | {name: ["is not known"] for name in unknown}
        },
    ),
    "what-nobody-could-know-one-by-one": strict(
        {*ITEM, "question", "answer"},
        {"question", "answer"},
        lambda _, lacking: {"message": f'"{lacking[0]}" is required'},
    ),
    "what-it-needs": strict(
        {"title", "name", "organization"},
        {"organization"},
        lambda unknown, lacking: {"message": f"{lacking[0]} is required"} if lacking else None,
    ),
}


def tried(server: Callable[[Request], Exchange], asked: Request) -> tuple[Exchange, Request, int]:
    """The last answer, what was sent for it, and how many requests it took."""
    answer, sent, count = server(asked), asked, 1
    attempts = Attempts(asked, answer)
    while answer.status in REFUSED and (following := attempts.following()):
        answer, sent, count = server(following), following, count + 1
        attempts.add(sent, answer)
    return answer, sent, count


@pytest.mark.parametrize("case", SERVERS)
def test_a_create_is_sent_without_what_is_not_known(case: str) -> None:
    """A create that is refused for members is taken without them, still bears the run's name, and
    the next one lacks them at once.
    """
    asked, members = request(ITEM), Members()

    answer, sent, _ = tried(SERVERS[case], asked)
    members.learn(asked, sent)

    assert answer.ok
    assert NAME in sent.body.values()
    assert members.understood(asked).body == sent.body


def test_a_role_that_is_refused_leaves_the_others() -> None:
    """A role that a server gives to nobody is left out, and another role is not; what a server does
    not know is left out whatever it holds.
    """
    members = Members()
    body = {"givenName": NAME, "email": "a@example.org", "note": NAME, "meta": {"n": 1}}

    def asked(role: str) -> Request:
        return request({**body, "role": role}, "create-user")

    members.learn(asked("admin"), request({"givenName": NAME, "email": "a@example.org"}))

    bare = {"givenName": NAME, "email": "a@example.org"}
    assert members.understood(asked("admin")).body == bare
    assert members.understood(asked("guest")).body == {**bare, "role": "guest"}


def test_a_role_that_is_wanted_is_the_lowest() -> None:
    """A user that has to be given a role gets the lowest one, no text that is none."""
    body = {"givenName": NAME, "email": "a@example.org", "password": "Sesame-1"}

    _, sent, _ = tried(
        strict(
            {*body, "role"},
            {"role"},
            lambda _, lacking: {"errors": dict.fromkeys(lacking, "is required")},
        ),
        request(body, "create-user"),
    )

    assert sent.body == {**body, "role": SPEC.roles[0]}


@pytest.mark.parametrize("unknown", ["name", "title"])
def test_what_no_answer_names_is_left_out_one_by_one(unknown: str) -> None:
    """Where a refusal names no member, each that bears the run's name is left out in turn, and the
    others stay; the role of a user is not left out with what bears no name.
    """
    silent = refusal({"error": "Bad Request", "message": "Invalid request payload input"}, 400)
    attempts = Attempts(request(ITEM), silent)
    while (other := attempts.following()) and unknown in other.body:
        attempts.add(other, silent)

    assert other is not None
    assert other.body == {name: NAME for name in ("name", "title") if name != unknown}

    user = {"givenName": NAME, "status": "active", "role": "bot", "email": "e", "password": "p"}
    other = Attempts(request(user, "create-user"), silent).following()
    assert other is not None
    assert other.body == {name: value for name, value in user.items() if name != "status"}


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_refusal_for_good_ends(status: int) -> None:
    """A server that refuses everything is asked a few times and no more; a denial is not tried
    again.
    """
    asked = request(ITEM)

    answer, _, count = tried(
        lambda _: refusal({"message": "name title content organization"}, status), asked
    )

    assert not answer.ok
    assert count == 1 if status == 403 else 1 < count <= MOST_TRIES


def test_a_user_keeps_what_it_logs_in_with() -> None:
    """E-mail and password of a new user are never left out, whatever a refusal names."""
    body = {"givenName": NAME, "email": "a@example.org", "password": "Sesame-1", "status": "active"}

    _, sent, _ = tried(
        strict({"givenName"}, set(), lambda unknown, _: unknown), request(body, "create-user")
    )

    assert {"email", "password"} <= set(sent.body)


def test_what_is_empty_without_its_members_goes_with_them() -> None:
    """An object of a body all of whose members are unknown is left out; one that was empty
    stays.
    """
    asked = request({"name": NAME, "profile": {"email": "a"}, "meta": {}}, "create-contact")

    answer, sent, _ = tried(
        lambda body: refusal({"detail": "profile.email"}) if "profile" in body.body else exchange(),
        asked,
    )

    assert answer.ok
    assert sent.body == {"name": NAME, "meta": {}}


@pytest.mark.parametrize("member", ["name", "title"])
def test_what_was_written_is_known_in_any_member(member: str) -> None:
    """A server that knows only one of two members has done what it was asked for; one that shows
    neither has not.
    """
    asked = request({"name": NAME, "title": NAME}, "update-knowledge-item")

    assert Judge.reads_back({"id": "1", member: NAME}, asked)
    assert not Judge.reads_back({"id": "1", member: "before"}, asked)


@pytest.mark.parametrize(
    ("thing", "is_one"),
    [
        ({"status": "archived"}, True),
        ({"state": "DELETED"}, True),
        ({"deletedAt": "2026-11-28"}, True),
        ({"is_deleted": True}, True),
        ({"status": "deactivated"}, True),
        ({"discarded_at": "2026-11-28"}, True),
        ({"status": "inactive"}, False),
        ({"deletedAt": None, "status": "active"}, False),
        ({"isDeleted": False, "text": "deleted"}, False),
    ],
)
def test_things_that_are_shown_as_deleted(thing: dict[str, Any], is_one: bool) -> None:
    """A thing is deleted by what it says of itself, not by a word in it, nor by an empty member."""
    assert is_put_away(thing) is is_one


@pytest.mark.parametrize("shown", ["givenName", "given_name", "GivenName", "given-name"])
def test_members_however_they_are_written(shown: str) -> None:
    """A member is found in each of the ways to write its name."""
    assert at({"familyName": "x", shown: NAME}, ("givenName",)) == NAME
