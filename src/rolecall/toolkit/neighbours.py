"""E-mails that look much like another user's, and users who have them."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.outcomes import NotTested
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import ThrowawayUser, lockable_account, throwaway_user
from rolecall.toolkit.world import World

#: From a letter of ASCII to its full-width twin, which is the same letter where compatibility does
#: not count (Unicode, NFKC).
_TO_FULL_WIDTH = 0xFEE0
#: E-mails of one user that look much like another's, which this is made of.
NEIGHBOURS: dict[str, Callable[[str], str]] = {
    "with-a-tag": lambda email: email.replace("@", "+twin@"),
    "longer": lambda email: f"x{email}",
    "any-letter": lambda email: email.replace(".", "_", 1),
    "of-another-domain": lambda email: email.replace("@", "@twin."),
    "with-a-dot": lambda email: f"{email[0]}.{email[1:]}",
    "of-other-letters": lambda email: f"{chr(ord(email[0]) + _TO_FULL_WIDTH)}{email[1:]}",
}
#: Those of them of which one is tried as the clientId of the other.
AS_CLIENTS = ("with-a-tag", "longer", "any-letter", "of-another-domain")


@shared_setup
async def twin_of(world: World, likeness: str) -> ThrowawayUser:
    """A user with nearly the e-mail of the lockable account, and the same password.

    Raises:
        NotTested: the target makes none.
    """
    one = await lockable_account(world)
    alike = {"email": NEIGHBOURS[likeness](one.account.email), "password": one.account.password}
    try:
        return await throwaway_user(world, world.roles[0], **alike)
    except NotTested as reason:
        said = (
            f"two users whose e-mails are alike ({likeness.replace('-', ' ')}): the target has "
            "no second one"
        )
        raise NotTested(said, reason.capability) from None


def parts_of(email: str) -> dict[str, str]:
    """An e-mail and parts of it: the placeholders of bodies with a near miss."""
    return {
        "email": email,
        "cut": email[:-1],
        "tail": email[1:],
        "local": email.rpartition("@")[0],
        "front": email[: 3 * len(email) // 4],
    }
