"""The end of a run: what it deletes, in which order and as whom, and what it reports as left.

Longer than 400 lines because its tests share one shelf of things to delete.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest.mock import AsyncMock

import pytest

from rolecall.harness.cleanup import tidy
from rolecall.ledger import CHANGE
from rolecall.outcomes import NotTested
from rolecall.tokens import Caller
from rolecall.toolkit.world import World
from tests.unit.shelves import NAME, URL, Shelves

DENIED = (403, {"message": "not for you"})

#: Of what is not deleted, since nothing shows that it is the run's.
NAMELESS = (
    "a creation was answered with it, and it shows no name of the run; whoever knows that it is "
    "the run's deletes it by hand"
)


@pytest.fixture
def target() -> Shelves:
    """A target with nothing on its shelves."""
    return Shelves()


def deleted(target: Shelves) -> list[str]:
    """What was asked to be deleted, in order."""
    return [asked.removeprefix("DELETE ") for asked in target.asked if asked.startswith("DELETE")]


# --- What is deleted ---------------------------------------------------------------------------


def test_a_run_that_made_nothing_asks_for_nothing(target: Shelves) -> None:
    """No caller logs in, and no list is read."""
    target.put("contact", "c0", f"{NAME}1-test")

    assert target.left() == []
    assert target.asked == []


def test_all_that_was_made_is_deleted_and_the_lists_are_read(target: Shelves) -> None:
    """Newest kinds first, but keys before everything, and users and then organizations after it;
    then each list is looked at, and only those of what was made.
    """
    target.made("contact", "c1")
    target.made("api-key", "k1")
    target.made("user", "u1")
    target.made("organization", "o1")
    target.made("contact", "c2")

    assert target.left() == []
    assert target.are_empty()
    first, *contacts, user, organization = deleted(target)
    assert first == "/v2/apikeys/k1"
    assert sorted(contacts) == ["/v2/contacts/c1", "/v2/contacts/c2"]
    assert (user, organization) == ("/v2/users/u1", "/v2/organizations/o1")
    assert target.asked[-3:] == ["GET /v2/organizations", "GET /v2/users", "GET /v2/contacts"]
    assert not list(target.world.ledger.left)


def test_what_others_made_is_left_alone(target: Shelves) -> None:
    """A thing with another name, or that of another run, is neither deleted nor told of."""
    target.put("contact", "c0", "somebody")
    target.put("contact", "c9", "rolecall-20260101-101010-abcdef-1-test")
    target.made("contact", "c1")

    assert target.left() == []
    assert deleted(target) == ["/v2/contacts/c1"]
    assert target.shelves["/v2/contacts"].keys() == {"c0", "c9"}


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_gone_already_counts_as_deleted(target: Shelves, status: int) -> None:
    """A thing that answers to its deletion that it is not there is not there."""
    entry = target.made("contact", "c1")
    target.shelves["/v2/contacts"].clear()
    target.instead["DELETE /v2/contacts/c1"] = (status, None)

    assert target.left() == []
    assert entry.gone


def test_an_id_of_any_characters_stays_in_its_segment(target: Shelves) -> None:
    """The path of a deletion is that of the one thing, whatever is in its id."""
    target.made("api-key", "a/b?c")

    assert target.left() == []
    assert deleted(target) == ["/v2/apikeys/a%2Fb%3Fc"]


# --- What is left ------------------------------------------------------------------------------


def test_what_cannot_be_deleted_is_told_with_the_answer(target: Shelves) -> None:
    """A line names the thing, its name, and what its deletion was answered; it is tried once for
    each way to it.
    """
    entry = target.made("contact", "c1")
    target.instead["DELETE /v2/contacts/c1"] = DENIED

    (line,) = target.left()

    assert line.startswith(
        f"contact c1 ({NAME}1-test): DELETE /v2/contacts/c1 as admin (token) -> 403 (exchange "
    )
    assert not entry.gone
    assert list(target.world.ledger.left) == [entry]


def test_a_deletion_without_an_answer_is_told_with_the_reason(target: Shelves) -> None:
    """Where no answer comes, the reason is said and the other things are deleted all the same."""
    target.made("contact", "c1")
    target.made("contact", "c2")
    target.instead["DELETE /v2/contacts/c1"] = None

    (line,) = target.left()

    assert line.startswith(
        f"contact c1 ({NAME}1-test): missing: an answer to DELETE /v2/contacts/c1"
    )
    assert "c2" not in target.shelves["/v2/contacts"]


def test_a_deletion_that_succeeds_in_the_end_is_not_told(target: Shelves) -> None:
    """What could be deleted at the second try has no reason left."""
    target.made("contact", "c1")
    target.made("contact", "c2")
    target.instead["DELETE /v2/contacts/c1"] = [(409, None)]  # once

    assert target.left() == []
    assert deleted(target).count("/v2/contacts/c1") == 2


def test_a_deletion_that_changes_nothing_is_told(target: Shelves) -> None:
    """A server that says that it deleted what is in its list for as long as one looks leaves
    something behind.
    """
    target.made("contact", "c1")
    target.instead["DELETE /v2/contacts/c1"] = (204, None)

    assert target.left() == [
        f"contact c1 ({NAME}1-test): its deletion was answered, and it is still in the list"
    ]
    assert target.asked.count("GET /v2/contacts") == 3


def test_a_deletion_that_takes_a_moment_is_not_told(target: Shelves) -> None:
    """What deletes in the background needs a moment: the list is looked at again."""
    target.made("contact", "c1")
    shown = list(target.shelves["/v2/contacts"].values())
    target.instead["GET /v2/contacts"] = [(200, shown)]

    assert target.left() == []
    assert target.asked.count("GET /v2/contacts") == 2


def test_a_change_that_was_not_put_back_is_told(target: Shelves) -> None:
    """A user that was there before is never deleted; that it could not be put back is said."""
    entry = target.world.ledger.intend(CHANGE, "givenName of user u0")
    target.world.gate.own(entry, "u0")

    (line,) = target.left()

    assert line == (
        "change of user u0 (givenName of user u0): it could not be put back as it was before; "
        "see the exchanges of the test that changed it"
    )
    assert target.asked == []


def test_a_change_does_not_keep_the_end_from_coming(target: Shelves) -> None:
    """Beside a change that stays, things are deleted, and are not tried again for it."""
    target.world.gate.own(target.world.ledger.intend(CHANGE, "givenName of user u0"), "u0")
    target.made("contact", "c1")

    assert len(target.left()) == 1
    assert deleted(target) == ["/v2/contacts/c1"]


def test_users_on_loan_are_put_back_first(target: Shelves) -> None:
    """Before anything is deleted, for it may be that what puts them back is."""
    target.made("contact", "c1")
    borrowing: Any = target.world.borrowing
    borrowing.put_all_back = AsyncMock(side_effect=lambda: target.asked.append("put back"))

    target.left()

    assert target.asked[0] == "put back"


# --- By whom -----------------------------------------------------------------------------------


def maker(target: Shelves, number: int) -> Caller:
    """A user of the run's own who made an entry."""
    caller = Caller("agent", "token", "token-of-the-maker", "u7")
    target.world.makers[number] = caller
    return caller


def test_what_its_maker_sees_is_not_gone(target: Shelves) -> None:
    """A thing that a deletion is answered 404 for, and its maker sees, is still there."""
    entry = target.made("contact", "c1")
    maker(target, entry.number)
    target.instead["DELETE /v2/contacts/c1"] = [(404, None)] * 4

    assert [line.partition(" (")[0] for line in target.left()] == ["contact c1"]


def test_what_only_its_maker_may_delete_its_maker_deletes(target: Shelves) -> None:
    """Where the highest role is refused, the user that made it is asked to."""
    entry = target.made("contact", "c1")
    maker(target, entry.number)
    target.instead["DELETE /v2/contacts/c1"] = [DENIED]

    assert target.left() == []
    assert entry.gone
    assert deleted(target) == ["/v2/contacts/c1"] * 2


def test_the_highest_role_comes_first(target: Shelves) -> None:
    """The maker is not asked where the highest role got it done."""
    entry = target.made("contact", "c1")
    maker(target, entry.number)

    assert target.left() == []
    assert deleted(target) == ["/v2/contacts/c1"]


def test_where_neither_may_the_last_answer_is_told(target: Shelves) -> None:
    """The line shows who was refused last."""
    entry = target.made("contact", "c1")
    maker(target, entry.number)
    target.instead["DELETE /v2/contacts/c1"] = DENIED

    (line,) = target.left()

    assert "as agent (token) -> 403" in line


def test_a_log_in_that_meets_trouble_is_tried_again(target: Shelves) -> None:
    """Trouble passes: the third log-in does it."""
    target.made("contact", "c1")
    target.instead["POST /v2/auth/token"] = [None, None]

    assert target.left() == []
    assert target.asked.count("POST /v2/auth/token") == 3


def test_one_log_in_serves_all_of_the_end(target: Shelves) -> None:
    """Where a user has one session, a second log-in would end the first: what was made is deleted,
    and keys are looked for, with one token, also after a move of the clock.
    """
    target.made("contact", "c1")
    target.doubtful("api-key")

    async def told(world: World) -> list[str]:
        await world.user("admin")
        world.forget_logins()
        target.asked.clear()
        return await tidy(world)

    target.after(told)
    assert target.asked.count("POST /v2/auth/token") == 1
    assert "GET /v2/apikeys" in target.asked
    assert target.are_empty()


def test_a_run_that_has_used_up_its_log_ins_deletes_with_the_token_that_it_has(
    target: Shelves,
) -> None:
    """An account gives a run fifteen log-ins: a sixteenth is not needed to delete what was made."""
    target.made("contact", "c1")

    async def told(world: World) -> list[str]:
        await world.user("admin")
        with suppress(NotTested):
            while True:
                await world.fresh_caller("admin")
        target.asked.clear()
        return await tidy(world)

    assert target.after(told) == []
    assert target.asked == ["DELETE /v2/contacts/c1", "GET /v2/contacts"]


def test_a_run_that_has_used_up_its_log_ins_puts_users_back(target: Shelves) -> None:
    """Nor to put back a user that only the highest role may change."""
    target.put("user", "user-of-guest", givenName="Gus")
    target.instead["PATCH /v2/users/user-of-guest"] = lambda exchange: (
        DENIED if "guest" in exchange.caller else ...
    )

    async def told(world: World) -> list[str]:
        guest = await world.user("guest")
        await world.user("admin")
        with suppress(NotTested):
            while True:
                await world.fresh_caller("admin")
        request = await world.request(world.spec.operations["update-user-self"], guest)
        async with world.borrowing.borrow(guest, request):
            target.shelves["/v2/users"]["user-of-guest"]["givenName"] = request.name
        return await tidy(world)

    assert target.after(told) == []
    assert target.shelves["/v2/users"]["user-of-guest"]["givenName"] == "Gus"


def test_a_log_in_that_is_refused_is_not_tried_again(target: Shelves) -> None:
    """Where the account gets no token any more, the token that the run has is used."""
    target.made("contact", "c1")

    async def told(world: World) -> list[str]:
        await world.user("admin")
        target.instead["POST /v2/auth/token"] = (401, None)
        target.asked.clear()
        return await tidy(world)

    assert target.after(told) == []
    assert target.asked[:2] == ["POST /v2/auth/token", "DELETE /v2/contacts/c1"]


def test_without_any_token_all_is_named(target: Shelves) -> None:
    """Where no role can delete, every thing is named with the reason, also what may have been made;
    no change is called a thing.
    """
    target.made("contact", "c1")
    target.doubtful("user")
    target.world.ledger.intend(CHANGE, "givenName of user u0")
    target.instead["POST /v2/auth/token"] = (401, None)

    first, second = target.after(tidy)

    reason = "[accounts.admin] was refused (401): nothing more is tried with it"
    assert first.startswith(f"contact c1 ({NAME}1-test): not deleted, {reason}")
    assert second.startswith(f"perhaps user (id unknown) ({NAME}2-test): not looked for, {reason}")
    assert deleted(target) == []


# --- API keys ----------------------------------------------------------------------------------


def test_a_key_that_is_not_found_may_be_alive(target: Shelves) -> None:
    """404 to the deletion of a key says nothing where no key was ever deleted that way."""
    target.made("api-key", "k1")
    target.shelves["/v2/apikeys"].clear()

    (line,) = target.left()

    assert line.startswith(
        f"api-key k1 ({NAME}1-test): DELETE /v2/apikeys/k1 as admin (token) -> 404"
    )


def test_a_key_that_is_not_found_beside_one_that_was_deleted_is_gone(target: Shelves) -> None:
    """Where another key could be deleted, 404 is the word for one that is not there."""
    target.made("api-key", "k1")
    target.made("api-key", "k2")
    del target.shelves["/v2/apikeys"]["k1"]

    assert target.left() == []


def test_a_key_that_is_gone_is_not_looked_for_by_its_maker(target: Shelves) -> None:
    """No operation shows a key: that of a user of the run's own is gone as any other is."""
    entry = target.made("api-key", "k1")
    target.made("api-key", "k2")
    maker(target, entry.number)
    target.instead["DELETE /v2/apikeys/k1"] = (404, None)

    assert target.left() == []
    assert entry.gone


def test_a_key_whose_making_was_not_answered_is_found_and_deleted(target: Shelves) -> None:
    """The list of keys shows it by its name."""
    target.doubtful("api-key")
    target.later("api-key", "k5", f"{NAME}2-test")

    assert target.left() == []
    assert deleted(target) == ["/v2/apikeys/k5"]


def test_keys_are_not_listed_where_all_are_known(target: Shelves) -> None:
    """Without a doubt about keys their list, which many servers do not have, is not asked for."""
    target.made("api-key", "k1")

    target.left()

    assert "GET /v2/apikeys" not in target.asked


# --- By the lists ------------------------------------------------------------------------------


def test_what_was_made_without_an_answer_is_found_and_deleted(target: Shelves) -> None:
    """A thing under the run's name that was not there before is the run's; the ledger has it, with
    its id.
    """
    target.doubtful("contact")
    target.later("contact", "c5", f"{NAME}2-test")

    assert target.left() == []
    assert deleted(target) == ["/v2/contacts/c5"]
    entry = target.world.ledger.of("contact", "c5")
    assert entry is not None
    assert (entry.name, entry.gone) == ("found at the end", True)


def test_what_was_there_before_is_named_and_not_deleted(target: Shelves) -> None:
    """A thing under the run's name that was there before is somebody else's, however strange that
    is.
    """
    target.doubtful("contact")
    target.put("contact", "c5", f"{NAME}2-test")

    assert target.left() == ["perhaps contact c5: it carries the run's name, and was there before"]
    assert deleted(target) == []


def test_what_an_answer_claimed_is_named_and_not_deleted(target: Shelves) -> None:
    """A thing that an answer called the run's and that shows no name of it is left to a person."""
    target.doubtful("contact", claimed="c5")
    target.later("contact", "c5", "somebody")

    assert target.left() == [f"perhaps contact c5: {NAMELESS}"]
    assert deleted(target) == []


def test_what_an_answer_claimed_and_was_there_before_is_not_told(target: Shelves) -> None:
    """A server that answers a creation with somebody else's id has made nothing by that."""
    target.doubtful("contact", claimed="c5")
    target.put("contact", "c5", "somebody")

    assert target.left() == []
    assert deleted(target) == []


def test_what_an_answer_claimed_and_no_list_shows_is_named(target: Shelves) -> None:
    """A thing that a creation was answered with may be there where its list shows nothing at all:
    keys, above all.
    """
    target.doubtful("api-key", claimed="k1")

    (line,) = target.left()

    assert line.startswith("perhaps api-key (id unknown)")
    assert "it was answered with k1 and without its name" in line
    assert "no list showed any api-key of this run by its name" in line
    assert line.endswith("deletes it by hand")


def test_a_thing_without_an_id_is_named(target: Shelves) -> None:
    """What shows the run's name and no id cannot be deleted by anybody who does not look."""
    target.doubtful("contact")
    target.later("contact", "", f"{NAME}2-test")

    assert target.left() == ["perhaps contact (id unknown): it carries the run's name, and no id"]


def test_a_list_that_cannot_be_read_proves_nothing(target: Shelves) -> None:
    """What may have been made may be there: the reason is told with the list's answer."""
    target.doubtful("contact")
    target.instead["GET /v2/contacts"] = DENIED

    (line,) = target.left()

    assert line.startswith(
        f"perhaps contact (id unknown) ({NAME}2-test): no answer showed what became of it, and "
        "the list of contacts cannot be "
        "read (missing: a list: GET /v2/contacts as admin (token) -> 403"
    )


def test_a_list_that_is_no_list_proves_nothing(target: Shelves) -> None:
    """An object in place of a list shows nothing."""
    target.doubtful("contact")
    target.instead["GET /v2/contacts"] = (200, {"message": "hello"})

    assert "the list of contacts cannot be read" in target.left()[0]


def test_a_list_that_shows_no_names_proves_nothing(target: Shelves) -> None:
    """Where others were made and no list ever showed one by its name, a doubtful one may be there
    unseen.
    """
    target.made("contact", "c1")
    target.doubtful("contact")
    target.shelves["/v2/contacts"]["c1"].pop("profile")

    (line,) = target.left()

    assert line == (
        f"perhaps contact (id unknown) ({NAME}2-test): no answer showed what became of it, "
        "and no list showed any contact of this run by its name"
    )


def test_a_list_that_shows_names_proves_that_nothing_was_made(target: Shelves) -> None:
    """It is looked at while the others are still there: what it does not show then was not made."""
    target.made("contact", "c1")
    target.doubtful("contact")

    assert target.left() == []
    assert target.asked.index("GET /v2/contacts") < target.asked.index("DELETE /v2/contacts/c1")


def test_a_list_that_was_seen_to_show_names_is_not_read_before(target: Shelves) -> None:
    """What the run has seen it need not see again."""
    target.made("contact", "c1")
    target.doubtful("contact")
    target.world.listed.add("contact")

    assert target.left() == []
    assert target.asked.index("GET /v2/contacts") > target.asked.index("DELETE /v2/contacts/c1")


def test_a_list_of_keys_that_cannot_be_read_is_told_once(target: Shelves) -> None:
    """The look at the keys before the end may fail: the look at the end says so."""
    target.doubtful("api-key")
    target.instead["GET /v2/apikeys"] = None

    (line,) = target.left()

    assert "the list of api-keys cannot be read" in line


def test_what_could_not_be_deleted_is_not_asked_for_again(target: Shelves) -> None:
    """The list shows what could not be deleted at two tries: it is told once, with the answer."""
    target.made("contact", "c1")
    target.instead["DELETE /v2/contacts/c1"] = (409, None)

    assert len(target.left()) == 1
    assert deleted(target) == ["/v2/contacts/c1"] * 2


def test_what_the_server_gives_anew_is_deleted_anew(target: Shelves) -> None:
    """A thing that is gone by the ledger and stands in the list again is deleted once more, under
    its old name.
    """
    entry = target.made("contact", "c1")
    target.world.ledger.gone(entry)

    assert target.left() == []
    assert deleted(target) == ["/v2/contacts/c1"]
    again = target.world.ledger.of("contact", "c1")
    assert again is not None
    assert again is not entry
    assert again.name == entry.name


# --- What is in it -----------------------------------------------------------------------------


def test_messages_go_before_their_conversation(target: Shelves) -> None:
    """What was made in a conversation of the run's own is deleted before it, since nothing lists it
    afterwards.
    """
    target.made("conversation", "v1")
    target.world.parents.add("v1")
    target.made("message", "m0")
    target.later("message", "m1", f"{NAME}1-test")
    target.put("message", "m2", "somebody")

    assert target.left() == []
    assert sorted(deleted(target)[:2]) == ["/v2/messages/m0", "/v2/messages/m1"]
    assert deleted(target)[2:] == ["/v2/conversations/v1"]
    assert target.shelves["/v2/messages"].keys() == {"m2"}


def test_a_conversation_that_must_be_empty_is_tried_again(target: Shelves) -> None:
    """A refused deletion is tried again as long as other deletions succeed."""
    target.made("conversation", "v1")
    target.made("contact", "c1")
    full = [(409, {"message": "it is not empty"})]
    target.instead["DELETE /v2/conversations/v1"] = full

    assert target.left() == []
    assert deleted(target).count("/v2/conversations/v1") == 2


def test_what_does_not_help_is_not_tried_for_ever(target: Shelves) -> None:
    """Where a second round deletes no more, it is the last one."""
    target.made("conversation", "v1")
    target.made("contact", "c1")
    target.instead["DELETE /v2/conversations/v1"] = (409, None)

    (line,) = target.left()

    assert line.startswith("conversation v1")
    assert deleted(target).count("/v2/conversations/v1") <= 3


def full_until_messages_are_gone(target: Shelves) -> None:
    """A server that deletes no conversation that has messages."""

    def answer(_: object) -> object:
        return (409, {"message": "it is not empty"}) if target.shelves.get("/v2/messages") else ...

    for id in list(target.shelves["/v2/conversations"]):
        target.instead[f"DELETE /v2/conversations/{id}"] = answer


async def begun(world: World) -> None:
    """Let the run make a conversation with a message in it, as its creation has one."""
    name = world.new_name("create-conversation")
    body = {"name": name, "messages": [{"text": name}]}
    await world.create(
        "conversation", name, "POST", "/v2/conversations", await world.user("admin"), json=body
    )


def test_the_message_that_a_conversation_began_with_is_the_runs_own(target: Shelves) -> None:
    """It came with the conversation, and was not there before: it is deleted, and the conversation
    after it.
    """

    async def told(world: World) -> list[str]:
        await begun(world)
        full_until_messages_are_gone(target)
        return await tidy(world)

    assert target.after(told) == []
    assert target.are_empty()


@pytest.mark.parametrize(("full", "other"), [("v1", "v2"), ("v2", "v1")])
def test_what_is_found_in_one_conversation_is_not_forgotten_in_the_next(
    full: str, other: str, target: Shelves
) -> None:
    """Each list of messages has lines of its own: what is left in one is told after another was
    read, in whatever order.
    """
    for number in (1, 2):
        target.made("conversation", f"v{number}")
        target.world.parents.add(f"v{number}")
    target.doubtful("message", claimed="m1")
    target.later("message", "m1", "somebody")
    others = [{"id": f"m{number}"} for number in range(10, 20)]  # enough for a second page
    pages = {
        f"/v2/messages?conversation={full}": [target.shelves["/v2/messages"]["m1"]],
        f"/v2/messages?conversation={other}": others,
        f"/v2/messages?conversation={other}&offset=10": others,
    }
    target.instead["GET /v2/messages"] = lambda exchange: (
        200,
        pages[exchange.url.removeprefix(URL)],
    )

    assert target.left() == [f"perhaps message m1: {NAMELESS}"]


def test_the_messages_of_a_conversation_that_is_gone_are_deleted(target: Shelves) -> None:
    """A server may keep what a conversation began with when a test deletes the conversation."""
    entry = target.made("conversation", "v1")
    del target.shelves["/v2/conversations"]["v1"]
    target.world.ledger.gone(entry)
    target.made("message", "m0")
    target.later("message", "m1", f"{NAME}1-test")

    assert target.left() == []
    assert sorted(deleted(target)) == ["/v2/messages/m0", "/v2/messages/m1"]


def test_where_a_conversation_that_is_gone_has_no_list_nothing_is_missing(target: Shelves) -> None:
    """That what it was in is not there any more is no reason to doubt a message."""
    target.world.ledger.gone(target.made("conversation", "v1"))
    target.shelves["/v2/conversations"].clear()
    target.made("message", "m1")
    target.doubtful("message")
    target.world.listed.add("message")
    target.instead["GET /v2/messages"] = (404, None)

    assert target.left() == []


def test_a_list_of_messages_that_cannot_be_read_is_told(target: Shelves) -> None:
    """What a conversation holds, and cannot be looked at, may hold a message of the run's."""
    target.made("conversation", "v1")
    target.world.parents.add("v1")
    target.doubtful("message")
    target.instead["GET /v2/messages"] = DENIED

    (line,) = target.left()

    assert line.startswith("perhaps message (id unknown)")
    assert "the list of messages cannot be read" in line


def test_what_is_in_a_conversation_of_an_unknown_id_goes_first(target: Shelves) -> None:
    """A conversation whose creation was not answered is looked for before anything is deleted, for
    the message that came with it.
    """
    target.doubtful("conversation")
    target.later("conversation", "v5", f"{NAME}2-test")
    target.made("message", "m0")
    target.later("message", "m5", f"{NAME}2-test")

    assert target.left() == []
    assert sorted(deleted(target)[:2]) == ["/v2/messages/m0", "/v2/messages/m5"]
    assert deleted(target)[2:] == ["/v2/conversations/v5"]
