"""The options of a run: one table, from which the command's parser and pytest's are made.

An option is added by a line in `OPTIONS` and a field of `Options` with the same name; the run reads
the field. What only the command needs, before a run or after it, stands in `commands.certify`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError

DEFAULT_OUT = Path("reports/runs")

#: Keywords of argparse, and of pytest, for each option of both ``rolecall certify`` and pytest.
OPTIONS: dict[str, dict[str, Any]] = {
    "--out": {
        "type": Path,
        "default": DEFAULT_OUT,
        "metavar": "DIR",
        "help": f"where the run's folder is made (default: {DEFAULT_OUT})",
    },
    "--rate": {
        "type": float,
        "metavar": "N",
        "help": "requests per second, instead of the target file's",
    },
    "--concurrency": {
        "type": int,
        "metavar": "N",
        "help": "requests in flight, instead of the target file's",
    },
    "--read-only": {"action": "store_true", "help": "send nothing that would write"},
    "--intrusive": {
        "action": "store_true",
        "help": "run also the tests that may lock an account, or that take long",
    },
    "--junit-inconclusive": {
        "choices": ("skipped", "error"),
        "default": "skipped",
        "help": "how junit.xml calls an inconclusive test (default: skipped)",
    },
    "--sign": {
        "type": Path,
        "metavar": "KEY",
        "help": "private key that signs the certificate (rolecall keygen makes one); without this "
        "option the variable ROLECALL_CERTIFICATE_KEY may hold the key's text",
    },
    "--waivers": {
        "type": Path,
        "metavar": "FILE",
        "help": "file with known failures, which do not decide the verdict (docs/waivers.md)",
    },
    "--since": {
        "metavar": "RUN",
        "help": "say what changed since an earlier run: its folder, its id under --out, or "
        "the word last",
    },
}
#: The same for pytest alone: the command's target has no option, and its runs leave all files.
PYTEST_OPTIONS: dict[str, dict[str, Any]] = {
    "--target": {"type": Path, "metavar": "FILE", "help": "target file of the server to certify"},
    "--no-reports": {"action": "store_true", "help": "leave results.json and nothing else"},
    "--rehearse": {
        "action": "store_true",
        "help": "run against the embedded server in the shape of the target",
    },
    "--replay": {
        "type": Path,
        "metavar": "RUN",
        "help": "judge a finished run again, without a server",
    },
    "--serve-option": {
        "action": "append",
        "default": [],
        "help": "an option for the embedded server",
    },
}


@dataclass(frozen=True)
class Options:
    """What the command line asks of a run.

    Without a ``target`` the embedded server is certified; with ``no_reports`` only results.json is
    written. ``junit_inconclusive``: what an inconclusive test is in junit.xml, skipped or error.
    ``sign`` is the file of the private key that signs the certificate.
    ``waivers`` is the file of what is waived, ``since`` the run that this one is compared with.
    With ``rehearse`` the embedded server stands in for the target, which is asked nothing.
    With ``replay``, the folder of a finished run, that run is judged again and no server is asked.
    """

    target: Path | None = None
    out: Path = DEFAULT_OUT
    rate: float | None = None
    concurrency: int | None = None
    read_only: bool = False
    intrusive: bool = False
    junit_inconclusive: str = "skipped"
    sign: Path | None = None
    no_reports: bool = False
    replay: Path | None = None
    rehearse: bool = False
    serve_option: Sequence[str] = ()
    waivers: Path | None = None
    since: str | None = None

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> Options:
        """What a parser has read, checked; what it does not know has its default.

        Raises:
            UsageError: an option is out of bounds.
        """
        names = [field.name for field in fields(cls) if hasattr(parsed, field.name)]
        options = cls(**{name: getattr(parsed, name) for name in names})
        options._check()
        return options

    def words(self) -> list[str]:
        """The options as pytest's command line has them, without those at their default."""
        words: list[str] = []
        for field in fields(self):
            option, value = f"--{field.name.replace('_', '-')}", getattr(self, field.name)
            if value is True:
                words.append(option)
            elif isinstance(value, list | tuple):
                words += [f"{option}={part}" for part in value]
            elif value != field.default:
                words.append(f"{option}={value}")
        return words

    def _check(self) -> None:
        """Refuse values that no run can have."""
        if self.rate is not None and not 0 <= self.rate < float("inf"):
            raise UsageError(
                "--rate",
                f"{self.rate:g} is not a rate",
                "Give requests per second, or 0 for no limit.",
            )
        if self.concurrency is not None and self.concurrency < 1:
            raise UsageError("--concurrency", "at least one request must be in flight")
