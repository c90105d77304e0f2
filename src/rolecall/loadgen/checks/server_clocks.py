"""Whether a server's processes agree about the time: a token ends 24 hours after it was issued.

A process whose clock is two hours ahead issues tokens that its clients may use for 26 hours, though
`exp - iat` is right in each. From outside only the difference of two clocks can be known, not which
of them is wrong; where it is more than twice the tolerance of a lifetime, one of the two tokens
does not end when the specification says.

Of a refreshed token it is known that it was issued between the sending of the request and the
answer. So its `iat` says how far its clock is ahead of ours, but for that time and the second that
`iat` counts. A clock that is put right, or is stopped with its machine, jumps once, and one that is
moved for expired tokens and put back jumps twice. Who jumps a third time has several clocks.
"""

from __future__ import annotations

from rolecall.spec.claims import LIFETIME_TOLERANCE

#: Seconds by which two clocks differ where one of their tokens cannot end in time.
FAR = 2 * LIFETIME_TOLERANCE
_JUMPS = 3


class ServerClocks:
    """What the refreshed tokens that were looked at say of the server's clocks."""

    def __init__(self) -> None:
        self._shown: tuple[float, float] | None = None
        self._jumps = self._direction = 0

    def difference(self, issued: int, asked: float, answered: float) -> int:
        """Seconds by which two clocks of the server differ, at least; 0 while nothing shows it.

        Args:
            issued: a new token's `iat`.
            asked: when the first request was sent that may have got it.
            answered: when it was there, on the same clock of ours.
        """
        ahead = issued - answered, issued + 1 - asked
        if self._shown is None:
            self._shown = ahead
            return 0
        least, most = self._shown
        apart = ahead[0] - most if ahead[0] > most else least - ahead[1]
        if apart <= FAR:
            return 0
        self._shown = ahead
        direction = 1 if ahead[0] > most else -1
        self._jumps += direction != self._direction
        self._direction = direction
        return int(apart) if self._jumps >= _JUMPS else 0
