"""What a run says of things that other runs have left on its target: one line, and no verdict."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from rolecall.harness.options import DEFAULT_OUT, Options
from rolecall.ledger import LEDGER, is_at_work
from rolecall.run_folder import begin_of_run
from rolecall.wording import counted

_HOUR = 3600.0


def left_by_others(others: Mapping[str, int], options: Options, now: float) -> str:
    """A sentence on the things of other runs, and the command that deletes them.

    Args:
        others: how many things there are, by the runs' ids.
        now: seconds since 1970.
    """
    ages = {run: now - begin for run in others if (begin := begin_of_run(run)) is not None}
    number = sum(others.values())
    newest, more = max(others), len(others) - 1
    runs = f"run {newest}" + (f" and {counted(more, 'earlier run')}" if more else "")
    were = "thing of {} was" if number == 1 else "things of {} were"
    things = f"{number} {were.format(runs)} there before this one"
    target, folder = shlex.quote(str(options.target or "TARGET")), options.out / newest
    by_age = f"rolecall cleanup --target {target} --older-than"
    if any(age >= 24 * _HOUR for age in ages.values()):
        return f"{things}: {by_age} 24h deletes what is left"
    if is_at_work(folder):
        return f"{things}: it is at work, and deletes them in the end"
    if (folder / LEDGER).is_file():
        run = newest if options.out == DEFAULT_OUT else shlex.quote(str(folder))
        return f"{things}: rolecall cleanup {run} deletes them"
    age = "1h" if ages.get(newest, 0.0) >= _HOUR else "10m"
    return f"{things}: once it is over, {by_age} {age} deletes them"
