"""Seals the files of a finished run: the certificate, which names them by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from rolecall.dsse import Envelope
from rolecall.report import certificate
from rolecall.signing import CertificateKey


def sealed(
    results: Mapping[str, Any], texts: Mapping[str, str], key: CertificateKey | None
) -> dict[str, str]:
    """The certificate by its file's name, signed where there is a key; nothing for a run that is
    not certified.

    Args:
        results: the document that ``texts`` has as results.json.
        texts: the files as they are about to be written, by name.
    """
    if not certificate.is_due(results) or not all(name in texts for name in certificate.SUBJECTS):
        return {}
    digests = {name: _digest(texts[name]) for name in certificate.SUBJECTS}
    payload = certificate.text(certificate.statement(results, digests))
    envelope = Envelope(payload.encode())
    return {certificate.CERTIFICATE: (key.sign(envelope) if key else envelope).text}


def _digest(text: str) -> str:
    # As `harness.run` writes it.
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
