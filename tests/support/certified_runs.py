"""Certified runs in memory: the smallest documents that a conformant run can have."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from rolecall.dsse import Envelope
from rolecall.errors import ExitCode
from rolecall.evidence import Exchange, TestEvidence
from rolecall.finished_run import EVIDENCE, REPLAY, RESULTS
from rolecall.harness.document import RunFacts, results_document
from rolecall.harness.results import TestResult, Verdict
from rolecall.harness.sealing import sealed
from rolecall.outcomes import Outcome
from rolecall.report import har
from rolecall.report.certificate import CERTIFICATE
from rolecall.signing import CertificateKey, CertificatePublicKey, new_pair, private_key
from rolecall.spec.loading import load_specification
from rolecall.target import parse_target
from rolecall.verification.checking import Checked, check
from tests.support.command import ROLES, target_text
from tests.support.exchanges import exchange

SPEC = load_specification()
#: What all tests look at: one exchange of each kind.
ALLOWED, DENIED = exchange(number=1, status=200), exchange(number=2, status=403)


@dataclass
class MadeRun:
    """A run's two documents; `files` seals them as they are at that moment."""

    results: dict[str, Any]
    evidence: dict[str, Any]

    def texts(self) -> dict[str, str]:
        """The two documents as files."""
        return {
            RESULTS: json.dumps(self.results, indent=1),
            EVIDENCE: har.write(self.evidence),
            REPLAY: json.dumps({"run": self.results["run"]}),
        }

    def files(self, key: CertificateKey | None = None) -> dict[str, bytes]:
        """All files that a certificate is about, and the certificate."""
        return bytes_of({**self.texts(), **sealed(self.results, self.texts(), key)})

    def cell(self, name: str) -> dict[str, Any]:
        """One cell of results.json."""
        cells: list[dict[str, Any]] = self.results["cells"]
        operation, role, credential = name.rsplit(" ", 2)
        wanted = (operation, role, credential)
        return next(c for c in cells if (c["operation"], c["role"], c["credential"]) == wanted)

    def requirement(self, id: str) -> dict[str, Any]:
        """One requirement of results.json."""
        requirements: list[dict[str, Any]] = self.results["requirements"]
        return next(entry for entry in requirements if entry["id"] == id)


def bytes_of(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Files as they are written."""
    return {name: text.encode() for name, text in texts.items()}


def made_run(id: str = "20261126-120000-abcdef", **differing: Any) -> MadeRun:
    """A conformant run with this id; ``differing`` replaces members of its results.json."""
    run = copy.deepcopy(_made())
    run.results |= {"run": id} | differing
    return run


@cache
def key_pair() -> tuple[CertificateKey, CertificatePublicKey]:
    """The key that signs in these tests."""
    return pair()


def pair() -> tuple[CertificateKey, CertificatePublicKey]:
    """A new key, and its public one."""
    key = private_key(new_pair()[0], "the tests")
    return key, CertificatePublicKey(key.id, key._key.public_key())


@cache
def signed_files() -> dict[str, bytes]:
    """A signed run."""
    return made_run().files(key_pair()[0])


def checked(files: dict[str, bytes], key: CertificatePublicKey | None = None) -> Checked:
    """What a check says with the tables of this suite."""
    return check(files, key, SPEC)


def resealed(files: Mapping[str, bytes], statement: dict[str, Any]) -> dict[str, bytes]:
    """Files with a certificate that says ``statement`` of their digests, whatever they hold."""
    for subject in statement["subject"]:
        subject["digest"]["sha256"] = hashlib.sha256(files[subject["name"]]).hexdigest()
    payload = json.dumps(statement, separators=(",", ":")).encode()
    return {**files, CERTIFICATE: Envelope(payload).text.encode()}


def statement_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What the certificate among these files says."""
    statement: dict[str, Any] = json.loads(Envelope.parse(files[CERTIFICATE]).payload)
    return statement


@cache
def _made() -> MadeRun:
    target = parse_target(
        target_text("http://target.example"), ROLES, source="target.toml", environ={}
    )
    facts = RunFacts(
        id="",
        spec=SPEC,
        target=target,
        dialect=SPEC.dialect({}, "target.toml"),
        expiry_evidence="A-",
        selected=False,
        read_only=False,
        started=1_795_000_000.0,
        finished=1_795_000_060.0,
        requests=2,
        left_behind=[],
    )
    verdict = Verdict("conformant", ExitCode.CONFORMANT, [])
    document = results_document(facts, _results(), verdict, str)
    return MadeRun(
        json.loads(json.dumps(document)), json.loads(har.write(har.document(_exchanges(), str)))
    )


def _exchanges() -> list[Exchange]:
    return [ALLOWED, DENIED]


def _results() -> list[TestResult]:
    """One test for each cell, and one for each other requirement."""
    cells = [
        TestResult(
            f"test_a_cell[{cell}]",
            SPEC.operations[cell.operation].requirement,
            Outcome.PASSED,
            cell=cell,
            evidence=_evidence(ALLOWED if cell.allowed else DENIED),
        )
        for cell in SPEC.cells
    ]
    of_cells = {result.requirement for result in cells}
    return cells + [
        TestResult("test_it", id, Outcome.PASSED, evidence=_evidence(ALLOWED))
        for id in SPEC.requirements
        if id not in of_cells
    ]


def _evidence(answer: Exchange) -> TestEvidence:
    evidence = TestEvidence()
    evidence.exchanges.append(answer)
    evidence.named["answer"] = answer
    return evidence
