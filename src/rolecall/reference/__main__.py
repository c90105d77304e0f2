"""`python -m rolecall.reference`: the server alone."""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
import textwrap

from rolecall.reference.server import Running, serve
from rolecall.reference.settings import (
    SIGNING_KEY_VARIABLE,
    Settings,
    SettingsError,
    passwords_from_environment,
)
from rolecall.reference.target import target_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the server."""
    # Longer than 40 lines because each option is declared in a few.
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--data", metavar="FILE", default=":memory:", help="keep data in FILE (default: in memory)"
    )
    parser.add_argument(
        "--clock", action="store_true", help="let anyone move the server's clock at /__clock"
    )
    parser.add_argument(
        "--dialect",
        choices=("spec", "sdk"),
        default="spec",
        help="answer as the specification or as the vendor's client (default: %(default)s)",
    )
    parser.add_argument(
        "--scrypt-n", type=int, default=2**12, metavar="N", help="cost of a password hash"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="switch on this fault; repeatable",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="switch on this variant; repeatable",
    )
    parser.add_argument("--list-faults", action="store_true", help="print the faults and exit")
    parser.add_argument("--list-variants", action="store_true", help="print the variants and exit")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="stop when the parent process has ended"
    )


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Options and environment as settings."""
    return Settings(
        host=arguments.host,
        port=arguments.port,
        data=arguments.data,
        clock=arguments.clock,
        dialect=arguments.dialect,
        scrypt_n=arguments.scrypt_n,
        signing_key=os.environ.get(SIGNING_KEY_VARIABLE) or None,
        passwords=passwords_from_environment(),
        faults=tuple(arguments.fault),
        variants=tuple(arguments.variant),
    )


def announce(running: Running) -> None:
    """The target file, and a last line that says it is complete."""
    print(target_file(running.server, running.base_url) + "\n# ready", flush=True)


def print_catalogues(arguments: argparse.Namespace) -> None:
    """Print each switch: name, requirement, what it does, the report behind it."""
    if arguments.list_faults:
        from rolecall.reference.faults import FAULTS  # noqa: PLC0415  # as in `apply_switches`

        for fault in FAULTS.values():
            needs = f" (needs {', '.join(fault.needs)})" if fault.needs else ""
            _print_row(fault.name, fault.finding, f"{fault.description}{needs}", fault.report)
    if arguments.list_variants:
        from rolecall.reference.variants import VARIANTS  # noqa: PLC0415  # as in `apply_switches`

        for variant in VARIANTS.values():
            _print_row(variant.name, variant.kind, variant.description, "")


def _print_row(*cells: str) -> None:
    """A row of a catalogue: its cells between tabs; on a terminal in lines that fit."""
    if not sys.stdout.isatty():
        print("\t".join(cells))
        return
    text = "  ".join(filter(None, cells))
    width = shutil.get_terminal_size().columns
    print(textwrap.fill(text, width, subsequent_indent="    ", break_on_hyphens=False))


def run(arguments: argparse.Namespace) -> int:
    """Serve as the options say; the exit code."""
    if arguments.list_faults or arguments.list_variants:
        print_catalogues(arguments)
        return 0
    try:
        serve(settings_from(arguments), announce, arguments.exit_with_parent)
    except (SettingsError, sqlite3.Error) as problem:
        print(f"rolecall serve: {problem}", file=sys.stderr)
        return 2
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="rolecall serve", description="Run the reference server.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
