"""A budget of log-ins per account, since servers lock accounts and throttle log-ins.

On an account of the target file at most `MOST_GRANTED` log-ins succeed and `MOST_REFUSED` are
refused, never more than `MOST_IN_A_ROW` of them in a row; after a refusal of the right password
nothing more is tried. What needs more than that uses users that the run makes, or is not tested.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from rolecall.outcomes import NotTested
from rolecall.target import Account

MOST_GRANTED, MOST_REFUSED, MOST_IN_A_ROW = 15, 4, 2


@dataclass
class _Used:
    """What was used of an account's budget, with what is under way."""

    account: Account
    granted: int = 0
    refused: int = 0
    in_a_row: int = 0
    refusal: str = ""


@dataclass(frozen=True)
class LoginTrial:
    """A log-in to an account of the target file that is about to leave; ``is_right``: with its own
    password, and no attack.
    """

    email: str
    is_right: bool


class LogInBudget:
    """What log-ins to the accounts of the target file are left."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._used = {account.email.lower(): _Used(account) for account in accounts}

    def admit(self, url: str, content: bytes, attack: str) -> LoginTrial | None:
        """Take a log-in from the budget of the account that a request to the token endpoint tries;
        None if it tries none.

        Raises:
            NotTested: the budget is used up.
        """
        texts = _texts(url, content)
        if len(content) < _LOOKED_AT and not any("password" in text for text in texts):
            return None  # what is too long to be looked through may hold one in any spelling
        email = next((email for email in self._used if any(email in text for text in texts)), "")
        if not email:
            return None
        used = self._used[email]
        is_right = not attack and any(used.account.password.lower() in text for text in texts)
        if used.refusal:
            raise NotTested(
                f"[accounts.{used.account.name}] was refused ({used.refusal}): nothing more is "
                "tried with it"
            )
        # a wrong one may be granted all the same
        if used.granted + (0 if is_right else used.in_a_row) >= MOST_GRANTED:
            raise NotTested(
                f"{MOST_GRANTED} log-ins to [accounts.{used.account.name}] are enough for one run"
            )
        if not is_right and (used.refused >= MOST_REFUSED or used.in_a_row >= MOST_IN_A_ROW):
            raise NotTested(
                f"a wrong log-in more to [accounts.{used.account.name}]: it might be locked; let "
                "the run make users"
            )
        if is_right:
            used.granted += 1
        else:
            used.refused += 1
            used.in_a_row += 1
        return LoginTrial(email, is_right)

    def left(self, email: str) -> int:
        """How many more log-ins with the right password an account of the target file may have."""
        used = self._used[email.lower()]
        return 0 if used.refusal else max(0, MOST_GRANTED - used.granted)

    def answered(self, trial: LoginTrial, status: int) -> None:
        """Note what became of a log-in; 0 stands for no answer, and counts as what was expected."""
        used = self._used[trial.email]
        if 200 <= status < 300:
            used.in_a_row = 0
            if not trial.is_right:
                used.refused -= 1
                used.granted += 1
        elif trial.is_right and 400 <= status < 500 and status != 429:
            used.granted -= 1
            used.refused += 1
            used.in_a_row += 1
            used.refusal = str(status)


def _texts(url: str, content: bytes) -> list[str]:
    """What a request to the token endpoint says, in lower case: as it is written, and without the
    escapes of URLs and JSON.
    """
    written = f"{urlsplit(url).query}\n{content[:_LOOKED_AT].decode('utf-8', 'replace')}"
    texts = [written, unquote_plus(written)]
    with contextlib.suppress(ValueError, RecursionError):
        texts.append(
            json.dumps(json.loads(content), ensure_ascii=False) if len(content) < _LOOKED_AT else ""
        )
    return [text.lower() for text in texts]


#: Bytes of a body; longer ones are attacks by their length, with the names at the front.
_LOOKED_AT = 64 * 1024
