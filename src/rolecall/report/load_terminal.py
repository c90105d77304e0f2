"""What a person reads at the end of a load run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rolecall.report import load_denials
from rolecall.report.judged import observed
from rolecall.report.load_errors import meaning
from rolecall.screen import harmless, harmless_document, wrapped

_TIMES = ("p50", "p90", "p99", "p99.9", "max")
#: Those of a narrow terminal, and the columns from which on a terminal is none.
_FEW_TIMES = ("p50", "p99", "max")
_WIDE = 103
_GOOD, _BAD, _UNSURE = "1;32", "1;31", "1;33"
#: The word of a line that has a colour, in the order in which they are looked for.
_COLOURS = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"^verdict       (MET)\b", _GOOD),
        (r"^verdict       (MISSED)\b", _BAD),
        (r"^verdict       (INVALID)\b", _UNSURE),
        (r"^objective     .*: (held)\b", "32"),
        (r"^objective     .*: (NOT held)\b", _BAD),
        (r"^(violation|error) ", _BAD),
        (r"^(not sent|not tested|advice) ", "33"),
        (r"^(?:compared|gate)      .*: (slower|more|carries less)\b", _BAD),
        (r"^(?:compared|gate)      .*: (faster|fewer|carries more)\b", "32"),
        (r"^[ 0-9.,-]+  (held)\b", "32"),
        (r"^[ 0-9.,-]+  (failed|violated)\b", _BAD),
        (r"^[ 0-9.,-]+  (unclear|generator)\b", "33"),
    )
)


def summary(
    document: Mapping[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
    """The whole text: what was sent and how it was answered, what was wrong, and the verdict.

    ``width`` is that of the terminal in columns; without one no line is wrapped.
    """
    clean = harmless_document(document)
    lines = [*_figures(clean), *_wrong(clean)]
    wrong, compared = _violations(document["violation_samples"], width), _compared(clean)
    shown = [
        *_table(clean["entries"], width),
        *wrapped([*lines, *wrong, *_advice(document), *compared], width),
    ]
    last = verdict(document, folder, colour=colour, width=width)
    return "\n".join([*(_painted(line, colour=colour) for line in shown), last])


def verdict(
    document: Mapping[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
    """One line with the verdict, and where the files are."""
    document = harmless_document(document)
    word = str(document["verdict"]).upper()
    about = f"{document['scenario']} on {document['target']['name']}"
    line = (
        f"verdict       {word}: {about}, {document['rate']:,.1f} good answers/s (exit "
        f"{document['exit_code']}); {harmless(folder)}"
    )
    return "\n".join(_painted(piece, colour=colour) for piece in wrapped([line], width))


def capacity(
    document: Mapping[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
    """What a search found: its steps by rate, or as they were taken where the server did not stay
    the same, and the capacity; ``width`` as for `summary`.
    """
    document = harmless_document(document)
    lines = [f"objective     {objective}" for objective in document["objectives"]]
    if knee := document["knee"]:
        lines.append(
            f"knee          {knee['rate']:,.1f}/s: beyond it waiting costs more than it brings"
        )
    if law := document.get("usl"):
        lines.append(
            f"law           {_most(law)}; typically {law['off']:.1%} off what was measured"
        )
    lines += [f"because       {reason}" for reason in document["reasons"]]
    lines += _advice(document)
    shown = [*_steps(document, width), *wrapped(lines, width)]
    last = capacity_verdict(document, folder, colour=colour, width=width)
    return "\n".join([*(_painted(line, colour=colour) for line in shown), last])


def _steps(document: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """The table of a search's steps; the reasons are wrapped in their column."""
    is_wide = width is None or width >= _WIDE
    first, second = (12, 10) if is_wide else (9, 9)
    axis, head = ("concurrency", "users") if document["axis"] == "concurrency" else ("rate", "rate")
    yield (
        f"{head:>{first}}{'answered':>{first}}{'p50 ms':>{second}}{'p99 ms':>{second}}"
        f"{'errors':>{second - 1}}{'429':>7}  verdict"
    )
    steps = (
        document["steps"]
        if document["outcome"] == "unstable"
        else sorted(document["steps"], key=lambda step: float(step[axis]))
    )
    for step in steps:
        times = "".join(
            f"{'-' if step[name] is None else f'{step[name]:,.1f}':>{second}}"
            for name in ("p50_ms", "p99_ms")
        )
        figures = (
            f"{step[axis]:>{first},{'.1f' if axis == 'rate' else ''}}"
            f"{step['throughput']:>{first},.1f}{times}"
            f"{step['errors']:>{second - 1},}{step['throttled']:>7,}  "
        )
        said = f"{step['verdict']}{', ' if step['why'] else ''}{step['why']}"
        left = None if width is None else max(width - len(figures), 20)
        pieces = [said] if left is None else textwrap.wrap(said, left) or [""]
        yield figures + pieces[0]
        yield from (" " * len(figures) + piece for piece in pieces[1:])


def _most(law: Mapping[str, Any]) -> str:
    """What a fitted law says of the most that there is."""
    if law["peak_concurrency"]:
        where = "" if law["peak_measured"] else ", which is beyond what was measured"
        return (
            f"most at {law['peak_concurrency']:,.0f} users, {law['peak_throughput']:,.1f}/s{where}"
        )
    return "no peak" + (f", and never more than {law['bound']:,.1f}/s" if law["bound"] else "")


def capacity_verdict(
    document: Mapping[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
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
    elif found["low"] is not None and found["rate"] is not None:
        rate = f"at least {rate}"
    line = (
        f"verdict       {word}: {about}: {rate} (exit {document['exit_code']}); {harmless(folder)}"
    )
    return "\n".join(_painted(piece, colour=colour) for piece in wrapped([line], width))


def _table(entries: Iterable[Mapping[str, Any]], width: int | None) -> Iterator[str]:
    """The requests by name; a narrow terminal has fewer percentiles."""
    is_wide = width is None or width >= _WIDE
    names = _TIMES if is_wide else _FEW_TIMES
    entries, first = list(entries), 26
    if is_wide:
        longest = max((len(entry["name"]) for entry in entries), default=0)
        first = max(first, min(5 + longest, (width or 2 * _WIDE) - (_WIDE - first)))
    yield (
        f"{'':<{first}}{'requests':>10}{'errors':>9}{'429':>7}"
        + "".join(f"{name if is_wide else f'{name} ms':>9}" for name in names)
        + ("   ms" if is_wide else "")
    )
    for entry in entries:
        # A 429 has no response time.
        times, is_let_in = entry["response_ms"], entry["requests"] > entry["throttled"]
        name = f"{entry['method']:<5}{entry['name']:<{first - 5}}"
        if len(name) > first:  # what follows has a line of its own
            yield name
            name = " " * first
        yield (
            f"{name}{entry['requests']:>10,}"
            f"{sum(entry['errors'].values()):>9,}{entry['throttled']:>7,}"
            + "".join(f"{times[name]:>9,.1f}" if is_let_in else f"{'-':>9}" for name in names)
        )


def _painted(line: str, *, colour: bool) -> str:
    """A line of ours with its word in colour."""
    if not colour:
        return line
    for pattern, code in _COLOURS:
        found = pattern.search(line)
        if found:
            begin, end = found.span(1)
            return f"{line[:begin]}\033[{code}m{line[begin:end]}\033[0m{line[end:]}"
    return line


def _figures(document: Mapping[str, Any]) -> Iterator[str]:
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
    used = ", ".join(
        f"process {worker['name']} used {worker['cpu']:.0%} of a core"
        for worker in document["workers"]
    )
    pause = document["pauses"]["longest_ms"]
    busy = max((worker.get("machine_busy", 0.0) for worker in document["workers"]), default=0.0)
    machine = f"; its machine was {busy:.0%} busy" if busy else ""
    longest = f"longest pause {pause:,.0f} ms"
    yield f"generator     {used or 'CPU time not known'}{machine}; {longest}"


def _first_of(entries: Sequence[str], label: str) -> Iterator[str]:
    """A line for each of the first, and how many more there are."""
    for entry in entries[:_MOST_OTHERS]:
        yield f"{label:<14}{harmless(entry)}"
    if len(entries) > _MOST_OTHERS:
        yield f"{label:<14}{len(entries) - _MOST_OTHERS} more in load.json"


def _wrong(document: Mapping[str, Any]) -> Iterator[str]:
    for kind, count in document["errors"].items():
        about = f": {means}" if (means := meaning(kind)) else ""
        yield f"error         {count:,} x {kind}{about}"
    for kind, count in document["own_failures"].items():
        yield f"not sent      {count:,} x {kind}: this machine's own failures"
    for judged in document["objectives"]:
        yield (
            f"objective     {judged['objective']}: {'held' if judged['held'] else 'NOT held'} "
            f"({observed(judged, 'nothing measured')})"
        )
    sampled = document.get("sampled") or {}
    for what in sampled.get("not_tested", ()):
        yield f"not tested    under load: {what}"
    yield from _first_of(sampled.get("refused", ()), "log-in")
    yield from _first_of(sampled.get("others", ()), "not sampled")
    yield from load_denials.lines(document.get("denials"))
    for reason in document["reasons"]:
        yield f"because       {reason}"


def _violations(samples: Iterable[Mapping[str, Any]], width: int | None) -> Iterator[str]:
    """One violation of each kind, with the first lines of its exchange as they came in; on a
    terminal a word of them, such as a token, is cut where it is wider than the rest of the line.
    """
    room = None if width is None else width - len(_SAMPLE)
    shown: set[str] = set()
    for sample in samples:
        if sample["kind"] not in shown:
            shown.add(sample["kind"])
            clean = harmless_document(sample)
            yield f"violation     {clean['kind']} ({clean['requirement']}): {clean['message']}"
            yield from (
                _SAMPLE + " ".join(_cut(word, room) for word in harmless(line).split(" "))
                for line in sample["exchange"].split("\n")[:_LINES]
            )


def _cut(word: str, room: int | None) -> str:
    return word if room is None or len(word) <= room else f"{word[: room - 3]}..."


def _advice(document: Mapping[str, Any]) -> Iterator[str]:
    """What changes no verdict, a line for each kind and an example."""
    for kind in map(harmless_document, document.get("advice", ())):
        yield (
            f"advice        {kind['kind']} ({kind['requirement']}), {kind['count']:,} times: "
            f"{kind['samples'][0]['message']}; it changes no verdict"
        )


def _compared(document: Mapping[str, Any]) -> Iterator[str]:
    comparison = document.get("comparison")
    if comparison:
        for sentence in comparison["reasons"] or [
            change["sentence"] for change in comparison["measures"]
        ]:
            yield f"compared      {sentence}"
        for gate in comparison.get("gates", ()):
            yield f"gate          {gate['sentence']}"


_MOST_OTHERS = 5  # cells that are not sampled, with the reason
_LINES = 12  # of an exchange; all of it is in load.json and load.html
_SAMPLE = "              | "  # before each of them
