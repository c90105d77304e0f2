"""Test the suite itself against every fault and legal variant of the reference server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rolecall.errors import ExitCode, UsageError, suggest
from rolecall.screen import say, width_of

if TYPE_CHECKING:
    from rolecall.selftest.cases import Case
    from rolecall.selftest.trials import Result

T = TypeVar("T")
HELP = "run the suite against every fault and every legal variant; print the kill table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a self-test."""
    # Longer than 40 lines because each option is declared in a few.
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="only the baseline and N of the others, evenly spread",
    )
    what.add_argument(
        "--fault", action="append", metavar="NAME", help="only this fault or variant; repeatable"
    )
    parser.add_argument(
        "--mutations",
        action="store_true",
        help="break the suite instead, in every way there is: each must be seen",
    )
    what.add_argument(
        "--mutation",
        action="append",
        metavar="NAME",
        help="only this mutation of the suite; repeatable",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=("api-keys", "clock-and-key"),
        metavar="WHAT",
        help="say also which faults are caught without API keys (api-keys), or without clock and "
        "signing key (clock-and-key)",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="run all of the suite against each fault, also where a part of it has found it",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the table there (docs/kill-table.md, docs/mutations.md)",
    )
    where.add_argument(
        "--update",
        type=Path,
        metavar="FILE",
        help="put the rows of what was run into a table that was written before",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the table as JSON and nothing else"
    )
    parser.add_argument("--quiet", action="store_true", help="print the counts and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Run the cases; exit code 1 if one is not as expected: what it breaks has to be the first
    finding, and where nothing is broken there has to be none.

    Raises:
        UsageError: the fault, variant or mutation is unknown.
    """
    # Longer than 40 lines because it is the whole of a self-test, step by step.
    if arguments.mutations or arguments.mutation:
        return _run_mutations(arguments)
    from rolecall.loadgen import missing
    from rolecall.report import kill_table, updated_page
    from rolecall.selftest import cases as catalogue
    from rolecall.selftest import running

    everything = catalogue.cases()
    chosen = _chosen(arguments, everything)
    absent = missing()
    unloaded = [case.name for case in chosen if case.load and absent]
    chosen = [case for case in chosen if case.name not in unloaded]
    loud, width = not (arguments.json or arguments.quiet), width_of(sys.stdout)
    if loud:
        say(kill_table.header(width))
    results = running.run_all(
        chosen,
        lambda result: say(kill_table.line(result.document(), width)) if loud else None,
        whole=arguments.whole,
    )
    unexplained = _look_without(arguments.without, results, loud)
    counts = running.tally(results)
    documents = [result.document() for result in results]
    if arguments.json:
        say(running.to_json(results))
    else:
        say(kill_table.summary(counts), wraps=True)
        for line in kill_table.summary_without(documents):
            say(line, wraps=True)
        if unloaded:
            say(
                f"not run, since {' and '.join(absent)} is not installed (the extra load): "
                f"{', '.join(unloaded)}"
            )
    table = kill_table.write(documents, counts)
    _keep(arguments, table, updated_page.updated_kill_table, [case.name for case in everything])
    good = all(result.as_expected for result in results) and not unexplained
    return int(ExitCode.CONFORMANT if good else ExitCode.FAILED)


def _chosen(arguments: argparse.Namespace, everything: list[Case]) -> list[Case]:
    """The cases that the options choose.

    Raises:
        UsageError: a name is unknown, or the sample is too small.
    """
    from rolecall.selftest import cases as catalogue

    if arguments.sample is not None:
        _check_sample(arguments.sample)
        return catalogue.sample(everything, arguments.sample)
    if arguments.fault:
        known = {case.name: case for case in everything}
        return _named("--fault", arguments.fault, known, "not a fault and not a variant")
    return everything


def _keep(
    arguments: argparse.Namespace,
    table: str,
    updated: Callable[[str, str, Sequence[str]], str],
    order: list[str],
) -> None:
    """Write the table, or put its rows into the one that is there.

    Raises:
        UsageError: the table to update is missing, or cannot take the rows.
    """
    file = arguments.write or arguments.update
    if arguments.update:
        try:
            table = updated(arguments.update.read_text(encoding="utf-8"), table, order)
        except (OSError, ValueError) as error:
            raise UsageError("--update", f"{arguments.update} was not changed: {error}") from None
    if file:
        file.write_text(table, encoding="utf-8")
        say(f"written: {file}", stream=sys.stderr)


def _look_without(names: Iterable[str], results: list[Result], loud: bool) -> int:
    """Run each fault again without each of these; count those that go unnoticed for no reason."""
    from rolecall.report import kill_table
    from rolecall.selftest import without

    unexplained = 0
    for name in dict.fromkeys(names):
        if loud:
            say(f"\n{kill_table.title_without(name)}")
        without.look(
            without.LACKS[name],
            results,
            partial(_say_without, name) if loud else lambda result: None,
        )
        said = [result.without[name] for result in results if name in result.without]
        unexplained += sum(not without.is_explained(words) for words in said)
    return unexplained


def _say_without(name: str, result: Result) -> None:
    from rolecall.report import kill_table

    say(kill_table.line_without(result.document(), name, width_of(sys.stdout)))


def _check_sample(size: int) -> None:
    if size < 1:
        raise UsageError("--sample", "at least one case must be run")


def _named(option: str, names: Iterable[str], known: Mapping[str, T], what: str) -> list[T]:
    """What these names stand for.

    Raises:
        UsageError: a name is unknown.
    """
    chosen = []
    for name in names:
        if name not in known:
            raise UsageError(option, f"{name!r} is {what}", suggest(name, known))
        chosen.append(known[name])
    return chosen


def _run_mutations(arguments: argparse.Namespace) -> int:
    """Run mutations of the suite; exit code 1 if one of them goes unnoticed.

    Raises:
        UsageError: the mutation is unknown.
    """
    from rolecall.report import mutation_table, updated_page
    from rolecall.selftest import cases as catalogue
    from rolecall.selftest import mutation_run, mutations

    if arguments.fault:
        raise UsageError(
            "--fault",
            "faults and variants are chosen without --mutations",
            "Choose mutations with --mutation.",
        )
    known = mutations.catalogue()
    chosen = list(known.values())
    if arguments.sample is not None:
        _check_sample(arguments.sample)
        chosen = mutation_run.sample(arguments.sample)
    if arguments.mutation:
        chosen = _named("--mutation", arguments.mutation, known, "not a mutation")
    loud, width = not (arguments.json or arguments.quiet), width_of(sys.stdout)
    if loud:
        say(mutation_table.header(width))
    killed = mutation_run.run(
        chosen,
        catalogue.cases(),
        lambda kill: say(mutation_table.line(kill.document(), width)) if loud else None,
    )
    rows = [kill.document() for kill in killed]
    if arguments.json:
        say(json.dumps({"mutations": rows}, indent=1))
    else:
        say(mutation_table.summary(rows), wraps=True)
    order = [mutation.requirement or name for name, mutation in known.items()]
    _keep(arguments, mutation_table.write(rows), updated_page.updated_mutations, order)
    return int(ExitCode.CONFORMANT if all(row["killed"] for row in rows) else ExitCode.FAILED)
