"""Checks a certificate: who signed it, and whether it is that of the files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rolecall import __version__
from rolecall.dsse import IN_TOTO, Envelope, NotAnEnvelope
from rolecall.exact_json import InexactJSON, loads
from rolecall.report import certificate
from rolecall.report.certificate import CERTIFICATE, SUBJECTS
from rolecall.schema_validation import validation_errors
from rolecall.screen import harmless
from rolecall.signing import CertificatePublicKey
from rolecall.spec.model import Specification
from rolecall.verification.documents import ORIGINAL, RunDocuments

#: What became of the signature.
GOOD, UNCHECKED, NONE = "good", "unchecked", "none"


@dataclass
class Checked:
    """What a check came to.

    ``faults``: a sentence each. ``open``: why it cannot be decided here. ``signature``: `GOOD`,
    `UNCHECKED` (there is one, and no key was given, or it is not the key's) or `NONE`.
    ``statement``: what the certificate says, where it is that of the files.
    """

    faults: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    signature: str = NONE
    key_ids: list[str] = field(default_factory=list)
    statement: dict[str, Any] | None = None


def check(
    files: Mapping[str, bytes], key: CertificatePublicKey | None, spec: Specification
) -> Checked:
    """Check a certificate, what it is about, and what that says.

    Args:
        files: the bytes of certificate.json, results.json and evidence.har, where they are there.
        key: who must have signed; without one the signature is not checked.
    """
    checked = check_certificate(files.get(CERTIFICATE), RunDocuments(files, spec), key)
    turned = sorted(name for name, data in files.items() if b"\r\n" in data)
    if checked.faults and turned:
        checked.faults.insert(
            0,
            f"{', '.join(turned)}: line ends were changed on the way, as git does unless "
            f'.gitattributes says "* -text": {ORIGINAL}',
        )
    return checked


def check_certificate(
    data: bytes | None, documents: RunDocuments, key: CertificatePublicKey | None
) -> Checked:
    """Check certificate.json, where it is there, against the documents of the run."""
    checked = Checked([f"{name} is missing: {ORIGINAL}" for name in documents.missing])
    if data is None:
        why = documents.why_not_certified or ORIGINAL
        checked.faults.insert(0, f"there is no {CERTIFICATE}: {why}")
        return checked
    try:
        envelope = Envelope.parse(data)
    except NotAnEnvelope as error:
        checked.faults.append(f"{CERTIFICATE} is not a certificate of a run: {error}; {ORIGINAL}")
        return checked
    unsigned = list(_signature_faults(envelope, key))
    checked.faults += unsigned
    checked.key_ids = [signature.keyid for signature in envelope.signatures]
    if envelope.signatures:
        checked.signature = GOOD if key and not unsigned else UNCHECKED
    if other := list(_statement_faults(envelope, documents)):
        checked.faults += other
    elif not documents.missing:
        checked.faults += documents.faults
        checked.open += documents.other_tables
        checked.statement = documents.statement
    if not checked.faults and (errors := validation_errors("certificate", checked.statement)):
        checked.faults.append(f"{CERTIFICATE} does not follow its schema: {errors[0]}; {ORIGINAL}")
    return checked


def _signature_faults(envelope: Envelope, key: CertificatePublicKey | None) -> Iterator[str]:
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
        yield f"{CERTIFICATE} names another key than the one that signed it: {ORIGINAL}"


def _statement_faults(envelope: Envelope, documents: RunDocuments) -> Iterator[str]:
    """Whether the payload is, byte for byte, the Statement that the documents give."""
    if envelope.payload_type != IN_TOTO:
        yield f"{CERTIFICATE} does not hold an in-toto Statement: {ORIGINAL}"
        return
    try:
        statement = loads(envelope.payload)
        certified, run = _named_in(statement)
    except InexactJSON as error:
        yield f"the Statement in {CERTIFICATE} cannot be trusted: {error}; {ORIGINAL}"
        return
    except (KeyError, TypeError):
        yield f"the Statement in {CERTIFICATE} is not one of a run: {ORIGINAL}"
        return
    changed = [n for n, digest in documents.digests.items() if digest != certified.get(n)]
    if len(changed) == len(SUBJECTS) and documents.run not in (None, run):
        yield (
            f"{CERTIFICATE} is that of another run, {_shown(run)}; the results are those of "
            f"{_shown(documents.run)}: ask for the certificate of this run"
        )
    elif changed:
        for name in changed:
            yield f"{name} is not the file that was certified (its SHA-256 differs): {ORIGINAL}"
    elif documents.statement is not None:
        yield from _differences(documents.statement, statement, envelope.payload, documents.version)


def _named_in(statement: Any) -> tuple[dict[str, Any], Any]:
    """The digest of each subject by its name, and the run's id.

    Raises:
        KeyError, TypeError: it is no Statement of a run.
    """
    certified = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    return certified, statement["predicate"]["rolecall"]["run"]


def _differences(
    expected: dict[str, Any], statement: Any, payload: bytes, version: str
) -> Iterator[str]:
    if certificate.text(expected).encode() != payload:
        places = ", ".join(_differing(expected, statement)) or "the way it is written"
        other = "" if version == __version__ else f", which is of rolecall {version}"
        yield f"{CERTIFICATE} says otherwise than the results ({places}){other}: {ORIGINAL}"


def _differing(expected: Any, actual: Any, place: str = "", most: int = 3) -> list[str]:
    """The members in which two documents differ, by their places."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        names = [*expected, *(name for name in actual if name not in expected)]
        places = [
            found
            for name in names
            for found in _differing(
                expected.get(name), actual.get(name), f"{place}.{_shown(name)}".lstrip(".")
            )
        ]
        return places[:most]
    is_same = type(expected) is type(actual) and expected == actual
    return [] if is_same else [place or "all of it"]


def _shown(word: Any) -> str:
    """Somebody else's word as part of a sentence."""
    return harmless(str(word))[:80]
