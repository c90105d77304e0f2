"""Checks the files of a run against each other: certificate, results and evidence.

Everything is done on bytes that were read once, so what is judged is what was hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rolecall import __version__
from rolecall.dsse import IN_TOTO, Envelope, NotAnEnvelope
from rolecall.exact_json import InexactJSON, loads
from rolecall.finished_run import EVIDENCE, RESULTS
from rolecall.report import certificate
from rolecall.report.certificate import CERTIFICATE, SUBJECTS
from rolecall.schema_validation import validation_errors
from rolecall.screen import harmless
from rolecall.signing import VerifyingKey
from rolecall.spec.model import Specification
from rolecall.verification.agreement import agreement_faults
from rolecall.verification.completeness import completeness_faults, other_tables

_ORIGINAL = "get the folder again from whoever made the run"
#: What became of the signature.
GOOD, UNCHECKED, NONE = "good", "unchecked", "none"


@dataclass
class Checked:
    """What a check came to.

    ``faults``: a sentence each. ``open``: why it cannot be decided here. ``signature``: `GOOD`,
    `UNCHECKED` (there is one, and no key was given) or `NONE`. ``statement``: what the certificate
    says, where it can be read.
    """

    faults: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    signature: str = NONE
    key_ids: list[str] = field(default_factory=list)
    statement: dict[str, Any] | None = None


def check(files: Mapping[str, bytes], key: VerifyingKey | None, spec: Specification) -> Checked:
    """Check a certificate, what it is about, and what that says.

    Args:
        files: the bytes of certificate.json, results.json and evidence.har, where they are there.
        key: who must have signed; without one the signature is not checked.
    """
    checked = Checked()
    checked.faults += _missing(files)
    if CERTIFICATE not in files:
        return checked
    try:
        envelope = Envelope.parse(files[CERTIFICATE])
    except NotAnEnvelope as error:
        checked.faults.append(f"{CERTIFICATE} is not a certificate of a run: {error}; {_ORIGINAL}")
        return checked
    unsigned = list(_signature_faults(envelope, key))
    checked.faults += unsigned
    checked.key_ids = [signature.keyid for signature in envelope.signatures]
    if envelope.signatures:
        checked.signature = GOOD if key and not unsigned else UNCHECKED
    statement = _statement(envelope, checked)
    if statement is None:
        return checked
    checked.statement = statement
    if changed := list(_changed(statement, files)):
        checked.faults += changed
    elif all(name in files for name in SUBJECTS):
        _check_contents(statement, files, spec, checked)
    return checked


def _missing(files: Mapping[str, bytes]) -> Iterator[str]:
    if CERTIFICATE not in files:
        yield f"there is no {CERTIFICATE}{_why_no_certificate(files)}"
    for name in SUBJECTS:
        if name not in files:
            yield f"{name} is missing: {_ORIGINAL}"


def _why_no_certificate(files: Mapping[str, bytes]) -> str:
    """The rest of the sentence, where results.json can say it."""
    try:
        results = loads(files[RESULTS])
    except (KeyError, InexactJSON):
        results = None
    if validation_errors("results", results) or certificate.is_due(results):
        return f": {_ORIGINAL}"
    return f": {certificate.why_not(results)}"


def _signature_faults(envelope: Envelope, key: VerifyingKey | None) -> Iterator[str]:
    if key is None:
        return
    if not envelope.signatures:
        yield (
            f"{CERTIFICATE} is sealed and not signed, so anybody can have made it: ask for a run "
            "that was certified with --sign, or leave --key out"
        )
        return
    made = [signature for signature in envelope.signatures if key.signed(envelope, signature)]
    if not made:
        named = ", ".join(harmless(s.keyid)[:64] or "none" for s in envelope.signatures)
        yield (
            f"the signature in {CERTIFICATE} is not one of the given key {key.id} (it names "
            f"{named}): the certificate was changed, or this is not the key of whoever signed it"
        )
    elif any(signature.keyid != key.id for signature in made):
        yield f"{CERTIFICATE} names another key than the one that signed it: {_ORIGINAL}"


def _statement(envelope: Envelope, checked: Checked) -> dict[str, Any] | None:
    """The certificate's Statement, if it is one."""
    if envelope.payload_type != IN_TOTO:
        checked.faults.append(f"{CERTIFICATE} does not hold an in-toto Statement: {_ORIGINAL}")
        return None
    try:
        statement = loads(envelope.payload)
    except InexactJSON as error:
        checked.faults.append(f"the Statement in {CERTIFICATE} cannot be read: {error}")
        return None
    if errors := validation_errors("certificate", statement):
        checked.faults.append(f"the Statement in {CERTIFICATE} is not one of a run: {errors[0]}")
        return None
    if certificate.text(statement).encode() != envelope.payload:
        checked.faults.append(f"the Statement in {CERTIFICATE} is not written as Rolecall does")
        return None
    assert isinstance(statement, dict)
    return statement


def _changed(statement: Mapping[str, Any], files: Mapping[str, bytes]) -> Iterator[str]:
    """A sentence on each file that is not the one that was certified."""
    certified = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    changed = [
        name
        for name in SUBJECTS
        if name in files and hashlib.sha256(files[name]).hexdigest() != certified[name]
    ]
    run = _run_id(files[RESULTS]) if set(changed) == set(SUBJECTS) else None
    named = statement["predicate"]["rolecall"]["run"]
    if run and run != named:
        yield (
            f"{CERTIFICATE} is that of another run, {harmless(named)}; the results are those of "
            f"{harmless(run)}: ask for the certificate of this run"
        )
        return
    for name in changed:
        yield f"{name} is not the file that was certified (its SHA-256 differs): {_ORIGINAL}"


def _run_id(results: bytes) -> str | None:
    try:
        document = loads(results)
    except InexactJSON:
        return None
    id = document.get("run") if isinstance(document, dict) else None
    return id if isinstance(id, str) else None


def _check_contents(
    statement: Mapping[str, Any], files: Mapping[str, bytes], spec: Specification, checked: Checked
) -> None:
    """Judge the files that the certificate is about: it may be true to them, and they may lie."""
    documents = {}
    for name in SUBJECTS:
        try:
            documents[name] = loads(files[name])
        except InexactJSON as error:
            checked.faults.append(f"{name} cannot be trusted: {error}; {_ORIGINAL}")
            return
    results = documents[RESULTS]
    if errors := validation_errors("results", results):
        checked.faults.append(f"{RESULTS} is not a run's results: {errors[0]}; {_ORIGINAL}")
        return
    if not {"package", "kill_table", *certificate.TABLES} <= set(results["suite"]):
        checked.faults.append(f"{RESULTS} does not say which suite it is of: {_ORIGINAL}")
        return
    made = certificate.statement(
        results, {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    )
    if certificate.text(made) != certificate.text(statement):
        places = ", ".join(_differing(made, statement)) or "the order of its members"
        checked.faults.append(
            f"{CERTIFICATE} says otherwise than {RESULTS} ({places}){_other_version(results)}: "
            f"{_ORIGINAL}"
        )
    checked.faults += agreement_faults(results, documents[EVIDENCE])
    if tables := other_tables(results, spec):
        checked.open.append(
            f"{', '.join(tables)} of the run are not those of this Rolecall ({__version__}), so "
            f"whether the run is complete is not known: verify it with rolecall "
            f"{harmless(results['suite']['version'])}"
        )
    else:
        checked.faults += completeness_faults(results, spec)


def _other_version(results: Mapping[str, Any]) -> str:
    version = results["suite"]["version"]
    return "" if version == __version__ else f", which is of rolecall {harmless(version)}"


def _differing(expected: Any, actual: Any, place: str = "", most: int = 3) -> list[str]:
    """The members in which two documents differ, by their places."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        names = [*expected, *(name for name in actual if name not in expected)]
        places = [
            found
            for name in names
            for found in _differing(
                expected.get(name), actual.get(name), f"{place}.{harmless(name)[:80]}".lstrip(".")
            )
        ]
        return places[:most]
    is_same = type(expected) is type(actual) and expected == actual
    return [] if is_same else [place or "all of it"]
