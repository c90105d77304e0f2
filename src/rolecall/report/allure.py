"""``allure-results/``: one result per test, with the model and the identities of allure-pytest.

allure-pytest's listener hangs on pytest's set-up and tear-down of each test, which for tests that
are already done take longer than the tests. Names and history ids come from its own functions, so a
run with ``--alluredir`` has the same ones.
"""

# allure's classes are made by attrs without annotations: pyright knows none of their fields.
# pyright: reportCallIssue=false

from __future__ import annotations

import json
import platform
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import attr
import pytest
from allure_commons.model2 import Attachment, Label, Parameter, StatusDetails, TestResult
from allure_commons.utils import md5, platform_label, represent
from allure_pytest.utils import (
    allure_full_name,
    allure_package,
    allure_suite_labels,
    allure_title_path,
    get_history_id,
)

from rolecall.evidence import Exchange
from rolecall.report import exchanges

#: How Allure's page sorts what did not pass.
_CATEGORIES = [
    {"name": "Requirements that failed", "matchedStatuses": ["failed"]},
    {
        "name": "Not decided: a piece of evidence is missing",
        "matchedStatuses": ["broken"],
        "messageRegex": "(?s).*missing: .*",
    },
    {"name": "The harness broke", "matchedStatuses": ["broken"]},
    {
        "name": "Not applicable here",
        "matchedStatuses": ["skipped"],
        "messageRegex": "(?s).*not applicable: .*",
    },
    {"name": "Not tested", "matchedStatuses": ["skipped"]},
]
_STATUS = {
    "passed": "passed",
    "failed": "failed",
    "not-applicable": "skipped",
    "not-tested": "skipped",
    "waived": "skipped",
}


@dataclass(frozen=True)
class _Test:
    item: pytest.Item
    outcome: str
    labels: dict[str, str]
    description: str
    message: str
    trace: str
    exchanges: Sequence[Exchange]
    stop: float
    seconds: float


class AllureResults:
    """What a folder of results for Allure 2 and 3 has to hold."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._tests: list[_Test] = []
        self._host = socket.gethostname() or platform.node()

    def add(
        self,
        item: pytest.Item,
        outcome: str,
        *,
        labels: dict[str, str],
        description: str,
        message: str,
        trace: str,
        exchanges: Sequence[Exchange],
        seconds: float,
    ) -> None:
        """Note one test's result; ``outcome`` in our words, as in ``results.json``. The test ends
        now.
        """
        test = _Test(
            item, outcome, labels, description, message, trace, exchanges, time.time(), seconds
        )
        self._tests.append(test)

    def files(self, redact: Callable[[str], str]) -> Iterator[tuple[str, str]]:
        """Every file's name and text, redacted."""
        yield "categories.json", json.dumps(_CATEGORIES, indent=1)
        yield (
            "environment.properties",
            "".join(_property(name, redact(value)) for name, value in self._environment.items()),
        )
        texts: dict[int, str] = {}  # many tests cite the same exchanges

        def text(exchange: Exchange) -> str:
            if exchange.number not in texts:
                texts[exchange.number] = exchanges.write([exchange], redact)
            return texts[exchange.number]

        for test in self._tests:
            result = self._result(test, redact)
            if test.exchanges:
                source = f"{result.uuid}-attachment.txt"
                result.attachments.append(
                    Attachment(name="exchanges", source=source, type="text/plain")
                )
                yield source, "\n\n".join(map(text, test.exchanges))
            document = attr.asdict(result, filter=lambda _, value: value or value is False)
            yield (
                result.file_pattern.format(prefix=result.uuid),
                json.dumps(document, ensure_ascii=False),
            )

    def _result(self, test: _Test, redact: Callable[[str], str]) -> TestResult:
        item = test.item
        callspec = getattr(item, "callspec", None)  # parametrized tests have it
        parameters = callspec.params if callspec else {}
        shown = [Parameter(name=name, value=represent(value)) for name, value in parameters.items()]
        full_name = allure_full_name(item)
        about: dict[str, str] = {
            **test.labels,
            **dict(allure_suite_labels(item)),
            "host": self._host,
            "framework": "pytest",
            "language": platform_label(),
            "package": allure_package(item),
        }
        return TestResult(
            uuid=str(uuid.uuid4()),
            name=item.name,
            fullName=full_name,
            titlePath=[*allure_title_path(item)],
            testCaseId=md5(full_name),
            historyId=get_history_id(full_name, shown, original_values=parameters),
            status=_STATUS.get(test.outcome, "broken"),
            statusDetails=StatusDetails(message=redact(test.message), trace=redact(test.trace))
            if test.message
            else None,
            description=test.description,
            parameters=shown,
            labels=[Label(name=name, value=value) for name, value in about.items()],
            start=int((test.stop - test.seconds) * 1000),
            stop=int(test.stop * 1000),
        )


def _property(name: str, value: str) -> str:
    """A line of a Java properties file (java.util.Properties): ISO-8859-1, everything else in the
    UTF-16 units of Java.
    """
    escaped = (
        value.replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\r", "\\r")
        .replace("\n", "\\n")
        .replace("\f", "\\f")
    )
    if escaped.startswith(" "):  # which would belong to the separator
        escaped = f"\\{escaped}"
    units = (character if " " <= character <= "~" else _java(character) for character in escaped)
    return f"{name}={''.join(units)}\n"


def _java(character: str) -> str:
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{int.from_bytes(data[place : place + 2], 'big'):04X}"
        for place in range(0, len(data), 2)
    )
