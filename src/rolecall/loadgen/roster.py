"""Assigns accounts to clients: a client that keeps a session has an account of its own.

A log-in may end the user's other sessions, and does on servers that keep one for each user. So
a client that keeps a session holds an account that no other client holds, or one with the fewest
holders. Where there are both, clients who hold one and clients who log in time and
again, the latter do it with one in ten of the accounts, which are not held.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Self

from rolecall.loadgen.accounts import LoadAccount

#: An account, and the request that logs it in.
Login = tuple[LoadAccount, bytes]

#: Of so many accounts one is logged in in turn when others are held.
_ONE_IN = 10


class Roster:
    """The accounts of one process; as an iterator, those that log in in turn, without end.

    Args:
        logins: at least one.
    """

    def __init__(self, logins: Sequence[Login]) -> None:
        self._logins = list(logins)
        self._holders: Counter[str] = Counter()
        self._is_held = self._has_turns = False
        self._free: deque[Login] = deque()
        self._share_out()

    def __iter__(self) -> Self:
        return self

    def __len__(self) -> int:
        """The accounts that are not reserved."""
        return len(self._logins)

    def __next__(self) -> Login:
        return self.turn()

    def take_turns(self) -> None:
        """Note that a client logs in time and again."""
        if not self._has_turns:
            self._has_turns = True
            self._share_out()

    def hold(self) -> Login:
        """An account for a session that lasts; give it back."""
        if not self._is_held:
            self._is_held = True
            self._share_out()
        if not self._free:
            self._free = deque(self._held)
        login = self._free.popleft()
        self._holders[login[0].email] += 1
        return login

    def give_back(self, login: Login) -> None:
        """Take back an account, which is then the last to be held again."""
        self._holders[login[0].email] -= 1
        if login in self._held:
            self._free.append(login)

    def reserve(self) -> list[LoadAccount]:
        """One account of each role for itself, where the role has several."""
        of_roles: dict[str, list[Login]] = {}
        for login in self._logins:
            of_roles.setdefault(login[0].role, []).append(login)
        chosen = [several[-1] for several in of_roles.values()]
        self._logins = [
            login
            for login in self._logins
            if login not in chosen or len(of_roles[login[0].role]) == 1
        ]
        self._share_out()
        return [account for account, _ in chosen]

    def _share_out(self) -> None:
        """Divide the accounts into held ones and those that log in in turn."""
        is_shared = self._is_held and self._has_turns and len(self._logins) > 1
        several = max(1, len(self._logins) // _ONE_IN) if is_shared else 0
        self._held = self._logins[several:]
        #: The next one whose turn it is; a call of C's.
        self.turn: Callable[[], Login] = cycle(self._logins[:several] or self._logins).__next__
        self._free = deque(login for login in self._held if not self._holders[login[0].email])
