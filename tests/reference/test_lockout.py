"""A user who goes on guessing has to wait; no other user has."""

from __future__ import annotations

import httpx
import pytest

from rolecall.reference.lockout import MOST_KNOWN, MOST_WRONG, PAUSE
from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK, Api, read, with_api


async def guess(api: Api, what: str, email: str) -> httpx.Response:
    """One wrong guess."""
    if what == "password":
        return await api.login("guest", email=email, password="wrong")
    if what == "GET refresh":
        return await api.get_refresh("guest", f"{'0' * 24}.{'f' * 80}")
    return await api.post_refresh(f"{'0' * 24}.{'f' * 80}", email)


@pytest.mark.parametrize("what", ["password", "GET refresh", "POST refresh"])
def test_after_many_wrong_guesses_there_is_a_pause(what: str) -> None:
    """A hundred wrong guesses are refused alike; the next is answered 429 with Retry-After."""

    async def story(api: Api) -> None:
        for _ in range(MOST_WRONG):
            assert (await guess(api, what, "guest@example.org")).status_code == 401

        answer = await guess(api, what, "guest@example.org")

        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= PAUSE

    with_api(Settings(scrypt_n=QUICK), story)


def test_a_pause_is_for_one_alone_and_ends() -> None:
    """During a pause the right password is refused and others log in; afterwards it works."""

    async def story(api: Api) -> None:
        for _ in range(MOST_WRONG):
            await guess(api, "password", "Guest@example.org")

        assert (await api.login("guest")).status_code == 429
        assert (await api.login("agent")).status_code == 200
        api.server.clock.advance(PAUSE)
        assert (await guess(api, "password", "guest@example.org")).status_code == 401
        assert (await api.login("guest")).status_code == 429
        api.server.clock.advance(PAUSE)
        assert (await api.login("guest")).status_code == 200
        assert (await guess(api, "password", "guest@example.org")).status_code == 401
        assert (await api.login("guest")).status_code == 200

    with_api(Settings(scrypt_n=QUICK), story)


def test_what_is_right_ends_the_counting() -> None:
    """Guesses that are right now and then never make a pause, so test runs are not disturbed."""

    async def story(api: Api) -> None:
        issued = read(await api.login("guest"))
        for _ in range(3):
            for _ in range(MOST_WRONG - 1):
                assert (await guess(api, "password", "guest@example.org")).status_code == 401
                assert (await guess(api, "POST refresh", "guest@example.org")).status_code == 401
            assert (await api.login("guest")).status_code == 200
            answer = await api.post_refresh(issued["refreshToken"], "guest@example.org")
            assert answer.status_code == 200
            issued = read(answer)

    with_api(Settings(scrypt_n=QUICK), story)


def test_an_unknown_address_has_to_wait_as_well() -> None:
    """The pause does not tell which addresses exist, and the memory for it is bounded."""

    async def story(api: Api) -> None:
        for _ in range(MOST_WRONG):
            await guess(api, "password", "nobody@example.org")

        assert (await guess(api, "password", "nobody@example.org")).status_code == 429
        for number in range(MOST_KNOWN):
            api.server.patience.wrong(f"password of {number}@example.org")
        assert (await guess(api, "password", "nobody@example.org")).status_code == 401

    with_api(Settings(scrypt_n=QUICK), story)
