"""What errors show of the inside of a server: it is found, and no text of a target makes the search
long.
"""

from __future__ import annotations

import re
import time

import pytest

from conformance.test_secrecy import INSIDE, ends_of
from rolecall.bounds import SEARCHED

#: What each pattern stands for, as frameworks write it.
SHOWN = {
    "stack-trace": (
        'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in read',
        "Error: no user\n    at Users.read (/srv/users.js:10:7)",
        "caused by UserController.java:81",
    ),
    "query": ("SELECT id FROM users WHERE id = 1", "UPDATE users SET name = 'x'"),
    "database": ("SQLSTATE[23000]", "SequelizeUniqueConstraintError: name", "E11000 duplicate key"),
    "file-path": ("cannot open /var/lib/app/users.db", r"cannot open C:\app\users.db"),
    "internal-host": ("connect ECONNREFUSED 10.0.0.7:5432", "no route to users-db.internal"),
}
_PUMPS = ("\n", " ", "\n ", "x-", "a.", "Sequelize", "SELECT ", 'File "', "\n at ", "10.", "\0")


@pytest.mark.parametrize("what", INSIDE)
def test_it_is_found(what: str) -> None:
    """Each kind is found in words of its own, alone and at the end of a long error."""
    for shown in SHOWN[what]:
        assert re.search(INSIDE[what], shown, re.MULTILINE), shown
        assert re.search(INSIDE[what], ends_of(" " * 2 * SEARCHED + "\n" + shown), re.MULTILINE)


@pytest.mark.parametrize("what", INSIDE)
def test_no_error_takes_long(what: str) -> None:
    """Megabytes that nearly match, of whatever a pattern begins with, are searched at once; they
    once held up a run for half a minute.
    """
    began = time.monotonic()
    for pump in _PUMPS:
        text = ends_of(pump * (8 * SEARCHED // len(pump)))
        assert len(text) <= SEARCHED + 1
        re.search(INSIDE[what], text, re.MULTILINE)

    assert time.monotonic() - began < 20  # a hundred times what it takes
