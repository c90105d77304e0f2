"""Check the certificate of a finished run: its signature, its files, and what they prove."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolecall.commands import add_run, say_document
from rolecall.errors import ExitCode, UsageError
from rolecall.screen import harmless, harmless_document, say
from rolecall.wording import counted

if TYPE_CHECKING:
    from rolecall.verification.checking import Checked

HELP = "check the certificate of a finished run"
_MOST = 20  # faults that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and whose signature it must have."""
    add_run(parser, "run_folder")
    parser.add_argument(
        "--key",
        type=Path,
        metavar="PUB",
        help="public key that must have signed; get it from whoever signs, not from the folder",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print a JSON object and nothing else")
    how.add_argument("--quiet", action="store_true", help="print one line and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Check a folder; 0 where all is as certified, 1 where it is not, 3 where it cannot be known.

    Raises:
        UsageError: there is no such folder, no run in it, or the key is none.
    """
    from rolecall.signing import public_key
    from rolecall.spec.loading import load_specification
    from rolecall.verification import checking, folder

    key = public_key(arguments.key) if arguments.key else None
    found = folder.read(arguments.run_folder)
    if not found.files:
        raise UsageError(
            str(arguments.run_folder),
            "this is not the folder of a run of rolecall certify",
            "It has none of results.json, evidence.har and certificate.json.",
        )
    checked = checking.check(found.files, key, load_specification())
    checked.faults += found.faults
    code = _exit_code(checked)
    if arguments.json:
        say_document(_document(checked, found.others, code))
    elif arguments.quiet:
        say(_last_line(checked, code), wraps=True)
    else:
        lines = [*_lines(checked, found.others), _last_line(checked, code)]
        say("\n".join(lines), wraps=True)
    return int(code)


def _exit_code(checked: Checked) -> ExitCode:
    if checked.faults:
        return ExitCode.FAILED
    return ExitCode.INCONCLUSIVE if checked.open else ExitCode.CONFORMANT


def _document(checked: Checked, others: list[str], code: ExitCode) -> dict[str, Any]:
    return {
        "valid": code is ExitCode.CONFORMANT,
        "exit_code": int(code),
        "signature": checked.signature,
        "keys": checked.key_ids,
        "faults": checked.faults,
        "open": checked.open,
        "not_checked": others,
        "statement": checked.statement,
    }


def _lines(checked: Checked, others: list[str]) -> list[str]:
    """What the certificate says, and what is wrong with it."""
    lines = [] if checked.faults or not checked.statement else _said(checked.statement)
    lines += [f"fault         {fault}" for fault in checked.faults[:_MOST]]
    if len(checked.faults) > _MOST:
        lines.append(f"... and {len(checked.faults) - _MOST} more; --json prints them all")
    lines += [f"open          {reason}" for reason in checked.open]
    if others:
        lines.append(f"not checked   {', '.join(others)}: not part of the certificate")
    return lines


def _said(statement: dict[str, Any]) -> list[str]:
    """The certificate in words."""
    statement = harmless_document(statement)
    predicate = statement["predicate"]
    ours, configuration = predicate["rolecall"], predicate["configuration"]
    required, executed = ours["required"], ours["executed"]
    program, *tables, kills = configuration
    proven = (
        f"{len(executed['requirements'])} of {len(required['requirements'])} requirements, "
        f"{len(executed['cells'])} of {len(required['cells'])} cells; expiry by evidence of grade "
        f"{ours['expiry_evidence'] or 'none'}"
    )
    strength = (
        "{caught} of {faults} known faults caught, {false_alarms} false alarms on {innocent} "
        "innocent servers"
    ).format(**kills["annotations"])
    return [
        f"target        {ours['target']['name']} at {ours['target']['base_url']}",
        f"run           {ours['run']}, {ours['requests']} requests, finished {ours['finished']}",
        f"proven        {proven}",
        *_not_applicable(predicate),
        f"suite         {program['uri']} {_short(program)}{_build(program)}",
        *(f"table         {table['name']} {_short(table)}" for table in tables),
        f"strength      {strength} ({_short(kills)})",
        *(
            f"reading       {name} = {value} (not the default)"
            for name, value in ours["dialect"]["departures"].items()
        ),
        *(f"waiver        {json.dumps(waiver)}" for waiver in ours["waivers"]),
        *(f"note          {note}" for note in ours["notes"]),
    ]


def _not_applicable(predicate: dict[str, Any]) -> list[str]:
    """The line on what was carried out and had nothing to prove at this target, if there is any."""
    said = {*predicate["passedTests"], *predicate["warnedTests"]}
    names = [n for n in predicate["rolecall"]["executed"]["requirements"] if n not in said]
    return [f"inapplicable  {counted(len(names), 'requirement')}: {', '.join(names)}"] * bool(names)


def _build(program: dict[str, Any]) -> str:
    """A remark where the run was made with other files than those that check it."""
    from rolecall.suite_identity import package_digest

    is_this = program["digest"]["dirHash"] == package_digest()
    return "" if is_this else " (another build than the one that checks it)"


def _short(resource: dict[str, Any]) -> str:
    """A digest as people compare it at a glance; --json has the whole."""
    ((kind, digest),) = resource["digest"].items()
    return f"{kind}:{digest[:16]}"


def _last_line(checked: Checked, code: ExitCode) -> str:
    """The result in one line."""
    if code is ExitCode.FAILED:
        more = f" and {len(checked.faults) - 1} more" if len(checked.faults) > 1 else ""
        return f"verify        NOT VALID: {harmless(checked.faults[0])}{more} (exit {int(code)})"
    if code is ExitCode.INCONCLUSIVE:
        return f"verify        NOT KNOWN: {harmless(checked.open[0])} (exit {int(code)})"
    said = {
        "good": f"signed by the given key {', '.join(map(harmless, checked.key_ids))}",
        "unchecked": "sealed; there is a signature, and without --key it is not checked",
        "none": "sealed, not signed: whoever has the folder could seal it again",
    }
    return f"verify        VALID: {said[checked.signature]} (exit {int(code)})"
