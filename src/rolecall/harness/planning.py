"""What a run would send: counted in a rehearsal, and put into time by the target's rate limit."""

from __future__ import annotations

import tempfile
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rolecall.errors import RolecallError
from rolecall.evidence import Exchange
from rolecall.harness.entry import run_without_target
from rolecall.harness.options import Options
from rolecall.harness.progress import Progress
from rolecall.harness.rehearsal import assumptions
from rolecall.http.gate import SAFE
from rolecall.pausing import ends_of_pauses
from rolecall.spec.loading import load_specification
from rolecall.target import Account, Target, load_target
from rolecall.tokens import TOKEN_PATH

_ANSWER = 0.05  # seconds that a target is assumed to take for an answer
_PAUSE = 0.2  # seconds; a shorter gap between requests is no pause
_MADE = "(made by the run, or unknown)"


def plan(options: Options, select: str, progress: Progress) -> dict[str, Any]:
    """Count what a run with these options would send, without sending anything to the target.

    The document has ``target``, ``requests``, ``writes`` (unsafe methods but for the token
    endpoint's), ``log_ins`` (by account, with ``granted`` and ``refused``), ``duration_s``,
    ``rate_limit`` (requests per second, 0: none), ``concurrency`` and ``assumptions``.

    Raises:
        UsageError: an option or the target file is wrong, or nothing is selected.
        RolecallError: the rehearsal could not be brought to its end.
        KeyboardInterrupt: there was one.
    """
    roles = load_specification().roles
    target = load_target(options.target, roles) if options.target else None
    with tempfile.TemporaryDirectory(prefix="rolecall-plan-") as folder:
        rehearsed = replace(options, out=Path(folder), rate=None, rehearse=True, no_reports=True)
        words = rehearsed.words() + (["-k", select] if select else [])
        run = run_without_target(words, progress)
    if run.aborted:
        raise RolecallError(f"the rehearsal was broken off: {run.aborted}")
    served = run.context.target
    exchanges = run.context.evidence.exchanges
    rate = options.rate if options.rate is not None else (target or served).rate_limit
    woken = [
        end
        for test in run.context.scheduler.tests.values()
        for end in ends_of_pauses(test.memory.kept)
    ]
    timed = Duration.of(exchanges, woken, rate, served.concurrency)
    return {
        "target": (target or served).name,
        **_counts(exchanges, served),
        "duration_s": round(timed.seconds, 1),
        "rate_limit": rate,
        "concurrency": served.concurrency,
        "assumptions": [*(assumptions(target, roles) if target else ()), timed.assumption],
    }


def _counts(exchanges: Iterable[Exchange], target: Target) -> dict[str, Any]:
    sent = [exchange for exchange in exchanges for _ in range(exchange.attempts)]
    unsafe = [exchange for exchange in sent if exchange.method not in SAFE]
    return {
        "requests": len(sent),
        "writes": sum(_path(exchange) != TOKEN_PATH for exchange in unsafe),
        "log_ins": log_ins(unsafe, target.accounts.values()),
    }


def log_ins(
    exchanges: Iterable[Exchange], accounts: Iterable[Account]
) -> dict[str, dict[str, int]]:
    """How many log-ins of each account were ``granted`` and ``refused``; those of users that the
    run makes, and with addresses of nobody, are counted together.
    """
    names = {account.email.lower().encode(): account.name for account in accounts}
    found = {name: {"granted": 0, "refused": 0} for name in (*names.values(), _MADE)}
    for exchange in exchanges:
        body = exchange.request_body.lower()
        if _path(exchange) == TOKEN_PATH and b'"password"' in body:
            name = next((name for email, name in names.items() if email in body), _MADE)
            found[name]["granted" if exchange.ok else "refused"] += 1
    return found


def _path(exchange: Exchange) -> str:
    return urlsplit(exchange.url).path


@dataclass(frozen=True)
class Duration:
    """How long a run takes: ``seconds``, and in words on what ``assumption``."""

    seconds: float
    assumption: str

    @classmethod
    def of(
        cls, exchanges: Sequence[Exchange], woken: Sequence[float], rate: float, concurrency: int
    ) -> Duration:
        """The duration of a run with these exchanges; ``woken`` are the ends of its tests' pauses
        (monotonic seconds).
        """
        count = sum(exchange.attempts for exchange in exchanges)
        pauses = _pauses(exchanges, sorted(woken))
        answers = f"the target answers within {_ANSWER * 1000:.0f} ms"
        if rate:
            # A request keeps a permit of the rate until a second after its answer (http/pacing.py).
            permits, kept = max(1, int(rate)), max(1.0, 1 / rate) + _ANSWER
            return cls(count * kept / permits + pauses, answers)
        seconds = count * _ANSWER / concurrency + pauses
        return cls(seconds, f"{answers}, and {concurrency} requests are always in flight")


def _pauses(exchanges: Iterable[Exchange], woken: Sequence[float]) -> float:
    """Seconds in which no request was in flight since a test let time pass."""
    pauses = busy_until = 0.0
    for exchange in sorted(exchanges, key=lambda exchange: exchange.started):
        gap = exchange.started - busy_until
        has_paused = bisect(woken, exchange.started) > bisect(woken, busy_until)
        if busy_until and gap > _PAUSE and has_paused:
            pauses += gap
        busy_until = max(busy_until, exchange.finished)
    return pauses
