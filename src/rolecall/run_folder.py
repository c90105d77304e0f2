"""A run's id and its folder."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

from rolecall.errors import UsageError


def new_run_id(started: float) -> str:
    """An id that sorts by time, from seconds since 1970."""
    moment = datetime.fromtimestamp(started, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


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
