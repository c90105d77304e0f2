"""Every fault can be seen from outside, and a server without it does not show it."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

from rolecall.reference.faults import FAULTS
from rolecall.reference.permissions import LOWEST_SCOPE, RANK
from rolecall.reference.settings import ROLES, Settings
from rolecall.reference.switches import instead_of
from tests import reference
from tests.reference.asking import PROBES, QUICK, Api, with_api

#: Where each probe is entered.
for _found in iter_modules(reference.__path__):
    if _found.name.startswith("probes_"):
        import_module(f"tests.reference.{_found.name}")

SINGLE = [name for name in FAULTS if not name.startswith("flip-")]


@pytest.mark.parametrize("name", SINGLE)
def test_fault_can_be_seen(name: str) -> None:
    """With the fault its probe says yes; without it, no."""
    probe = PROBES[name]

    assert not with_api(Settings(scrypt_n=QUICK), probe)
    assert with_api(Settings(scrypt_n=QUICK, faults=(name,)), probe)


def test_every_probe_belongs_to_a_fault() -> None:
    """A fault that was renamed takes its probe along."""
    assert set(SINGLE) == set(PROBES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", LOWEST_SCOPE)
def test_flip_turns_one_cell(operation: str, role: str) -> None:
    """A flip turns its cell for tokens and keys, really, and leaves the cells beside it alone."""
    allowed = RANK[role] >= RANK[LOWEST_SCOPE[operation]]
    neighbours = [other for other in ROLES if other != role]

    async def story(api: Api) -> None:
        for token in (api.token(role), (await api.key([role], role)).json()["token"]):
            answer, happened = await api.attempt(operation, token)
            assert happened is not allowed
            assert answer.status_code == 403 if allowed else answer.is_success
            api.server.store.remove("users", str(next(iter(found_new_users(api)), "")))
        for other in neighbours:
            answer, happened = await api.attempt(operation, api.token(other))
            assert answer.is_success is happened is (RANK[other] >= RANK[LOWEST_SCOPE[operation]])

    with_api(Settings(scrypt_n=QUICK, faults=(f"flip-{operation}-{role}",)), story)


def found_new_users(api: Api) -> list[str]:
    """The users made by create-user, whose address is taken until they go."""
    account = api.server.store.account_by_email("new@example.org")
    return [account.id] if account else []


def test_there_are_188_flips() -> None:
    """One flip for each of the 47 operations and four roles."""
    flips = [fault for fault in FAULTS.values() if fault.name.startswith("flip-")]

    assert len(flips) == 188
    assert {fault.finding for fault in flips} == {f"PERM-{operation}" for operation in LOWEST_SCOPE}


def test_every_fault_is_described() -> None:
    """A reader of the list learns of every fault what it does and what it breaks."""
    for fault in FAULTS.values():
        assert fault.description.endswith(".")
        assert fault.finding


def test_instead_of_replaces_one_objects_method() -> None:
    """A replacement can be replaced again, and other objects keep theirs."""

    class Decision:
        def made(self) -> str:
            return "as it was"

    one, other = Decision(), Decision()

    @instead_of(one.made)
    def first() -> str:
        return "changed"

    changed = one.made

    @instead_of(one.made)
    def second() -> str:
        return f"{changed()} again"

    assert one.made() == "changed again"
    assert other.made() == "as it was"
