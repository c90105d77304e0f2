"""The outcomes of a test besides passed and failed, each an exception that holds its reason."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from rolecall.foreign_answers import is_foreign

if TYPE_CHECKING:
    from rolecall.evidence import Exchange


_SERVER_ERROR = 500  # and above (RFC 9110 15.6)
#: What was not done, and may be sent again: it did not come whole in time (RFC 9110 15.5.9; proxies
#: say so of idle connections, too), or came on a wrong connection (15.5.20), or too early (8470).
SENT_BACK = frozenset({408, 421, 425})


class Outcome(StrEnum):
    """What became of a test, a cell or a requirement."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    NOT_TESTED = "not-tested"
    WAIVED = "waived"
    ERROR = "error"


class Finding(AssertionError):
    """The target broke a requirement: what was ``expected``, what it did (``actual``), and the
    exchange that shows it.
    """

    def __init__(self, expected: str, actual: str, exchange: Exchange | None = None) -> None:
        super().__init__(expected, actual)
        self.expected = expected
        self.actual = actual
        self.exchange = exchange

    @property
    def is_doubtful(self) -> bool:
        """Whether the same request may well be answered as expected when it is tried again: the
        answer was a server error, was sent back undone, or is a redirect or a web page, which may
        be that of somebody before the server. What was granted, refused, told or done is proven by
        one answer.
        """
        answer = self.exchange
        return answer is not None and (
            answer.status >= _SERVER_ERROR
            or answer.status in SENT_BACK
            or is_foreign(answer.status, answer.header, answer.body)
        )

    def __str__(self) -> str:
        seen = f"\n  request:  {self.exchange}" if self.exchange else ""
        return f"expected: {self.expected}\n  actual:   {self.actual}{seen}"


class Inconclusive(Exception):
    """A piece of evidence is ``missing``, so nothing is proven either way; ``look_at`` says where
    to look next.
    """

    def __init__(self, missing: str, look_at: str = "") -> None:
        super().__init__(missing, look_at)
        self.missing = missing
        self.look_at = look_at

    def __str__(self) -> str:
        return f"missing: {self.missing}" + (f" (look at: {self.look_at})" if self.look_at else "")


class TransientFailure(Inconclusive):
    """The network or a passing overload stood in the way; the same test may well succeed when it is
    tried again.
    """


class Flaky(Inconclusive):
    """A test failed by an answer that may have been passing trouble, and passed at the second try:
    ``finding`` is the failure, ``again`` the exchange that was as expected.
    """

    def __init__(self, finding: Finding, again: Exchange | None) -> None:
        seen = f" ({finding.exchange})" if finding.exchange else ""
        super().__init__(
            f"flaky: expected {finding.expected}; got {finding.actual}{seen}; "
            f"as expected at the second try{f' ({again})' if again else ''}",
            "the target's log at the time of the first of these exchanges",
        )

    def __str__(self) -> str:
        return f"{self.missing} (look at: {self.look_at})"


class NotTested(Exception):
    """The target lacks a capability, or the run was not given what the test needs.

    ``capability`` is its name as requirements use it; it is empty where the test could have been
    run and was not, so that what it would have proven stays unproven.
    """

    def __init__(self, reason: str, capability: str = "") -> None:
        super().__init__(reason)
        self.capability = capability


class NotApplicable(Exception):
    """The target's own nature makes the test impossible, as an exchange shows: tokens without
    ``iss`` have no wrong one.
    """
