"""The files that a run writes, each of them made once."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report import artefacts, junit
from tests.support.run_documents import RunDocuments


@pytest.mark.parametrize(("inconclusive", "errors"), [("skipped", 0), ("error", 1)])
def test_each_file_is_made_once(
    inconclusive: str, errors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an inconclusive test is to be in junit.xml, that file is made once."""
    made: list[str] = []
    write = junit.write

    def counted(*documents: Any, **options: Any) -> str:
        made.append("junit.xml")
        return write(*documents, **options)

    monkeypatch.setattr(junit, "write", counted)
    run = RunDocuments()
    run.cell("list-contact", "bot", "allow", "inconclusive", reason="missing: a control")

    files = artefacts.texts(run.results(), run.evidence, inconclusive=inconclusive)

    assert made == ["junit.xml"]
    assert files.keys() == artefacts.WRITERS.keys()
    assert files["junit.xml"].count("<error") == errors
