"""What a person reads at the end of a load run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rolecall.screen import harmless, harmless_document

_TIMES = ("p50", "p90", "p99", "p99.9", "max")


def summary(document: Mapping[str, Any], folder: str) -> str:
    """The whole text: what was sent and how it was answered, what was wrong, and the verdict."""
    clean = harmless_document(document)
    wrong = (*_wrong(clean), *_violations(document["violation_samples"]))
    return "\n".join([*_figures(clean), *wrong, *_compared(clean), verdict(document, folder)])


def verdict(document: Mapping[str, Any], folder: str) -> str:
    """One line with the verdict, and where the files are."""
    document = harmless_document(document)
    word = str(document["verdict"]).upper()
    about = f"{document['scenario']} on {document['target']['name']}"
    return (
        f"verdict       {word}: {about}, {document['rate']:,.1f} good answers/s (exit "
        f"{document['exit_code']}); {harmless(folder)}"
    )


def capacity(document: Mapping[str, Any], folder: str) -> str:
    """What a search found: its steps by rate, or as they were taken where the server did not stay
    the same, and the capacity.
    """
    document = harmless_document(document)
    axis, head = ("concurrency", "users") if document["axis"] == "concurrency" else ("rate", "rate")
    lines = [
        f"{head:>12}{'answered':>12}{'p50 ms':>10}{'p99 ms':>10}{'errors':>9}{'429':>7}  verdict"
    ]
    steps = (
        document["steps"]
        if document["outcome"] == "unstable"
        else sorted(document["steps"], key=lambda step: float(step[axis]))
    )
    for step in steps:
        times = "".join(
            f"{'-' if step[name] is None else f'{step[name]:,.1f}':>10}"
            for name in ("p50_ms", "p99_ms")
        )
        lines.append(
            f"{step[axis]:>12,{'.1f' if axis == 'rate' else ''}}{step['throughput']:>12,.1f}"
            f"{times}{step['errors']:>9,}{step['throttled']:>7,}"
            f"  {step['verdict']}{', ' if step['why'] else ''}{step['why']}"
        )
    lines += [f"objective     {objective}" for objective in document["objectives"]]
    if knee := document["knee"]:
        lines.append(
            f"knee          {knee['rate']:,.1f}/s: beyond it waiting costs more than it brings"
        )
    if law := document.get("usl"):
        lines.append(
            f"law           {_most(law)}; typically {law['off']:.1%} off what was measured"
        )
    lines += [f"because       {reason}" for reason in document["reasons"]]
    return "\n".join([*lines, capacity_verdict(document, folder)])


def _most(law: Mapping[str, Any]) -> str:
    """What a fitted law says of the most that there is."""
    if law["peak_concurrency"]:
        where = "" if law["peak_measured"] else ", which is beyond what was measured"
        return (
            f"most at {law['peak_concurrency']:,.0f} users, {law['peak_throughput']:,.1f}/s{where}"
        )
    return "no peak" + (f", and never more than {law['bound']:,.1f}/s" if law["bound"] else "")


def capacity_verdict(document: Mapping[str, Any], folder: str) -> str:
    """One line with the capacity, and where the files are."""
    document = harmless_document(document)
    found = document["capacity"]
    word, about = (
        str(document["verdict"]).upper(),
        f"{document['scenario']} on {document['target']['name']}",
    )
    rate = "no capacity is known" if found["rate"] is None else f"{found['rate']:,.1f}/s"
    if found["low"] is not None and found["high"] is not None:
        span = f"{found['low']:,.1f} to {found['high']:,.1f}"
        rate = f"unstable, {span}/s" if document["outcome"] == "unstable" else f"{rate} ({span})"
    return (
        f"verdict       {word}: {about}: {rate} (exit {document['exit_code']}); {harmless(folder)}"
    )


def _figures(document: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{'':<26}{'requests':>10}{'errors':>9}{'429':>7}"
        + "".join(f"{name:>9}" for name in _TIMES)
        + "   ms"
    )
    for entry in document["entries"]:
        # A 429 has no response time.
        times, is_let_in = entry["response_ms"], entry["requests"] > entry["throttled"]
        yield (
            f"{entry['method']:<5}{entry['name']:<21}{entry['requests']:>10,}"
            f"{sum(entry['errors'].values()):>9,}{entry['throttled']:>7,}"
            + "".join(f"{times[name]:>9,.1f}" if is_let_in else f"{'-':>9}" for name in _TIMES)
        )
    if document["arrivals"]:
        lag = document["dispatch_lag_ms"]["p99"]
        yield (
            f"arrivals      {document['scheduled']:,} scheduled, {document['sent']:,} sent, "
            f"{document['completed']:,} completed,"
            f" {document['late']:,} late, {document['dropped']:,} dropped; dispatch lag p99 "
            f"{lag:.1f} ms"
        )
    if accounts := document.get("accounts"):
        yield f"accounts      {accounts['used']:,} of {accounts['given']:,} took part"
    cpu = ", ".join(f"{worker['name']} {worker['cpu']:.0%}" for worker in document["workers"])
    pause = document["pauses"]["longest_ms"]
    busy = max((worker.get("machine_busy", 0.0) for worker in document["workers"]), default=0.0)
    machine = f"; machine {busy:.0%} busy" if busy else ""
    yield f"generator     CPU {cpu or 'not known'}{machine}; longest pause {pause:,.0f} ms"


def _wrong(document: Mapping[str, Any]) -> Iterator[str]:
    for kind, count in document["errors"].items():
        yield f"error         {count:,} x {kind}"
    for kind, count in document["own_failures"].items():
        yield f"not sent      {count:,} x {kind}: this machine's own failures"
    for judged in document["objectives"]:
        observed = (
            "nothing measured"
            if judged["observed"] is None
            else f"{judged['observed']:.4g} {judged['unit']}".rstrip()
        )
        yield (
            f"objective     {judged['objective']}: {'held' if judged['held'] else 'NOT held'} "
            f"({observed})"
        )
    for what in (document.get("sampled") or {}).get("not_tested", ()):
        yield f"not tested    under load: {what}"
    for reason in document["reasons"]:
        yield f"because       {reason}"


def _violations(samples: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One violation of each kind, with the first lines of its exchange as they came in."""
    shown: set[str] = set()
    for sample in samples:
        if sample["kind"] not in shown:
            shown.add(sample["kind"])
            clean = harmless_document(sample)
            yield f"violation     {clean['kind']} ({clean['requirement']}): {clean['message']}"
            yield from (
                f"              | {harmless(line)}"
                for line in sample["exchange"].split("\n")[:_LINES]
            )


def _compared(document: Mapping[str, Any]) -> Iterator[str]:
    comparison = document.get("comparison")
    if comparison:
        for sentence in comparison["reasons"] or [
            change["sentence"] for change in comparison["measures"]
        ]:
            yield f"compared      {sentence}"


_LINES = 12  # of an exchange; all of it is in load.json and load.html
