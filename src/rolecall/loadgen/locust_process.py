"""Runs Locust as its own command does, but for its configuration files.

Locust reads ``pyproject.toml``, ``locust.conf`` and ``~/.locust.conf`` before it reads a
locustfile. Whoever types `rolecall load` expects none of them: one in the working directory that is
no TOML, or that has options of another locustfile, ended the run.
"""

from __future__ import annotations

from locust import argument_parser
from locust.main import main

if __name__ == "__main__":
    argument_parser.get_empty_argument_parser.__defaults__ = (True, ())
    argument_parser.get_parser.__defaults__ = ((),)
    main()  # type: ignore[no-untyped-call]  # Locust has no types
