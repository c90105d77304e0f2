"""``allure-results/``: one result per test, with the model and the identities of allure-pytest, redacted.

allure-pytest's listener hangs on pytest's set-up and tear-down of each test, which for tests that are already done take
longer than the tests. Names and history ids come from its own functions, so a run with ``--alluredir`` has the same ones.
"""

from __future__ import annotations

import json
import platform
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attr
import pytest
from allure_commons.model2 import Attachment, Label, Parameter, StatusDetails, TestResult
from allure_commons.utils import md5, platform_label, represent
from allure_pytest.utils import allure_full_name, allure_package, allure_suite_labels, allure_title_path, get_history_id

#: How Allure's page sorts what did not pass.
_CATEGORIES = [
    {"name": "Requirements that failed", "matchedStatuses": ["failed"]},
    {"name": "Not decided: a piece of evidence is missing", "matchedStatuses": ["broken"], "messageRegex": "(?s).*missing: .*"},
    {"name": "The harness broke", "matchedStatuses": ["broken"]},
    {"name": "Not tested", "matchedStatuses": ["skipped"]},
]
_STATUS = {"passed": "passed", "failed": "failed", "not-tested": "skipped", "waived": "skipped"}


class AllureResults:
    """A folder of results for Allure 2 and 3."""

    def __init__(self, folder: Path, redact: Callable[[str], str], environment: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._redact = redact
        (folder / "categories.json").write_text(json.dumps(_CATEGORIES, indent=1), encoding="utf-8")
        lines = (f"{name}={redact(value)}" for name, value in environment.items())
        (folder / "environment.properties").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def add(
        self,
        item: pytest.Item,
        outcome: str,
        *,
        labels: dict[str, str],
        description: str,
        message: str,
        trace: str,
        exchanges: str,
        stop: float,
        seconds: float,
    ) -> None:
        """Write one test's result.

        Args:
            outcome: in our words, as in ``results.json``.
            exchanges: the text of the attachment, redacted; none when empty.
            stop: the end, in seconds since the epoch.
        """
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        shown = [Parameter(name=name, value=represent(value)) for name, value in parameters.items()]
        full_name = allure_full_name(item)
        result = TestResult(
            uuid=str(uuid.uuid4()),
            name=item.name,
            fullName=full_name,
            titlePath=[*allure_title_path(item)],
            testCaseId=md5(full_name),
            historyId=get_history_id(full_name, shown, original_values=parameters),
            status=_STATUS.get(outcome, "broken"),
            statusDetails=StatusDetails(message=message, trace=trace) if message else None,
            description=description,
            parameters=shown,
            labels=[Label(name=name, value=value) for name, value in {**labels, **self._about(item)}.items()],
            start=int((stop - seconds) * 1000),
            stop=int(stop * 1000),
        )
        if exchanges:
            source = f"{uuid.uuid4()}-attachment.txt"
            (self._folder / source).write_text(exchanges, encoding="utf-8", errors="backslashreplace")
            result.attachments.append(Attachment(name="exchanges", source=source, type="text/plain"))
        self._write(result)

    @staticmethod
    def _about(item: pytest.Item) -> dict[str, str]:
        about: dict[str, str] = dict(allure_suite_labels(item))
        return about | {
            "host": socket.gethostname() or platform.node(),
            "framework": "pytest",
            "language": platform_label(),
            "package": allure_package(item),
        }

    def _write(self, result: Any) -> None:
        document = attr.asdict(result, filter=lambda _, value: value or value is False)
        text = self._redact(json.dumps(document, ensure_ascii=False))
        name = result.file_pattern.format(prefix=result.uuid)
        new = self._folder / f"{name}.tmp"
        new.write_text(text, encoding="utf-8", errors="backslashreplace")  # JSON of a target may hold half characters
        new.replace(self._folder / name)
