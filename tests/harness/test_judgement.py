"""Verdicts: what is refused, what is inconclusive, what is missing, what a target may choose.

Longer than 400 lines because each verdict has its server and its test beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import Reference
from tests.support.command import ROLES, Finished, rolecall, target_text
from tests.support.miniatures import (
    Connection,
    Miniature,
    Received,
    always,
    json_response,
    response,
)
from tests.support.servers import Admin, certify, credentials, forwarded, serving, target, without


def cells(finished: Finished) -> dict[str, dict[str, Any]]:
    """The cells of a run by name."""
    return {f"{c['operation']}-{c['role']}-{c['credential']}": c for c in finished.results["cells"]}


def selected(finished: Finished) -> dict[str, str]:
    """The outcomes of the cells that were selected."""
    return {
        name: cell["outcome"]
        for name, cell in cells(finished).items()
        if cell["reason"] != "not selected"
    }


# --- Not certified -----------------------------------------------------------------------------

#: Fault, what to select, the cell of the first finding, and what was done instead.
NOT_CERTIFIED = {
    "denied-create-applies": (
        "create-contact",
        "create-contact-guest-token",
        "403, and it was created all the same",
    ),
    "denied-update-applies": (
        "update-contact",
        "update-contact-guest-token",
        "403, and it was updated all the same",
    ),
    "denied-delete-applies": (
        "delete-contact",
        "delete-contact-guest-token",
        "403, and it was deleted all the same",
    ),
    "update-does-nothing": (
        "update-contact",
        "update-contact-bot-token",
        "200, and nothing changed",
    ),
    "update-answers-old": (
        "update-contact",
        "update-contact-bot-token",
        "200, and nothing changed",
    ),
    "delete-does-nothing": (
        "delete-contact",
        "delete-contact-admin-token",
        "204, and it is still there",
    ),
    "create-does-nothing-below-admin": (
        "create-contact",
        "create-contact-bot-token",
        "201, and it is not there",
    ),
    "list-is-empty": ("list-contacts", "list-contacts-agent-token", "200 without it"),
    "fetch-answers-another": (
        "fetch-organization",
        "fetch-organization-bot-token",
        "200 without it",
    ),
    "denied-403-with-resource": (
        "fetch-contact",
        "fetch-contact-guest-token",
        "403 with the thing in its body",
    ),
    "denied-401": ("list-contacts", "list-contacts-guest-token", "401"),
    "denied-404": ("fetch-contact", "fetch-contact-guest-token", "404"),
    "denied-500": (
        "list-contacts",
        "list-contacts-guest-token",
        "500: a server error is not a denial",
    ),
    "denied-redirect": (
        "list-contacts",
        "list-contacts-guest-token",
        "302: a redirect is not a denial",
    ),
    "denied-200-empty-list": ("list-contacts", "list-contacts-guest-token", "200: it was allowed"),
    "key-has-scope-of-user": (
        "list-contacts",
        "list-contacts-guest-api-key",
        "200: it was allowed",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", NOT_CERTIFIED)
def test_a_server_that_pretends_is_not_certified(fault: str, tmp_path: Path) -> None:
    """A server that says one thing and does another is not certified, the first finding says what
    it did, and one of them is shown, with a line to try.
    """
    select, cell, actual = NOT_CERTIFIED[fault]
    with serving("--fault", fault) as server:
        finished = certify(server.target_file(tmp_path), f"PERM-{select} and not group")

    assert finished.code == 1, finished.said
    assert finished.results["verdict"] == "not-conformant"
    first = finished.results["findings"][0]
    assert (first["requirement"], first["cell"], first["actual"]) == (
        f"PERM-{select}",
        cell,
        actual,
    )
    assert {finding["requirement"] for finding in finished.results["findings"]} == {
        f"PERM-{select}"
    }
    assert cells(finished)[cell]["outcome"] == "failed"
    assert actual in cells(finished)[cell]["reason"]
    for line in (f"1. PERM-{select} (must): ", f"actual    {actual}", "curl "):
        assert line in finished.stdout
    expected = {finding["expected"] for finding in finished.results["findings"]}
    assert any(f"expected  {text}" in finished.stdout for text in expected)


@pytest.mark.parametrize("operation", ["create-form", "update-service"])
def test_a_body_by_which_nothing_could_be_seen_is_a_mistake(operation: str, tmp_path: Path) -> None:
    """A body of the target file without {name}, after which no write could be told from none, is
    said before anything is sent.
    """
    with Miniature(always(response(500))) as server:
        more = f"[operations.{operation}]\nbody = {{ enabled = false }}\n"
        finished = certify(target(tmp_path, target_text(server.url, more=more)))

        assert server.received == []
    assert finished.code == 2, finished.said
    assert (
        f"[operations.{operation}] body: no member that can be read back holds {{name}}"
        in finished.stderr
    )
    assert 'name = "{name}"' in finished.stderr
    assert not finished.out.exists()


def test_a_write_with_an_expired_token_is_a_finding_of_its_own(tmp_path: Path) -> None:
    """A server that refuses an expired token's write and carries it out breaks EXPIRY-no-effect and
    nothing else.
    """
    with serving("--fault", "expired-write-applies", "--clock") as server:
        finished = certify(server.target_file(tmp_path), "EXPIRY and update-contact")

    (finding,) = finished.results["findings"]
    assert finding["requirement"] == "EXPIRY-no-effect"
    assert finding["actual"] == "403, and it was updated all the same"
    assert finished.code == 1


# --- Inconclusive ------------------------------------------------------------------------------

#: Switches of a server, what to select, a cell that cannot be decided, and the piece of evidence
#: that is missing.
MISSING = {
    "nobody-can": (
        ("flip-update-contact-bot", "flip-update-contact-admin"),
        "update-contact",
        "update-contact-guest-token",
        "missing: the same request succeeding for admin or bot: PATCH /v2/contacts/",
    ),
    "credential-dead": (
        ("flip-fetch-user-self-guest", "flip-fetch-conversation-guest"),
        "list-contacts",
        "list-contacts-guest-token",
        "missing: a live credential: guest (token) may do nothing at all",
    ),
    "nobody-can-look": (
        tuple(f"flip-list-contacts-{role}" for role in ("agent", "bot", "admin")),
        "create-contact",
        "create-contact-guest-token",
        "missing: a look at the list of contacts: GET /v2/contacts as agent (token) -> 403",
    ),
    "nothing-to-test-with": (
        ("flip-create-organization-admin", "list-is-empty"),
        "delete-organization",
        "delete-organization-guest-token",
        "missing: a organization to test with: POST /v2/organizations as admin (token) -> 403",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_piece_is_named(case: str, tmp_path: Path) -> None:
    """A refusal that lacks a piece of its evidence is inconclusive and not passed, and the piece is
    named.
    """
    faults, select, cell, reason = MISSING[case]
    switches = [word for fault in faults for word in ("--fault", fault)]
    with serving(*switches) as server:
        finished = certify(
            server.target_file(tmp_path), f"PERM-{select} and not group and guest and token"
        )

    assert selected(finished) == {cell: "inconclusive"}, finished.said
    assert cells(finished)[cell]["reason"].startswith(reason)
    assert finished.results["findings"] == []
    assert finished.results["verdict"] == "inconclusive"
    assert finished.code == 3
    assert "Not decided" in finished.stdout
    assert "look at " in finished.stdout


@pytest.mark.parametrize("makes_users", [pytest.param(True, marks=pytest.mark.long), False])
def test_a_password_may_have_no_letters(makes_users: bool, tmp_path: Path) -> None:
    """Of a password of digits there is no other case: the target that takes it is not blamed, and
    the reason is given.

    That matters only where no user can be made whose password has letters.
    """
    # Longer than 40 lines because a server, its run and what came of it stand together.
    digits = "3141-5926-5358"
    with serving() as server:
        _, password = credentials(server.text, "guest")

        def relay(request: Received, connection: Connection) -> None:
            if (
                not makes_users
                and request.method == "POST"
                and request.path.startswith("/v2/users")
            ):
                connection.send(response(403))
                return
            request = replace(
                request, body=request.body.replace(digits.encode(), password.encode())
            )
            connection.send(forwarded(server.url, request))

        with Miniature(relay) as front:
            file = target(
                tmp_path, server.text.replace(server.url, front.url).replace(password, digits)
            )
            finished = certify(file, "ISSUE-refused")

    assert finished.results["findings"] == [], finished.said
    (entry,) = (
        entry for entry in finished.results["requirements"] if entry["id"] == "ISSUE-refused"
    )
    outcomes = {
        test["name"].partition("[")[2].rstrip("]"): test["outcome"] for test in entry["tests"]
    }
    if makes_users:
        assert entry["outcome"] == "passed"
        assert set(outcomes.values()) == {"passed"}
        return
    # an account's own wrong passwords are few
    assert set(outcomes.values()) == {"passed", "not-applicable", "not-tested"}
    assert [case for case, outcome in outcomes.items() if outcome == "not-applicable"] == [
        "password-in-other-case"
    ]
    assert "of this account's password that is the password itself" in str(entry["tests"])


@pytest.mark.long
def test_nothing_is_conformant_that_was_only_read(tmp_path: Path) -> None:
    """A run with --read-only proves no requirement of which a test would write, and is never
    conformant.
    """
    with serving("--clock") as server:
        finished = rolecall(
            "certify", server.target_file(tmp_path), "--read-only", "--out", "runs", cwd=tmp_path
        )

    requirements = {entry["id"]: entry for entry in finished.results["requirements"]}
    for id in (
        "AUTH-required",
        "EXPIRY-403",
        "SEC-A10",
        "SEC-A14",
        "SEC-H05",
        "SEC-I16",
        "RESPONSE-schema",
        "KEY-scopes",
    ):
        outcomes = {test["outcome"] for test in requirements[id]["tests"]}
        assert (id, requirements[id]["outcome"]) == (id, "not-tested"), outcomes
        assert requirements[id]["reason"]
    assert finished.results["verdict"] == "inconclusive"
    assert finished.code == 3, finished.said
    assert "not proven, because not tested: " in finished.stdout


# --- Left behind -------------------------------------------------------------------------------


def test_what_cannot_be_deleted_is_told(tmp_path: Path) -> None:
    """When the target does not let a run tidy up, the exit code is 7 and everything that is left is
    named.
    """
    with serving("--fault", "flip-delete-contact-admin") as server:
        finished = certify(server.target_file(tmp_path), "PERM-create-contact and bot")
        there = [
            contact
            for contact in Admin(server).list("contacts")
            if finished.results["run"] in str(contact)
        ]

    assert finished.code == 7, finished.said
    assert finished.results["findings"] == []
    assert there
    assert len(finished.results["left_behind"]) == len(there)
    for contact in there:
        assert any(contact["id"] in line for line in finished.results["left_behind"])
        assert f"left behind   contact {contact['id']}" in finished.stdout
    assert f"{len(there)} thing" in " ".join(finished.results["reasons"])


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(True, id="keys-are-listed"),
        pytest.param(False, id="keys-are-not-listed", marks=pytest.mark.long),
    ],
)
def test_a_key_whose_making_was_not_answered_is_not_forgotten(listed: bool, tmp_path: Path) -> None:
    """A key may have been made though the connection broke: it is looked for and deleted, or else
    named, exit code 7.
    """
    with serving() as server:

        def relay(request: Received, connection: Connection) -> None:
            asks_for_key = (request.method, request.path) == ("POST", "/v2/apikeys")
            if request.method == "GET" and request.path == "/v2/apikeys" and not listed:
                connection.send(NOT_FOUND)
                return
            answer = forwarded(server.url, request)
            if (
                asks_for_key
                and sum(
                    (other.method, other.path) == ("POST", "/v2/apikeys")
                    for other in front.received
                )
                == 1
            ):
                connection.reset()
            else:
                connection.send(answer)

        with Miniature(relay) as front:
            finished = certify(server.target_file(tmp_path, url=front.url), "KEY-scopes and guest")
            there = Admin(server).list("apikeys")

    assert finished.results["findings"] == []
    if listed:
        assert there == finished.results["left_behind"] == []
        assert finished.results["verdict"] == "part-passed"
    else:
        (key,) = there
        (left,) = finished.results["left_behind"]
        assert left.startswith(f"perhaps api-key (id unknown) ({key['name']})")
        assert finished.code == 7


# --- API keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [pytest.param(ROLES, marks=pytest.mark.long, id="all"), pytest.param(("bot",), id="one")],
)
def test_ready_made_keys_are_used(given: tuple[str, ...], tmp_path: Path) -> None:
    """Keys of the target file stand for their roles; where there is none the cell is not tested,
    and none is made.
    """
    with serving() as server:
        admin = Admin(server)
        keys = {f"KEY_OF_{role.upper()}": admin.make_key([role]) for role in given}
        lines = [f'{role}_env = "KEY_OF_{role.upper()}"' for role in given]
        text = without(server.text, "api_keys") + "\n[api_keys.tokens]\n" + "\n".join(lines) + "\n"

        select = "PERM-list-contacts or PERM-fetch-user-self or SCOPE-cascade or KEY"
        finished = certify(target(tmp_path, text), select, env=keys)

        assert len(admin.list("apikeys")) == len(given)
    for name, cell in cells(finished).items():
        if cell["reason"] != "not selected" and cell["credential"] == "api-key":
            expected = "passed" if cell["role"] in given else "not-tested"
            assert cell["outcome"] == expected, name
            assert cell["outcome"] == "passed" or cell["reason"].startswith(
                f"no API key of scope {cell['role']}"
            )
    requirements = {entry["id"]: entry for entry in finished.results["requirements"]}
    assert requirements["KEY-scopes"]["outcome"] == "not-tested"
    assert "create_path" in requirements["KEY-scopes"]["reason"]
    for test in requirements["SCOPE-cascade"]["tests"]:
        named = test["name"].partition("[")[2].rstrip("]").split("-", 2)
        expected = "passed" if named[2] == "token" or set(named[:2]) <= set(given) else "not-tested"
        assert test["outcome"] == expected, test["name"]
    assert finished.results["findings"] == []
    everything = "".join(
        path.read_text(encoding="utf-8") for path in finished.folder.rglob("*") if path.is_file()
    )
    assert [key for key in keys.values() if key in everything + finished.said] == []


@pytest.mark.long
def test_other_statuses_without_keys_are_certified_and_said(tmp_path: Path) -> None:
    """A server of the vendor's own dialect and without API keys is conformant; readings and keys
    are printed.
    """
    with serving("--dialect", "sdk", "--clock") as server:
        finished = certify(target(tmp_path, without(server.text, "api_keys")))

    assert finished.code == 0, finished.said
    assert finished.results["verdict"] == "conformant"
    departures = {"expired": [401], "issued": [201], "refreshed": [201]}
    assert finished.results["dialect"]["departures"] == departures
    for name, value in departures.items():
        assert f"reading       {name} = {value} (not the default)" in finished.stdout
    by_kind: dict[str, set[str]] = {"token": set(), "api-key": set()}
    for cell in finished.results["cells"]:
        by_kind[cell["credential"]].add(cell["outcome"])
    assert by_kind == {"token": {"passed"}, "api-key": {"not-tested"}}
    assert [
        reason
        for reason in finished.results["reasons"]
        if reason.startswith("API keys were not tested: ")
    ]
    assert (
        "note          API keys were not tested: no API keys: give [api_keys] create_path"
        in finished.stdout
    )


@pytest.mark.long
def test_the_vendors_dialect_is_certified(tmp_path: Path) -> None:
    """The target file that a server of the vendor's dialect prints certifies it, keys included."""
    with serving("--dialect", "sdk", "--clock") as server:
        finished = certify(server.target_file(tmp_path))
        judged_by_default = certify(
            target(tmp_path, without(server.text, "dialect")), "ISSUE-status or EXPIRY-403"
        )

    assert finished.code == 0, finished.said
    assert {cell["outcome"] for cell in finished.results["cells"]} == {"passed"}
    found = {finding["requirement"] for finding in judged_by_default.results["findings"]}
    assert found == {"ISSUE-status", "EXPIRY-403"}


# --- Readings ----------------------------------------------------------------------------------

#: Fault, the reading under which it is none, what to select.
READINGS = {
    "denied-200-empty-list": (
        'denied_list = "empty"',
        "PERM-list-contacts and guest and token",
        "denied_list = empty",
    ),
    "denied-404": ("denied = [404]", "PERM-fetch-contact and guest and token", "denied = [404]"),
    "expired-401": ("expired = [401, 403]", "EXPIRY-403 and list-contacts", "expired = [401, 403]"),
    "lifetime-14-days": ("lifetime = 1209600", "ISSUE-lifetime", "lifetime = 1209600"),
    "bad-tokens-422": (
        "anonymous = [401, 403, 422]\nmalformed = [400, 401, 403, 422]",
        "SEC-J03 or SEC-J04 or SEC-H02",
        "anonymous = [401, 403, 422]",
    ),
    "login-202": ("issued = [200, 202]", "ISSUE-status", "issued = [200, 202]"),
}


def test_an_empty_list_is_a_denial_everywhere(tmp_path: Path) -> None:
    """Where a denied list is answered 200 with nothing in it, and so it is read, whatever rests on
    that denial is judged as well.
    """
    select = (
        "SEC-A10 or SEC-A11 or SEC-A16 or SEC-A04 or SEC-H06 or SEC-H09 or SEC-J14 or "
        "SCOPE-cascade or KEY-union or PERM-list or fetch-conversation"
    )
    with serving("--fault", "denied-200-empty-list", env=Reference.env) as server:
        file = server.target_file(tmp_path, more='\n[dialect]\ndenied_list = "empty"\n')

        finished = certify(file, select, env=server.env)

    tests = [test for entry in finished.results["requirements"] for test in entry["tests"]]
    assert [
        (test["name"], test["reason"]) for test in tests if test["outcome"] != "passed"
    ] == [], finished.said
    assert len(tests) > 100


#: What is tried in the quick tests; the others take two runs each as well.
QUICK_READINGS = {"bad-tokens-422"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(name, marks=() if name in QUICK_READINGS else pytest.mark.long)
        for name in READINGS
    ],
)
def test_a_reading_decides(fault: str, tmp_path: Path) -> None:
    """What is a finding under the default reading passes under another that the target file names,
    which is printed.
    """
    reading, select, printed = READINGS[fault]
    with serving("--fault", fault, "--clock") as server:
        by_default = certify(server.target_file(tmp_path), select)
        chosen = certify(server.target_file(tmp_path, more=f"\n[dialect]\n{reading}\n"), select)

    assert by_default.code == 1, by_default.said
    assert by_default.results["dialect"]["departures"] == {}
    assert "reading " not in by_default.stdout
    assert chosen.results["findings"] == []
    assert chosen.results["counts"]["tests"]["passed"] == sum(
        chosen.results["counts"]["tests"].values()
    )
    assert f"reading       {printed} (not the default)" in chosen.stdout


def test_an_empty_list_that_is_not_empty_is_a_finding(tmp_path: Path) -> None:
    """Under ``denied_list = "empty"`` a list that shows something is still no denial."""
    with serving("--fault", "flip-list-contacts-guest") as server:
        file = server.target_file(tmp_path, more='\n[dialect]\ndenied_list = "empty"\n')

        finished = certify(file, "PERM-list-contacts and guest and token")

    (finding,) = finished.results["findings"]
    assert finding["actual"] == "200: it was allowed"


# --- Operations that are done otherwise --------------------------------------------------------

OVERRIDES = """
[operations.list-contacts]
path = "/v2/people"

[operations.fetch-contact]
path = "/v2/people/{id}"

[operations.create-contact]
path = "/v2/people"
body.organization = "{organization}"
body.profile = { name = "{name}", email = "{email}" }
body.remark = "as we do it"

[operations.update-contact]
method = "PUT"
path = "/v2/people/{id}"

[operations.delete-contact]
method = "POST"
path = "/v2/people/{id}/remove"
success = [202]
"""


NOT_FOUND = json_response({"error": {"message": "Not found"}}, 404)


@contextmanager
def another_way(url: str) -> Iterator[Miniature]:
    """A server in front of the reference server that calls contacts people, and changes and removes
    them its own way.
    """

    def relay(request: Received, connection: Connection) -> None:
        path = request.path.replace("/v2/people", "/v2/contacts")
        if path == request.path:
            connection.send(
                NOT_FOUND if path.startswith("/v2/contacts") else forwarded(url, request)
            )
        elif path.endswith("/remove"):
            answer = forwarded(url, request, method="DELETE", path=path.removesuffix("/remove"))
            connection.send(answer.replace(b"HTTP/1.1 204", b"HTTP/1.1 202"))
        elif request.method in ("PATCH", "DELETE"):
            connection.send(NOT_FOUND)
        else:
            method = "PATCH" if request.method == "PUT" else request.method
            connection.send(forwarded(url, request, method=method, path=path))

    with Miniature(relay) as miniature:
        yield miniature


@pytest.mark.long
def test_operations_may_be_done_otherwise(tmp_path: Path) -> None:
    """Paths, methods, bodies and success statuses of the target file are used, also to observe and
    to tidy up.
    """
    select = "PERM and contact and token"
    with serving() as server, another_way(server.url) as front:
        plain = server.target_file(tmp_path, url=front.url)
        as_written = certify(plain, "PERM-list-contacts and token")
        overridden = certify(server.target_file(tmp_path, url=front.url, more=OVERRIDES), select)
        left = Admin(server).left_by(overridden.results["run"])
        made = [
            request.body
            for request in front.received
            if (request.method, request.path) == ("POST", "/v2/people")
        ]

    assert "passed" not in selected(as_written).values()
    assert len(selected(overridden)) == 20
    assert set(selected(overridden).values()) == {"passed"}, overridden.said
    assert overridden.results["left_behind"] == left == []
    assert made
    assert all(b'"remark":"as we do it"' in body for body in made)


def test_put_may_replace(tmp_path: Path) -> None:
    """Who updates by PUT is sent a thing as a whole, and is not blamed that PUT replaces."""
    put = """
[operations.update-contact]
method = "PUT"

[operations.update-user]
method = "PUT"
"""
    with serving("--variant", "put-replaces") as server:
        finished = certify(server.target_file(tmp_path, more=put), "SEC-E10 and (contact or user)")

    assert finished.results["findings"] == [], finished.said
    assert finished.results["counts"]["tests"]["passed"] == 2, finished.said


# --- Ids ---------------------------------------------------------------------------------------

ODD = "/?#%"


def with_odd_ids(answer: bytes) -> bytes:
    """An answer whose ids end in characters that mean something in a URL."""
    head, end, body = answer.partition(b"\r\n\r\n")
    longer = re.sub(rb'"id":"(\w{24})"', rb'"id":"\1' + ODD.encode() + b'"', body)
    return re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(longer), head) + end + longer


@pytest.mark.long
def test_an_id_may_be_of_any_characters(tmp_path: Path) -> None:
    """What a target puts into an id stays in its segment of a path: everything is found, changed
    and deleted by it.
    """
    with serving() as server:

        def relay(request: Received, connection: Connection) -> None:
            answer = forwarded(
                server.url, request, path=request.path.replace(quote(ODD, safe=""), "")
            )
            connection.send(
                with_odd_ids(answer) if request.path.startswith("/v2/contacts") else answer
            )

        with Miniature(relay) as front:
            finished = certify(
                server.target_file(tmp_path, url=front.url), "PERM and contact and token"
            )
            left = Admin(server).left_by(finished.results["run"])

    assert set(selected(finished).values()) == {"passed"}, finished.said
    assert finished.results["left_behind"] == left == []


# --- Passing trouble ---------------------------------------------------------------------------


def test_one_who_could_not_be_made_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """A 503 to the first user that is made is not a finding: another one is made, and no test takes
    somebody else for it.
    """
    with serving() as server:

        def relay(request: Received, connection: Connection) -> None:
            makes_user = [
                other
                for other in front.received
                if (other.method, other.path) == ("POST", "/v2/users")
            ]
            first = makes_user and request is makes_user[0]
            connection.send(response(503) if first else forwarded(server.url, request))

        with Miniature(relay) as front:
            finished = certify(server.target_file(tmp_path, url=front.url), "SEC-I11")

    assert finished.results["findings"] == [], finished.said
    tests = finished.results["counts"]["tests"]
    assert tests["passed"] == sum(tests.values()) > 0
