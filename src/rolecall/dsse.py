"""The envelope of a certificate: DSSE 1.0.2 (github.com/secure-systems-lab/dsse), as JSON.

Only one spelling of an envelope is read, the one that is written here: standard base64, our order
of members, our white space. DSSE would allow others; but a file of a run that was changed in any
byte is not the file that was certified.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from rolecall.exact_json import loads

#: The payload is an in-toto Statement as JSON (in-toto attestation v1, spec/v1/envelope.md).
IN_TOTO = "application/vnd.in-toto+json"


class NotAnEnvelope(ValueError):
    """A file is not an envelope as written here; the text says why."""


@dataclass(frozen=True)
class EnvelopeSignature:
    """A signature over the payload and its type; ``keyid`` is a hint and is not signed itself."""

    keyid: str
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload, what it is, and who signed it; with no signature it is only wrapped."""

    payload: bytes
    signatures: tuple[EnvelopeSignature, ...] = ()
    payload_type: str = IN_TOTO

    @property
    def signed_bytes(self) -> bytes:
        """What a signature is over (DSSE's pre-authentication encoding)."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    @property
    def text(self) -> str:
        """The envelope as a file."""
        document = {
            "payload": _base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": signature.keyid, "sig": _base64(signature.signature)}
                for signature in self.signatures
            ],
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def parse(cls, data: bytes) -> Envelope:
        """Read a file that `text` wrote.

        Raises:
            NotAnEnvelope: it is none, or is written otherwise.
        """
        try:
            document = loads(data)
            envelope = cls(
                _bytes(document["payload"]),
                tuple(
                    EnvelopeSignature(_word(entry["keyid"]), _bytes(entry["sig"]))
                    for entry in document["signatures"]
                ),
                _word(document["payloadType"]),
            )
        except (KeyError, TypeError, binascii.Error):
            raise NotAnEnvelope("it is not a DSSE envelope") from None
        except ValueError as error:
            raise NotAnEnvelope(str(error)) from None
        if envelope.text.encode() != data:
            raise NotAnEnvelope("it is not written as Rolecall writes it, byte for byte")
        return envelope


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: Any) -> bytes:
    return base64.b64decode(_word(text), validate=True)


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise NotAnEnvelope("it is not a DSSE envelope")
    return value
