"""The two documents of a run that is checked: read once, and judged by themselves.

What is judged are the bytes that were hashed; nothing is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from rolecall import __version__
from rolecall.exact_json import InexactJSON, loads
from rolecall.finished_run import EVIDENCE, REPLAY, RESULTS
from rolecall.report import certificate
from rolecall.report.certificate import SUBJECTS
from rolecall.schema_validation import validation_errors
from rolecall.screen import harmless
from rolecall.spec.model import Specification
from rolecall.verification.agreement import agreement_faults
from rolecall.verification.completeness import completeness_faults, other_tables
from rolecall.verification.consistency import consistency_faults

#: What to do where a file is not the one that was made.
ORIGINAL = "get the folder again from whoever made the run"


class RunDocuments:
    """The files that a certificate names, where they are there, against the tables of ``spec``."""

    def __init__(self, files: Mapping[str, bytes], spec: Specification) -> None:
        self.files = {name: files[name] for name in SUBJECTS if name in files}
        self._spec = spec

    @property
    def missing(self) -> list[str]:
        """The files that are not there."""
        return [name for name in SUBJECTS if name not in self.files]

    @cached_property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file that is there."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}

    @cached_property
    def run(self) -> str | None:
        """The run's id as results.json has it, whatever else it holds."""
        document = self._documents.get(RESULTS)
        id = document.get("run") if isinstance(document, dict) else None
        return id if isinstance(id, str) else None

    @cached_property
    def statement(self) -> dict[str, Any] | None:
        """What a certificate of this run has to say; None where the results cannot say it."""
        if self._results is None or self.missing:
            return None
        return certificate.statement(self._results, self.digests)

    @cached_property
    def faults(self) -> list[str]:
        """A sentence on each thing that is wrong with the documents, whoever sealed them."""
        faults = [
            f"{name} cannot be trusted: {document}; {ORIGINAL}"
            for name, document in self._documents.items()
            if isinstance(document, InexactJSON)
        ]
        if faults or self.missing:
            return faults
        if self._errors:
            return [f"{RESULTS} is not a run's results: {self._errors[0]}; {ORIGINAL}"]
        if self._results is None:
            return [f"{RESULTS} does not say which suite it is of: {ORIGINAL}"]
        replay = self._documents[REPLAY]
        if not isinstance(replay, dict) or replay.get("run") != self.run:
            faults.append(f"{REPLAY} is not that of this run: {ORIGINAL}")
        faults += agreement_faults(self._results, self._documents[EVIDENCE])
        if not faults:
            faults += consistency_faults(self._results, self._documents[EVIDENCE], replay)
        if not self.other_tables:
            faults += completeness_faults(self._results, self._spec)
        return faults

    @property
    def other_tables(self) -> list[str]:
        """Why it is not known whether the run is complete: its tables are others than ours."""
        tables = other_tables(self._results, self._spec) if self._results else []
        why = (
            f"{', '.join(tables)} of the run are not those of this Rolecall ({__version__}), so "
            f"whether the run is complete is not known: verify it with rolecall {self.version}"
        )
        return [why] if tables else []

    @property
    def version(self) -> str:
        """The version of Rolecall that made the run, as it may be printed."""
        return harmless(self._results["suite"]["version"]) if self._results else ""

    @property
    def why_not_certified(self) -> str:
        """Why the run has no certificate; empty where it should have one, or cannot say."""
        results = self._results
        return (
            "" if results is None or certificate.is_due(results) else certificate.why_not(results)
        )

    @cached_property
    def _documents(self) -> dict[str, Any]:
        """Each file's document, or the `InexactJSON` that says why there is none."""
        documents: dict[str, Any] = {}
        for name, data in self.files.items():
            try:
                documents[name] = loads(data)
            except InexactJSON as error:
                documents[name] = error
        return documents

    @cached_property
    def _errors(self) -> list[str]:
        """What is wrong with results.json by its schema, which asks less than a certificate."""
        results = self._documents.get(RESULTS)
        if isinstance(results, InexactJSON):
            return [f"$: {results}"]
        return validation_errors("results", results)

    @cached_property
    def _results(self) -> dict[str, Any] | None:
        """results.json, if it follows its schema and names its suite."""
        if self._errors:
            return None
        results: dict[str, Any] = self._documents[RESULTS]
        named = {"package", "kill_table", *certificate.TABLES} <= set(results["suite"])
        return results if named else None
