"""Header fields that many places read, as RFC 9110 has them: lists, dates, and how long to wait."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

#: Delay-seconds (RFC 9110 10.2.3); some servers write a fraction. More than nine
#: digits would be over 30 years.
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?")
_DATE_LENGTH = 64  # characters; an HTTP date has at most 33


def elements(lines: Iterable[str]) -> list[str]:
    """The elements of a list field in lower case, of all its lines, the empty ones left out (RFC
    9110 5.3, 5.6.1.2).
    """
    return [
        element for line in lines for part in line.split(",") if (element := part.strip().lower())
    ]


def http_date(text: str) -> float | None:
    """An HTTP date in seconds since the epoch, in any of its three formats (RFC 9110 5.6.7); None
    when it is none.

    One without a zone, as asctime writes it, is in UTC as all are, whatever the zone of this
    machine.
    """
    try:
        moment = parsedate_to_datetime(text[:_DATE_LENGTH])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def seconds_to_wait(retry_after: str, date: str) -> float | None:
    """Seconds that a Retry-After asks to wait, a number of them or a date (RFC 9110 10.2.3); None
    when it says nothing.

    Args:
        date: the same answer's Date: a moment is one of the server's own clock, which need not
            agree with ours.
    """
    if _SECONDS.fullmatch(retry_after.strip()):
        return float(retry_after)
    moment = http_date(retry_after)
    if moment is None:
        return None
    now = http_date(date)
    return max(0.0, moment - (time.time() if now is None else now))
