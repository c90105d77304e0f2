"""Run the reference server alone until it is stopped; print a target file that is ready to use."""

from __future__ import annotations

import argparse

HELP = "run the reference server alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The reference server's own options."""
    from rolecall.reference.__main__ import add_arguments as of_the_server

    of_the_server(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve; the exit code is the server's."""
    from rolecall.reference.__main__ import run as serve

    return serve(arguments)
