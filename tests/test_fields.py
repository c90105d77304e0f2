"""Header fields as RFC 9110 has them: lists over several lines, three date formats, waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from rolecall.fields import elements, http_date, seconds_to_wait

#: RFC 9110 5.6.7: one moment in its three formats, and in what else is written.
MOMENT = 784111777.0
DATES = {
    "IMF-fixdate": "Sun, 06 Nov 1994 08:49:37 GMT",
    "RFC 850": "Sunday, 06-Nov-94 08:49:37 GMT",
    "asctime": "Sun Nov  6 08:49:37 1994",
    "with an offset": "Sun, 06 Nov 1994 09:49:37 +0100",
}
#: What no date is.
NO_DATES = (
    "",
    "0",
    "-1",
    "soon",
    "Thu, 32 Foo 2026 25:61:61 GMT",
    "Sun, 06 Nov 99999999999 08:49:37 GMT",
    "9" * 100_000,
)


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("form", DATES)
def test_dates_of_each_form(form: str) -> None:
    """Each of the three formats is the same moment, whatever this machine's time zone."""
    assert http_date(DATES[form]) == MOMENT


@pytest.mark.parametrize("text", NO_DATES, ids=range(len(NO_DATES)))
def test_what_is_no_date(text: str) -> None:
    """Anything else is read as no date, without an error."""
    assert http_date(text) is None


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("form", DATES)
def test_waiting_until_a_date(form: str) -> None:
    """A Retry-After that is a date is one of the clock of the server that sends it, in each of the
    formats.
    """
    assert seconds_to_wait(DATES[form], "Sun, 06 Nov 1994 08:49:30 GMT") == 7
    assert seconds_to_wait(DATES[form], "Sun, 06 Nov 1994 08:50:00 GMT") == 0
    assert seconds_to_wait(DATES[form], "") == 0


@pytest.mark.parametrize(
    ("said", "seconds"), {"0": 0.0, "120": 120.0, " 7 ": 7.0, "0.5": 0.5}.items()
)
def test_waiting_for_seconds(said: str, seconds: float) -> None:
    """A Retry-After that is a number is that many seconds."""
    assert seconds_to_wait(said, "") == seconds


@pytest.mark.parametrize("said", ["", "-5", "nan", "inf", "1e9", "soon", "\u0663", "9" * 400])
def test_waiting_for_nothing(said: str) -> None:
    """A Retry-After that is neither a number of seconds nor a date says nothing."""
    assert seconds_to_wait(said, "") is None


def test_a_list_over_several_lines() -> None:
    """Lines of one name are one list (RFC 9110 5.3), without empty elements, in lower case."""
    assert elements(["No-Store , ,max-age=0", "", "PRIVATE"]) == [
        "no-store",
        "max-age=0",
        "private",
    ]
