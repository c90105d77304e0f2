"""A run's id, its name on the target, and its folder."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from rolecall.errors import UsageError


def new_run_id(started: float) -> str:
    """An id that sorts by time, from seconds since 1970."""
    moment = datetime.fromtimestamp(started, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


#: How the names of all that a run makes begin, also in an e-mail address: its id is in them, and
#: a number that each name has of its own.
#: A target may write it in its own way: in capitals, with other signs in it, or none.
_NAMED = re.compile(
    r"rolecall[\W_]?(\d{8})[\W_]?(\d{6})[\W_]?([0-9a-f]{6})[\W_]?\d+[\W_]?[a-z]", re.IGNORECASE
)


def run_named(text: str) -> str:
    """The id of the run whose name a text begins with; empty where it is no run's."""
    found = _NAMED.match(text)
    return "-".join(found.groups()).lower() if found else ""


def begin_of_run(id: str) -> float | None:
    """When a run began, by its id, in seconds since 1970; None where it is no run's id."""
    try:
        moment = datetime.strptime(id[:15], "%Y%m%d-%H%M%S")  # noqa: DTZ007  # UTC, below
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()


def make_folder(folder: Path) -> Path:
    """Make the folder of a run, for the user alone: what a server says of others is in it.

    Raises:
        UsageError: it cannot be made, or is there already.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise UsageError(
            str(folder),
            f"the run's folder cannot be made: {error.strerror}",
            "Choose another with --out.",
        ) from None
    return folder
