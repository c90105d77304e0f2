"""Near misses of an e-mail, in memory: which there are, and users who have such a one."""

from __future__ import annotations

import pytest

from rolecall.outcomes import NotTested
from rolecall.toolkit.neighbours import AS_CLIENTS, NEIGHBOURS, parts_of, twin_of
from rolecall.toolkit.throwaway_users import ThrowawayUser, lockable_account
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import answering, play

EMAIL = "ada.b@example.org"


def test_near_misses_look_like_the_e_mail_and_are_another() -> None:
    """Each near miss is what its name says, has one @ and a domain, and differs from the others."""
    assert {name: alike(EMAIL) for name, alike in NEIGHBOURS.items()} == {
        "with-a-tag": "ada.b+twin@example.org",
        "longer": "xada.b@example.org",
        "any-letter": "ada_b@example.org",
        "of-another-domain": "ada.b@twin.example.org",
        "with-a-dot": "a.da.b@example.org",
        "of-other-letters": "\uff41da.b@example.org",
    }
    assert set(AS_CLIENTS) < set(NEIGHBOURS)


def test_parts_of_an_e_mail() -> None:
    """What is less than an e-mail is less, and a part of it."""
    assert parts_of(EMAIL) == {
        "email": EMAIL,
        "cut": "ada.b@example.or",
        "tail": "da.b@example.org",
        "local": "ada.b",
        "front": "ada.b@exampl",
    }


@pytest.mark.parametrize("likeness", NEIGHBOURS)
def test_a_twin_has_the_like_e_mail_and_the_same_password(likeness: str) -> None:
    """Two users are made of which one's e-mail is much like the other's, with one password; once
    for all tests.
    """

    async def story(world: World) -> tuple[ThrowawayUser, ThrowawayUser, ThrowawayUser]:
        return (
            await lockable_account(world),
            await twin_of(world, likeness),
            await twin_of(world, likeness),
        )

    server = Server()
    one, twin, again = play(story, server)

    assert twin is again
    assert twin.account.email == NEIGHBOURS[likeness](one.account.email)
    assert twin.account.password == one.account.password
    assert twin.caller.user != one.caller.user
    assert server.count("create-user") == 2


def test_a_target_that_takes_no_second_one() -> None:
    """Where the like e-mail is taken for the same one, the reason says which, and what is
    lacking.
    """

    def known(asked: Asked) -> Answer | None:
        emails = {user["email"].replace("+twin", "") for user in server.things["user"].values()}
        return (
            (409, {"message": "taken"})
            if asked.body["email"].replace("+twin", "") in emails
            else None
        )

    async def story(world: World) -> None:
        await twin_of(world, "with-a-tag")

    server = answering("create-user", known)
    with pytest.raises(NotTested) as lacking:
        play(story, server)

    assert (
        str(lacking.value)
        == "two users whose e-mails are alike (with a tag): the target has no second one"
    )
    assert lacking.value.capability == "throwaway-user"
