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
from rolecall.spec.model import Cell
from rolecall.target import parse_target
from rolecall.verification.checking import Checked, check
from tests.support.command import ROLES, target_text
from tests.support.exchanges import exchange

SPEC = load_specification()
DIALECT = SPEC.dialect({}, "target.toml")
OPERATIONS = SPEC.for_target({}, DIALECT, "target.toml").operations
#: When the run began: within a day of each id that a made run has.
STARTED = 1_795_629_600.0
THING, NAME = "5f47d8000000000000000001", "rolecall-20261126-120000-abcdef-1-create"


@dataclass
class MadeRun:
    """A run's documents; `files` seals them as they are at that moment."""

    results: dict[str, Any]
    evidence: dict[str, Any]
    replay: dict[str, Any]

    def texts(self) -> dict[str, str]:
        """The documents as files."""
        return {
            RESULTS: json.dumps(self.results, indent=1),
            EVIDENCE: har.write(self.evidence),
            REPLAY: json.dumps({"run": self.results["run"], **self.replay}),
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

    def exchange(self, name: str, piece: str = "answer") -> dict[str, Any]:
        """The exchange of evidence.har that is a piece of a cell's evidence."""
        cell = self.cell(name)
        tests = self.requirement(f"PERM-{cell['operation']}")["tests"]
        number = next(t for t in tests if t["name"] == cell["test"])["evidence"][piece]
        entry: dict[str, Any] = self.evidence["log"]["entries"][number - 1]
        return entry

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
    exchanges = _Exchanges()
    results = _results(exchanges)
    facts = RunFacts(
        id="",
        spec=SPEC,
        target=target,
        dialect=DIALECT,
        expiry_evidence="A-",
        selected=False,
        read_only=False,
        started=STARTED,
        finished=STARTED + 60,
        requests=len(exchanges.all),
        left_behind=[],
        operations=OPERATIONS,
    )
    verdict = Verdict("conformant", ExitCode.CONFORMANT, [])
    document = results_document(facts, results, verdict, str)
    return MadeRun(
        json.loads(json.dumps(document)),
        json.loads(har.write(har.document(exchanges.all, str))),
        {
            "started": STARTED,
            "target": {
                "name": target.name,
                "base_url": target.base_url,
                "expiry": {"clock_url": "http://target.example/__clock"},
            },
        },
    )


class _Exchanges:
    """The exchanges of a made run, one a second."""

    def __init__(self) -> None:
        self.all: list[Exchange] = []

    def add(self, method: str, role: str, status: int, shows: str = "") -> Exchange:
        """One more exchange, whose answer shows a text."""
        number = len(self.all) + 1
        added = exchange(
            method,
            number=number,
            caller=role,
            status=status,
            body=json.dumps([{"id": shows}]).encode() if shows else b"",
            queued=float(number),
            started=float(number),
            finished=number + 0.5,
            at=STARTED,
        )
        self.all.append(added)
        return added

    def of_cell(self, cell: Cell) -> TestEvidence:
        """The evidence of a cell that is as the table says."""
        operation = OPERATIONS[cell.operation]
        caller = f"{cell.role} ({cell.credential})"
        is_read = operation.effect in ("list", "fetch")
        pieces = {
            "answer": self.add(operation.method, caller, 200 if cell.allowed else 403, THING)
            if cell.allowed and is_read
            else self.add(operation.method, caller, operation.success[0] if cell.allowed else 403)
        }
        if not cell.allowed:
            pieces["control"] = self.add(operation.method, "admin (token)", 200, THING)
            pieces["alive"] = self.add("GET", caller, 200)
        if not is_read:
            is_gone = cell.allowed and operation.effect == "delete"
            shows = NAME if cell.allowed else THING
            pieces["observation"] = self.add("GET", "admin (token)", 404 if is_gone else 200, shows)
        return _evidence(**pieces)


def _results(exchanges: _Exchanges) -> list[TestResult]:
    """One test for each cell, and one for each other requirement."""
    cells = [
        TestResult(
            f"test_a_cell[{cell}]",
            SPEC.operations[cell.operation].requirement,
            Outcome.PASSED,
            cell=cell,
            evidence=exchanges.of_cell(cell),
        )
        for cell in SPEC.cells
    ]
    of_cells = {result.requirement for result in cells}
    last = exchanges.add("GET", "admin (token)", 200)
    return cells + [
        TestResult("test_it", id, Outcome.PASSED, evidence=_evidence(answer=last))
        for id in SPEC.requirements
        if id not in of_cells
    ]


def _evidence(**pieces: Exchange) -> TestEvidence:
    evidence = TestEvidence()
    evidence.exchanges.extend(pieces.values())
    evidence.named |= pieces
    evidence.subject |= {"thing": THING, "name": NAME, "mark": NAME}
    return evidence
