"""What ``--help`` says of each command below its options: examples, exit codes, and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: What the exit codes of a run mean; a command names those that it can end with.
_MEANING = {
    0: "conformant, or all of a selected part passed",
    1: "a requirement failed",
    2: "usage or configuration: the message says where",
    3: "inconclusive: something was not proven",
    4: "the target was not reached",
    5: "a waiver is stale or has expired",
    6: "Rolecall itself broke",
    7: "things were left behind on the target",
    8: "a secret would have leaked into a report, and was masked",
    130: "interrupted",
}
_DONE = {0: "done", 2: _MEANING[2]}
_NOT_WRITTEN = {6: "a file could not be written"}


@dataclass(frozen=True)
class HelpText:
    """``examples`` are command lines without the program's name, ``codes`` exit codes in words."""

    examples: tuple[str, ...]
    codes: Mapping[int, str]
    page: str


def _run(codes: Mapping[int, str], *more: int) -> dict[int, str]:
    """The codes of a command that sends requests: its own words, and ours for the others."""
    numbers = sorted({*codes, 2, 4, 6, 7, 130, *more})
    return {number: codes.get(number, _MEANING[number]) for number in numbers}


_LOAD = {
    0: "every objective held",
    1: "one did not, or an answer was wrong",
    3: "invalid: the run proves nothing, and says why",
}

TEXTS: Mapping[str, HelpText] = {
    "init": HelpText(
        ("init staging.toml", "init staging.toml --base-url https://staging.example.org"),
        _DONE | _NOT_WRITTEN,
        "docs/target-file.md",
    ),
    "check": HelpText(
        ("check staging.toml", "check staging.toml --json"),
        {0: "a run can begin", 2: _MEANING[2], 4: _MEANING[4], 6: _MEANING[6]},
        "docs/nightly.md",
    ),
    "certify": HelpText(
        (
            "certify",
            "certify staging.toml",
            'certify staging.toml --select "list-users and guest"',
            "certify staging.toml --since last --waivers waivers.toml",
        ),
        _MEANING,
        "docs/nightly.md",
    ),
    "plan": HelpText(
        ("plan staging.toml", "plan staging.toml --read-only --json"),
        _DONE | {6: _MEANING[6]},
        "docs/nightly.md",
    ),
    "load": HelpText(
        (
            "load issuance --rate 100 --duration 5s",
            'load session staging.toml --users 50 --slo "p99<250ms"',
        ),
        _run(_LOAD),
        "docs/load.md",
    ),
    "capacity": HelpText(
        ("capacity", 'capacity staging.toml --scenario session --slo "p99<250ms"'),
        _run(_LOAD | {0: "found", 1: "an answer was wrong, or not even the lowest rate held"}),
        "docs/capacity.md",
    ),
    "selftest": HelpText(
        ("selftest --sample 12", "selftest --fault no-challenge"),
        {0: "every case is as expected", 1: "one is not", 2: _MEANING[2], 6: _MEANING[6]},
        "docs/kill-table.md",
    ),
    "serve": HelpText(
        ("serve --clock", "serve --fault no-challenge --port 0", "serve --list-variants"),
        _DONE,
        "docs/reference-server.md",
    ),
    "report": HelpText(
        (
            "report reports/runs/20261126-030000-128147 --format html",
            "report reports/runs/20261126-030000-128147 --format markdown --out -",
        ),
        _DONE | _NOT_WRITTEN,
        "docs/formats.md",
    ),
    "show": HelpText(
        (
            "show reports/runs/20261126-030000-128147 987",
            "show reports/runs/20261126-030000-128147 list-users-guest-token",
        ),
        _DONE,
        "docs/evidence.md",
    ),
    "diff": HelpText(
        (
            "diff 20261125-030000-5d882f 20261126-030000-128147",
            "diff --history",
        ),
        {
            0: "nothing got worse",
            1: "something got worse",
            2: "usage: one of the two is not a finished run",
            3: "nothing got worse as far as the runs can be compared",
        },
        "docs/nightly.md",
    ),
    "keygen": HelpText(("keygen", "keygen --out release.key"), _DONE, "docs/certificate.md"),
    "verify": HelpText(
        ("verify reports/runs/20261126-030000-128147 --key rolecall.key.pub",),
        {
            0: "all is as certified",
            1: "something is not, or there is no certificate",
            2: _MEANING[2],
            3: "nothing is wrong, but its tables are those of another version of Rolecall",
        },
        "docs/certificate.md",
    ),
    "rejudge": HelpText(
        ("rejudge reports/runs/20261126-030000-128147",),
        {
            0: "nothing differs",
            1: "something does",
            2: _MEANING[2],
            3: "a part could not be judged again",
        },
        "docs/judging-again.md",
    ),
    "cleanup": HelpText(
        (
            "cleanup reports/runs/20261126-030000-128147",
            "cleanup 20261126-030000-128147 --target staging.toml",
            "cleanup --target staging.toml --older-than 24h --dry-run",
        ),
        _run({0: "nothing is left", 7: "something is left; with --dry-run, something is there"}),
        "docs/safety.md",
    ),
    "prune": HelpText(
        ("prune --keep 30 --dry-run", "prune --keep 30 reports/runs"),
        _DONE | {6: "a folder could not be removed"},
        "docs/nightly.md",
    ),
    "requirements": HelpText(
        ("requirements", "requirements ISSUE-status PERM-list-users --json"),
        _DONE | {6: _MEANING[6]},
        "docs/requirements.md",
    ),
    "completion": HelpText(
        ("completion bash", "completion zsh", "completion fish"), _DONE, "docs/nightly.md"
    ),
}


def epilog(command: str) -> str:
    """The text below a command's options."""
    text = TEXTS.get(command)
    if text is None:  # a test says that it is missing; the command works all the same
        return ""
    examples = [f"  rolecall {example}" for example in text.examples]
    codes = [f"  {code:<4} {meaning}" for code, meaning in text.codes.items()]
    return "\n".join(["examples:", *examples, "", "exit code:", *codes, "", f"more: {text.page}"])
