"""Keeps what the variables of a failing test hold out of pytest's text of the failure.

They hold answers and requests, and so tokens and passwords, and nothing is known of how pytest cuts
and folds them. That text goes to the terminal and to whatever other plugins write.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

NOT_SHOWN = (
    "rolecall: --showlocals shows nothing here: variables of the suite hold tokens and passwords"
)


class FailureTexts:
    """The hooks; the innermost, so that every other plugin gets what is left."""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Leave arguments and variables out of the report."""
        report = yield
        _leave_values_out(report.longrepr)
        return report

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Say so to who asks for them."""
        return [NOT_SHOWN] if config.option.showlocals else []


def _leave_values_out(text: Any) -> None:
    """Take the values out of a failure's text: what --showlocals adds, and the arguments of each
    function, which --tb=long adds.
    """
    for traceback, *_ in getattr(text, "chain", ()):
        for entry in traceback.reprentries:
            for part in ("reprfuncargs", "reprlocals"):
                if getattr(entry, part, None) is not None:
                    setattr(entry, part, None)
