"""Takes the working directory out of Python's path again, where `rolecall load` began the process.

Locust puts it there for users' own locustfiles. A ``token.py`` or ``rolecall.py`` that happens to
lie in it would be run instead of what we import.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def forget_the_working_directory() -> None:
    """Take it out once: as Locust put it in, and not where it is the folder of this module."""
    here = os.getcwd()  # noqa: PTH109  # as Locust writes it
    if here in sys.path and here != str(Path(__file__).parent):
        sys.path.remove(here)


if any(word.startswith("--parent=") for word in sys.argv[1:]):
    forget_the_working_directory()
