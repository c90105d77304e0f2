"""A password that is almost right, tried twice in a run: a busy server must refuse it, too.

A server that compares passwords shortly when it is busy, or lets its cache answer, hands out tokens
for a wrong one. Guesses lock accounts and addresses (AMB-18), so there are two in a run, far fewer
than the suite makes, and of a user that was made for the run: its own password with another last
character. Right before each the user is logged in with the right one, since what is remembered of a
good log-in, in place of comparing anew, may be remembered by the e-mail alone. Only a token that is
given for the wrong one says something; every refusal is right, and so is overload.
"""

from __future__ import annotations

from collections.abc import Callable

from rolecall.loadgen.checks.token_answer import read_json
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.transport.wire import Response

#: Turns of the clients of a process at which one guesses, and with which there is no other one.
_AT = frozenset({25, 100})


class WrongPasswords:
    """The guesses of one process.

    Args:
        log_in: makes the request of a log-in, of an e-mail and a password.
        alone: whether no other process of the run guesses; else each does so once.
    """

    #: What may be answered to a wrong password without being an error of the server's.
    refusals = tuple(status for status in range(400, 500) if status != 429)

    def __init__(
        self, violations: Violations, log_in: Callable[[str, str], bytes], *, alone: bool
    ) -> None:
        self._violations = violations
        self._log_in = log_in
        self._left = len(_AT) if alone else 1
        self._turn = 0
        self._email = self._password = ""

    def know(self, email: str, password: str) -> None:
        """Take a user that was made for the run."""
        self._email, self._password = email, password

    @property
    def right(self) -> bytes:
        """A log-in with the right password; what becomes of it is no matter."""
        return self._log_in(self._email, self._password)

    def next(self) -> bytes | None:
        """A log-in with a wrong password, at its turn."""
        self._turn += 1
        if not self._email or not self._left or self._turn not in _AT:
            return None
        self._left -= 1
        last = "2" if self._password.endswith("1") else "1"
        return self._log_in(self._email, self._password[:-1] + last)

    def look(self, request: bytes, answer: Response) -> None:
        """Check an answer: whether it gives a token."""
        document = read_json(answer.body) if 200 <= answer.status < 300 else None
        if isinstance(document, dict) and document.get("token"):
            message = "a log-in whose password is wrong in its last character is given a token"
            self._violations.report("wrong-password-let-in", message, request, answer)
