"""Whose tokens an account is given: its own user's, and that is whom most of its log-ins name.

Unless an account says who its user is, the first log-in that is answered does, and that answer may
be the wrong one. So where a later log-in names somebody else, one of the two is wrong, which is a
violation, and both readings are told; which of them is right, the log-ins that follow say. As soon
as another user was named more often than the one who was taken for the account's own, that other
one is. So as many violations are counted as there were answers that differ from what most say, and
none for an answer that is right in the end.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from rolecall.loadgen.checks.seen_tokens import USER_BITS, as_bytes
from rolecall.loadgen.checks.sessions import Holder
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.transport.wire import Response

#: Characters from which on an id is not met by coincidence.
TELLING = 16
#: Users whom an account's log-ins named, and who may yet turn out to be its own.
_MOST_OTHERS = 64


class Owners:
    """The user of each account of one worker.

    Args:
        tells: whether users and accounts are collected for a master (`take`).
    """

    def __init__(
        self, violations: Violations, fingerprint: Callable[[str], int], *, tells: bool
    ) -> None:
        self._violations = violations
        self._fingerprint = fingerprint
        self._tells = tells
        self._met = array("Q")  # users that are new, each with its account
        #: Accounts by user, each the first one.
        self.accounts: dict[str, Holder] = {}
        self._seconds: dict[str, Holder] = {}  # each the last of those that came later

    def meet(self, holder: Holder, named: str, request: bytes, response: Response) -> None:
        """Note the user of an account that is answered for the first time."""
        user, email = holder.account.user or named, holder.account.email
        self._settle(holder, user)
        other = self.accounts.setdefault(user, holder)
        if other is holder:
            return
        self._seconds[user] = holder
        message = f"user {user} was given to two accounts, {other.account.email} and {email}"
        self._violations.report("another-user", message, request, response)
        # One of the two answers is wrong, and is told now: not again where the next log-in of
        # that account shows it.
        holder.told += 1
        other.told += 1

    def contradiction(self, holder: Holder, named: str) -> str:
        """Note that a log-in names another user than those before: what is wrong with that; empty
        where that is told already, and where this is the account's user from now on.
        """
        others = holder.others
        if not holder.account.user and (named in others or len(others) < _MOST_OTHERS):
            others[named] = others.get(named, 0) + 1
            before = holder.named - sum(others.values())
            if others[named] > before:
                self._correct(holder, named, before)
                return ""
            if holder.told:
                holder.told -= 1
                return ""
            if others[named] == before:
                return (
                    f"log-ins of {holder.account.email} were answered with tokens of user "
                    f"{holder.user}, and as often with those of user {named}: only one can be its "
                    "own user, and the other's answers are wrong"
                )
        return f"the token is user {named}'s, and was asked for by user {holder.user}"

    def _correct(self, holder: Holder, named: str, before: int) -> None:
        """Take the user for an account's own who was named more often than the one until now."""
        del holder.others[named]
        holder.others[holder.user] = before
        first = self.accounts.get(holder.user)
        second = self._seconds.pop(holder.user, None)
        if second is not None and first is not None:  # the other one of them was in order
            (second if first is holder else first).told = 0
        if first is holder:
            del self.accounts[holder.user]
            if second is not None:
                self.accounts[holder.user] = second
        self._settle(holder, named)
        self.accounts.setdefault(named, holder)

    def _settle(self, holder: Holder, user: str) -> None:
        holder.user, holder.fingerprint = user, self._fingerprint(user)
        holder.mark = holder.fingerprint & USER_BITS
        holder.prefix = f"{user}." if len(user) >= TELLING else "\0"
        if self._tells:
            self._met.extend((holder.fingerprint, self._fingerprint(holder.account.email)))

    def take(self) -> bytes:
        """The users with their accounts since the last call, for `AcrossWorkers`."""
        met, self._met = self._met, array("Q")
        return as_bytes(met)
