"""``load.html``: a load run, or a search for the capacity, on one page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rolecall.report import load_charts, load_denials, load_errors
from rolecall.report.load_charts import milliseconds, number
from rolecall.report.load_frame import STYLE, footer, section, table
from rolecall.report.page import page

_STYLES = {"held": "yes", "failed": "no", "violated": "no"}
_TIMES = ("p50", "p90", "p99", "p99.9", "p99.99", "max")


def write(load: Mapping[str, Any] | None, capacity: Mapping[str, Any] | None = None) -> str:
    """The page of a ``load.json``, a ``capacity.json``, or both; all their text is escaped."""
    parts, data = [], None
    if capacity is not None:
        parts += [_head(capacity, "capacity"), _capacity(capacity)]
    if load is not None:
        times = load_charts.Times(load) if load["timeline"]["second"] else None
        parts += [_head(load, "load"), _load(load, times)]
        data = times.data() if times else None
    first = capacity or load or {}
    title = f"{first.get('scenario', 'load')}: {first.get('target', {}).get('name', '')} - Rolecall"
    parts.append(footer(first))
    return page(title, f"<main>{chr(10).join(parts)}</main>", data, STYLE)


def _head(document: Mapping[str, Any], command: str) -> str:
    verdict, name, address = (
        document["verdict"],
        document["target"]["name"],
        document["target"]["base_url"],
    )
    shown_address = "" if name == address else f"{address} · "
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in document["reasons"])
    return (
        f'<header><div class="small">rolecall {command}</div>'
        f"<h1>{escape(document['scenario'])} against {escape(name)}</h1>"
        f'<p><span class="verdict {escape(verdict)}">{escape(verdict)}</span></p>'
        f'<p class="small">{escape(shown_address + _when(document) + how(document))}</p>'
        + (f'<ul class="reasons {escape(verdict)}-reasons">{reasons}</ul>' if reasons else "")
        + "</header>"
    )


def _load(document: Mapping[str, Any], times: load_charts.Times | None) -> str:
    sections = [
        _cards(document),
        _accounts(document),
        _objectives(document["objectives"]),
        _comparison(document.get("comparison")),
    ]
    if times:
        sections += [
            section("Over time", times.rate() + times.response() + times.trouble()),
            section("Percentiles", load_charts.percentiles(document) + _percentiles(document)),
        ]
    sections += [
        _requests(document),
        load_errors.on_page(document["errors"]),
        _violations(document),
        _advice(document),
        _sampled(document.get("sampled")),
        load_denials.section_of(document.get("denials")),
    ]
    sections.append(_workers(document["workers"]))
    return "\n".join(filter(None, sections))


def _cards(document: Mapping[str, Any]) -> str:
    requests, errors, violations = (
        document["requests"],
        sum(document["errors"].values()),
        sum(document["violations"].values()),
    )
    let_in = requests - document["throttled"]
    cards = [
        (f"{number(document['rate'])}/s", "good answers", ""),
        *((_time(document, name), name, "") for name in ("p50", "p99", "p99.9", "max")),
        (_share(errors, let_in), "errors", "bad" if errors else ""),
        (_share(document["throttled"], requests), "throttled", ""),
        (number(violations), "violations", "bad" if violations else ""),
    ]
    drawn = (
        f'<div class="card {style}"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name, style in cards
    )
    return f'<div class="cards">{"".join(drawn)}</div>'


def _accounts(document: Mapping[str, Any]) -> str:
    """Where every arrival and every request went, and what the generator itself cost."""
    counts = {
        name: f"{document[name]:,}"
        for name in ("scheduled", "sent", "completed", "late", "dropped", "requests")
    }
    own, pauses = sum(document["own_failures"].values()), document["pauses"]
    more = f" {own:,} could not be sent." if own else ""
    more += (
        f" The generator's longest pause: {milliseconds(pauses['longest_ms'])}."
        if pauses["longest_ms"]
        else ""
    )
    open_ = (
        f"{counts['scheduled']} arrivals scheduled, {counts['sent']} sent, {counts['completed']} "
        "completed, "
        f"{counts['late']} late, {counts['dropped']} dropped. "
        f"Dispatch lag: p99 {milliseconds(document['dispatch_lag_ms']['p99'])}, "
        f"max {milliseconds(document['dispatch_lag_ms']['max'])}. "
    )
    said = f"{open_ if document['scheduled'] else ''}{counts['requests']} requests.{more}"
    return f'<p class="small">{escape(said)}</p>'


def _objectives(objectives: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f'<td class="left"><code>{escape(objective["objective"])}</code></td>',
            f"<td>{escape(_observed(objective))}</td>",
            '<td class="yes">&#x2713; held</td>'
            if objective["held"]
            else '<td class="no">&#x2717; did not hold</td>',
        ]
        for objective in objectives
    ]
    return section("Objectives", table(["objective", "observed", "result"], rows)) if rows else ""


def _observed(objective: Mapping[str, Any]) -> str:
    value, unit = objective["observed"], objective["unit"]
    if value is None:
        return "nothing measured"
    if unit == "ms":
        return milliseconds(value)
    return f"{value:.3g} %" if unit == "%" else f"{number(value)}{unit}"


def _comparison(comparison: Mapping[str, Any] | None) -> str:
    if comparison is None:
        return ""
    words = {"better": "yes", "worse": "no", "same": ""}
    lines = [(change["sentence"], words[change["verdict"]]) for change in comparison["measures"]]
    lines += [(reason, "") for reason in comparison["reasons"]]
    held = {True: "yes", False: "no", None: ""}
    lines += [(gate["sentence"], held[gate["held"]]) for gate in comparison.get("gates", ())]
    items = "".join(f'<li class="{style}">{escape(line)}</li>' for line, style in lines)
    head = "" if comparison["comparable"] else "<p>The two runs are not comparable.</p>"
    return section("Against the baseline", f'{head}<ul class="reasons">{items}</ul>')


def _percentiles(document: Mapping[str, Any]) -> str:
    rows = [
        [
            f'<td class="left">{title}</td>',
            *(f"<td>{milliseconds(document[name][column])}</td>" for column in _TIMES),
        ]
        for name, title in (
            ("response_ms", "response time, from when it was due"),
            ("service_ms", "service time, from when it was sent"),
            ("dispatch_lag_ms", "dispatch lag, the generator's own"),
        )
    ]
    return table(["time", *_TIMES], rows)


def _requests(document: Mapping[str, Any]) -> str:
    rows = [
        [
            f'<td class="left"><code>{escape(entry["method"])} {escape(entry["name"])}</code></td>',
            f"<td>{entry['requests']:,}</td>",
            f"<td>{_errors_of(entry)}</td>",
            f"<td>{_share(entry['throttled'], entry['requests'])}</td>",
            *(f"<td>{_time(entry, name)}</td>" for name in ("p50", "p99", "max")),
            f"<td>{milliseconds(entry['service_ms']['p99'])}</td>",
        ]
        for entry in document["entries"]
    ]
    head = ["request", "requests", "errors", "throttled", "p50", "p99", "max", "service p99"]
    return section("Requests", table(head, rows)) if rows else ""


def _errors_of(entry: Mapping[str, Any]) -> str:
    """The share of errors among the requests that were not throttled."""
    return _share(sum(entry["errors"].values()), entry["requests"] - entry["throttled"])


def _violations(document: Mapping[str, Any]) -> str:
    counts = document["violations"]
    if not counts:
        return ""
    rows = [
        [f'<td class="left"><code>{escape(kind)}</code></td>', f"<td>{count:,}</td>"]
        for kind, count in counts.items()
    ]
    samples = (
        f"<details><summary><code>{escape(sample['kind'])}</code> {escape(sample['message'])} "
        f'<span class="small">at {sample["at"]:.1f} s{escape(_requirement(sample))}</span>'
        "</summary>"
        f"<pre>{escape(sample['exchange'])}</pre></details>"
        for sample in document["violation_samples"]
    )
    return section("Violations", table(["kind", "how many"], rows) + "".join(samples))


def _advice(document: Mapping[str, Any]) -> str:
    """What was seen that changes no verdict."""
    kinds = document.get("advice", ())
    samples = (
        f"<details><summary><code>{escape(kind['kind'])}</code> {escape(sample['message'])} "
        f'<span class="small">at {sample["at"]:.1f} s, {escape(kind["requirement"])}</span>'
        f"</summary><pre>{escape(sample['exchange'])}</pre></details>"
        for kind in kinds
        for sample in kind["samples"]
    )
    rows = [
        [
            f'<td class="left"><code>{escape(kind["kind"])}</code></td>',
            f"<td>{kind['count']:,}</td>",
            f'<td class="left">{escape(kind["statement"])}</td>',
        ]
        for kind in kinds
    ]
    if not rows:
        return ""
    head = ["kind", "how many", "what is advised"]
    return section("Advice, which changes no verdict", table(head, rows) + "".join(samples))


def _requirement(sample: Mapping[str, Any]) -> str:
    return f", {sample['requirement']}" if sample.get("requirement") else ""


def _sampled(sampled: Mapping[str, Sequence[str]] | None) -> str:
    """What was tried of the permission table, with expired tokens and log-ins, and what was not."""
    if not sampled or not any(sampled.values()):
        return ""
    untested = "".join(
        f'<p class="no">not tested under load: {escape(what)}</p>'
        for what in sampled.get("not_tested", ())
    )
    titles = {
        "cells": "cells were tried",
        "expired": "with expired tokens",
        "others": "were not tried, or less is known of them",
        "refused": "of the accounts were refused, and never let in: look at their passwords",
    }
    lists = (
        f"<details><summary>{len(sampled[name])} {title}</summary><ul>"
        f"{''.join(f'<li>{escape(cell)}</li>' for cell in sampled[name])}</ul></details>"
        for name, title in titles.items()
        if sampled.get(name)
    )
    return section("Permissions, expiry and log-ins under load", untested + "".join(lists))


def _state_of(worker: Mapping[str, Any]) -> str:
    style = "left no" if worker["state"] == "died" else "left "
    return f'<td class="{style}">{escape(worker["state"])}</td>'


#: What the kernel says of a worker's machine: member and column.
_MACHINE = {"waited": "waited for a core", "machine_busy": "machine busy", "stolen": "steal"}


def _of_the_machine(worker: Mapping[str, Any], name: str) -> str:
    """A share of its machine's time; runs of earlier versions have none."""
    return f"{worker[name]:.0%}" if name in worker else "-"


def _workers(workers: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f'<td class="left">{escape(worker["name"])}</td>',
            _state_of(worker),
            f"<td>{worker['requests']:,}</td>",
            f"<td>{worker['cpu']:.0%}</td>",
            f"<td>{worker.get('cpu_most', worker['cpu']):.0%}</td>",
            *(f"<td>{_of_the_machine(worker, name)}</td>" for name in _MACHINE),
        ]
        for worker in workers
    ]
    return (
        section(
            "Workers",
            table(
                ["worker", "state", "requests", "of a core", "at most", *_MACHINE.values()], rows
            ),
        )
        if rows
        else ""
    )


def _capacity(document: Mapping[str, Any]) -> str:
    found = document["capacity"]
    cards = [("-" if found["rate"] is None else f"{number(found['rate'])}/s", "capacity")]
    if found["low"] is not None and found["high"] is not None:
        confidence = (
            f"{100 * found['confidence']:g} % interval" if "confidence" in found else "interval"
        )
        if document["outcome"] == "unstable":
            confidence = "carried, at the least and at the most"
        cards.append((f"{number(found['low'])} .. {number(found['high'])}/s", confidence))
    if document["knee"]:
        cards.append((f"{number(document['knee']['rate'])}/s", "knee"))
    drawn = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in cards
    )
    objectives = ", ".join(f"<code>{escape(text)}</code>" for text in document["objectives"])
    rows = [
        [
            f'<td class="left">{number(step["rate"])}/s</td>',
            f'<td class="left {_STYLES.get(step["verdict"], "")}">{escape(step["verdict"])}</td>',
            f"<td>{number(step['throughput'])}/s</td>",
            *(
                f"<td>{milliseconds(step[name]) if step[name] else '-'}</td>"
                for name in ("p50_ms", "p99_ms")
            ),
            *(f"<td>{step[name]:,}</td>" for name in ("errors", "throttled", "violations")),
            f'<td class="left why">{escape(step["why"])}</td>',
        ]
        for step in document["steps"]
    ]
    head = ["rate", "verdict", "good", "p50", "p99", "errors", "throttled", "violations", "why"]
    return (
        f'<div class="cards">{drawn}</div><p class="small">The search: '
        f"{escape(document['because'])}."
        + (f" Objectives: {objectives}." if objectives else "")
        + f"</p>{_states(document.get('states', []))}"
        + section("Capacity", load_charts.capacity(document))
        + section("Steps", table(head, rows))
    )


def _states(states: Sequence[Mapping[str, Any]]) -> str:
    """What a server carried, and when, where it did not carry the same all the time."""
    rows = [
        [
            f'<td class="left">{number(state["from"])} .. {number(state["to"])} s</td>',
            f"<td>{'-' if state['rate'] is None else number(state['rate'])}/s</td>",
        ]
        for state in states
    ]
    return section("States", table(["when", "carried"], rows)) if len(rows) > 1 else ""


def _time(counted: Mapping[str, Any], name: str) -> str:
    """A response time of the run, or of one row; throttled requests have none."""
    return (
        milliseconds(counted["response_ms"][name])
        if counted["requests"] > counted["throttled"]
        else "-"
    )


def _share(part: float, of: float) -> str:
    if not part:
        return "0"
    share = 100 * part / of if of else 100.0
    return f"{share:.3g} %" if share >= 0.001 else "<0.001 %"


def _when(document: Mapping[str, Any]) -> str:
    return str(document["started"])[:19].replace("T", " ") + " UTC"


def how(document: Mapping[str, Any]) -> str:
    """The load in words, after what stands before it: so many users, or profile and schedule."""
    if document.get("users"):
        return f" · {document['users']} users · {number(document['duration_s'])} s"
    arrivals = document.get("arrivals")
    if not arrivals:
        return ""
    phases = arrivals["phases"]
    rates = ", ".join(
        f"{_rates(phase['low'], phase['high'])}/s for {number(phase['seconds'])} s"
        for phase in phases[:6]
    )
    profile = f" · profile {document['profile']}" if "profile" in document else ""
    more = ", ..." if len(phases) > 6 else ""
    return f"{profile} · {arrivals['arrivals']} arrivals: {rates}{more}"


def _rates(low: float, high: float) -> str:
    return number(low) if low == high else f"{number(low)}..{number(high)}"
