"""``allure-results/``: Allure's own listener, writing through a logger that redacts every file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import allure_commons
import attr
import pytest
from allure_commons.logger import AllureFileLogger
from allure_pytest.listener import AllureListener

#: How Allure's page sorts what did not pass.
_CATEGORIES = [
    {"name": "Requirements that failed", "matchedStatuses": ["failed"]},
    {"name": "Not decided: a piece of evidence is missing", "matchedStatuses": ["broken"], "messageRegex": "(?s).*missing: .*"},
    {"name": "The harness broke", "matchedStatuses": ["broken"]},
    {"name": "Not tested", "matchedStatuses": ["skipped"]},
]


class _RedactedResults(AllureFileLogger):  # type: ignore[misc]  # allure-python-commons has no types
    """Writes what Allure's listener reports, redacted."""

    def __init__(self, folder: Path, redact: Callable[[str], str]) -> None:
        super().__init__(folder)
        self._redact = redact

    def _report_item(self, item: Any) -> None:
        document = attr.asdict(item, filter=lambda _, value: value or value is False)
        self._write(item.file_pattern.format(prefix=uuid.uuid4()), self._redact(json.dumps(document, ensure_ascii=False)))

    @allure_commons.hookimpl  # type: ignore[untyped-decorator]  # as above
    def report_container(self, container: Any) -> None:
        """Containers hold fixtures' steps; ours have none, and there would be one per test."""

    @allure_commons.hookimpl  # type: ignore[untyped-decorator]  # as above
    def report_attached_data(self, body: str | bytes, file_name: str) -> None:
        """Write an attachment, which whoever attached it has redacted."""
        self._write(file_name, body if isinstance(body, str) else body.decode("utf-8", "replace"))

    def _write(self, name: str, text: str) -> None:
        new = self._report_dir / f"{name}.tmp"
        new.write_text(text, encoding="utf-8", errors="backslashreplace")  # JSON of a target may hold half characters
        new.replace(self._report_dir / name)


def record(config: pytest.Config, folder: Path, redact: Callable[[str], str], environment: dict[str, str]) -> None:
    """Let Allure record the rest of the session into ``folder``, as its plugin does when it is given ``--alluredir``."""
    listener = AllureListener(config)
    config.pluginmanager.register(listener, "allure_listener")
    for plugin in (listener, _RedactedResults(folder, redact)):
        allure_commons.plugin_manager.register(plugin)
        config.add_cleanup(lambda plugin=plugin: allure_commons.plugin_manager.unregister(plugin))
    (folder / "categories.json").write_text(json.dumps(_CATEGORIES, indent=1), encoding="utf-8")
    lines = (f"{name}={redact(value)}" for name, value in environment.items())
    (folder / "environment.properties").write_text("\n".join(lines) + "\n", encoding="utf-8")
