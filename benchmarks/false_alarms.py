"""Counts false alarms on lawful servers, and faults that are found on them, in every scenario.

Run it with ``python benchmarks/false_alarms.py --runs 20``; ``--only`` chooses servers,
``--scenario`` scenarios. Each server is ``rolecall serve`` with legal variants, or with trouble:
one session for each user, old access tokens that a refresh revokes, answers that are lost after the
work was done, tokens that live for three seconds, and all of that together. The runs are short and
slow, since what counts is not how many requests there are but how they meet. They take turns: a
schedule of bursts and a closed loop, the four accounts of the server's own, of which several
clients have to share one, and forty. ``--faults`` adds a fault to the server: then each run has to
find it.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402  # gevent comes first
import os  # noqa: E402
import secrets  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from time import perf_counter  # noqa: E402

import gevent  # noqa: E402

from rolecall.loadgen.accounts import LoadAccount, from_target  # noqa: E402
from rolecall.loadgen.checks.expired import ExpiredTokens  # noqa: E402
from rolecall.loadgen.client_context import ClientContext  # noqa: E402
from rolecall.loadgen.measure.recorder import Recorder  # noqa: E402
from rolecall.loadgen.open_loop import OpenLoop  # noqa: E402
from rolecall.loadgen.provisioning import make_users  # noqa: E402
from rolecall.loadgen.scenario import Scenario  # noqa: E402
from rolecall.loadgen.scenarios import NAMES, USUAL_WEIGHTS, maker  # noqa: E402
from rolecall.loadgen.transport.outgoing import Origin  # noqa: E402
from rolecall.selftest.cases import TRYING  # noqa: E402
from rolecall.spec.loading import load_specification  # noqa: E402
from rolecall.target import Target, load_target  # noqa: E402

#: Variants of the server by a name; the fault that is added comes last.
SERVERS = {
    "plain": (),
    "lone": ("lone-sessions",),
    "revoked": ("refresh-revokes-access-tokens",),
    "lost": ("lost-answers",),
    "short": ("short-lifetimes",),
    "all": TRYING,
    "any-order": ("lone-sessions", "refresh-revokes-access-tokens", "answers-in-any-order"),
    "few": ("few-sessions", "answers-in-any-order"),
    "theft": ("reuse-ends-all-sessions",),
    "grace": ("refresh-grace-window", "refresh-revokes-access-tokens", "lost-answers"),
    "reusable": (
        "refresh-tokens-reusable",
        "refresh-revokes-access-tokens",
        "lone-sessions",
        "answers-in-any-order",
    ),
    "failed": ("failed-answers", "lone-sessions", "refresh-revokes-access-tokens"),
    "no-jti": ("no-jti", "lone-sessions", "lost-answers"),
}
#: Faults that only load shows, with the scenario, and the arrivals a second, that show them.
FAULTS = {
    "permissions-open-when-busy": ("guarded", 0),
    "expired-let-in-when-busy": ("guarded", 0),
    "one-token-in-300-of-another-user": ("issuance", 150),
    "refresh-tokens-run-out": ("refresh-get", 250),
    "race-kills-both-winners": ("refresh-race", 20),
    "race-gives-another-users-token": ("refresh-race", 50),
}
RATE, USERS, BUSY = 60, 10, 60
#: Arrivals that come at once, so that as many clients take part; then others are idle for a while.
TOGETHER, FEW = 15, 2
IDLE = 3.5  # seconds, longer than short lives last
MANY = 40  # accounts
_LONE = {"lone-sessions"}


@contextmanager
def served(folder: Path, variants: Sequence[str], fault: str) -> Iterator[Target]:
    """The reference server with these variants, and a fault."""
    options = [f"--variant={name}" for name in variants] + ([f"--fault={fault}"] if fault else [])
    command = [
        sys.executable,
        "-m",
        "rolecall",
        "serve",
        "--port=0",
        "--scrypt-n=16",
        "--exit-with-parent",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            lines = []
            for line in server.stdout:
                lines.append(line)
                if line.strip() == "# ready":
                    break
            file = folder / "target.toml"
            file.touch(mode=0o600)
            file.write_text("".join(lines), encoding="utf-8")
            yield load_target(file, load_specification().roles)
        finally:
            server.terminate()


def context_of(target: Target, accounts: Sequence[LoadAccount], *, lone: bool) -> ClientContext:
    """What the clients of a run share."""
    tables = load_specification()
    dialect = tables.dialect(target.dialect, target.source)
    spec = tables.for_target(target.operations, dialect, target.source)
    expired = ExpiredTokens(target.expiry, target.base_url)
    return ClientContext(
        Origin.of(target.base_url),
        spec,
        dialect,
        accounts,
        timeout=5,
        sessions_coexist=not lone,
        expired=expired,
    )


def run(context: ClientContext, scenario: str, seconds: float, rate: float, users: int) -> None:
    """One run: at a rate, or in a closed loop of so many users where there is none."""
    context.begin(Recorder(perf_counter()))
    make = maker(scenario, context, USUAL_WEIGHTS)
    if rate:
        open_loop = OpenLoop(make, most=200, patience=10)
        open_loop.provide(max(8, int(rate / 4)))
        context.begin(Recorder(perf_counter()))
        open_loop.run(context.recorder, bursts(rate, seconds), grace=10)
        open_loop.close()
        return
    if scenario == "guarded":
        _ = context.sampling  # it takes a while until it is known which cells are tried
    until = perf_counter() + seconds

    def work() -> None:
        client: Scenario = make()
        client.prepare()
        while perf_counter() < until:
            client.step(perf_counter())
            gevent.sleep(0.002)
        client.close()

    gevent.joinall([gevent.spawn(work) for _ in range(users)], raise_error=True)


def bursts(rate: float, seconds: float) -> Iterator[float]:
    """When arrivals are due: many at once for half a second, and then few for as long as it takes
    until the others' tokens are old.
    """
    now = 0.0
    while now < seconds:
        several = TOGETHER if now % (IDLE + 0.5) < 0.5 else FEW
        yield from [now] * several
        now += several / rate


def runs(name: str, chosen: Sequence[str], options: argparse.Namespace, fault: str = "") -> int:
    """All runs at one server; how many were not as they should be."""
    variants, wrong = SERVERS[name], 0
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), variants, fault) as target:
        accounts = {4: from_target(target)}
        for _ in range(3):
            if MANY not in accounts:
                accounts[MANY] = make_users(target, MANY)
        for scenario in chosen:
            found: Counter[str] = Counter()
            errors: Counter[str] = Counter()
            rows: Counter[str] = Counter()
            bad = 0
            for number in range(options.runs):
                few, is_open = number % 2 == 0, number // 2 % 2 == number % 2
                context = context_of(
                    target,
                    accounts[4 if few and not fault else MANY],
                    lone=bool(_LONE & set(variants)),
                )
                rate, users = (RATE, 0) if is_open else (0, USERS)
                if fault:
                    rate, users = FAULTS[fault][1], BUSY
                lasting = IDLE + 1 if "short-lifetimes" in variants else 0
                run(context, scenario, max(options.seconds, lasting), rate, users)
                measured = context.recorder.take()
                context.tidy()
                bad += bool(context.violations.counts) is not bool(fault)
                found.update(context.violations.counts)
                count(measured, errors, rows)
                for sample in context.violations.samples if options.show and not fault else ():
                    print(sample.message, sample.exchange, sep="\n")
            wrong += bad
            print(
                f"{name:<10}{scenario:<14}{fault:<34}{options.runs - bad:>3} of {options.runs} as "
                "it should be  "
                f"{dict(found)}  {dict(rows)}  errors {dict(errors)}",
                flush=True,
            )
    return wrong


def count(measured: dict[str, object], errors: Counter[str], rows: Counter[str]) -> None:
    """Add what a run measured: requests, those that the end of a session explains, and errors."""
    from rolecall.loadgen.measure.totals import Totals  # noqa: PLC0415

    totals = Totals()
    totals.merge("one", measured)
    document = totals.document()
    errors.update(document["errors"])
    rows["requests"] += document["requests"]
    rows["session ended"] += sum(
        entry["requests"] for entry in document["entries"] if "session ended" in entry["name"]
    )


def main() -> None:
    """Run, and say what was found; 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=20,
        help="of each scenario at each server (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of a run (default: %(default)s)"
    )
    parser.add_argument("--only", action="append", choices=SERVERS, help="servers; repeatable")
    parser.add_argument("--scenario", action="append", choices=NAMES, help="scenarios; repeatable")
    parser.add_argument(
        "--faults", action="store_true", help="add the faults that only load shows, one at a time"
    )
    parser.add_argument("--show", action="store_true", help="print the exchanges of violations")
    options = parser.parse_args()
    # the servers', so that there are expired tokens
    os.environ.setdefault("ROLECALL_SIGNING_KEY", secrets.token_urlsafe(48))
    wrong = 0
    for name in options.only or SERVERS:
        if options.faults:
            wrong += sum(
                runs(name, [scenario], options, fault) for fault, (scenario, _) in FAULTS.items()
            )
        else:
            wrong += runs(name, options.scenario or NAMES, options)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
