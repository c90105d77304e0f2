"""The envelope of a certificate: as DSSE has it, and read in one spelling only."""

from __future__ import annotations

import base64
import json

import pytest

from rolecall.dsse import IN_TOTO, Envelope, EnvelopeSignature, NotAnEnvelope

WHOLE = Envelope(b'{"a": "\xc3\xa9?>"}', (EnvelopeSignature("ab", b"\xfb\xff\x01"),))


def test_what_is_signed_is_what_the_protocol_says() -> None:
    """The pre-authentication encoding is that of the test vector in DSSE 1.0.2 (protocol.md)."""
    envelope = Envelope(b"hello world", payload_type="http://example.com/HelloWorld")

    assert envelope.signed_bytes == (b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")


def test_lengths_are_those_of_bytes() -> None:
    """Lengths are counted in bytes, not characters."""
    assert Envelope("é".encode(), payload_type="ü").signed_bytes == b"DSSEv1 2 \xc3\xbc 2 \xc3\xa9"


def test_an_envelope_is_read_as_it_was_written() -> None:
    """Payload, type and signatures survive the way to a file and back."""
    document = json.loads(WHOLE.text)

    assert WHOLE == Envelope.parse(WHOLE.text.encode())
    assert {"payload", "payloadType", "signatures"} == set(document)
    assert IN_TOTO == document["payloadType"]
    assert WHOLE.payload == base64.b64decode(document["payload"])


def test_without_a_signature_the_list_is_there_and_empty() -> None:
    """``signatures`` must be set even if empty (DSSE 1.0.2, envelope.md)."""
    assert [] == json.loads(Envelope(b"x").text)["signatures"]


def changed(**members: object) -> bytes:
    """The envelope with other members."""
    return (json.dumps(json.loads(WHOLE.text) | members, indent=1) + "\n").encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        WHOLE.text.encode()[:-2],
        WHOLE.text.encode() + b" ",
        json.dumps(json.loads(WHOLE.text)).encode(),
        changed(payload="e30"),
        changed(payload="e31="),
        changed(payload="e30=\n"),
        changed(payload=5),
        changed(payload="-_8="),
        changed(payloadType=None),
        changed(signatures={}),
        changed(signatures=[5]),
        changed(signatures=[{"sig": "e30="}]),
        changed(signatures=[{"keyid": "ab", "sig": "e31="}]),
        changed(more=1),
        WHOLE.text.replace('"payloadType"', '"payload": "e30=", "payloadType"').encode(),
        b"[" * 100_000,
    ],
    ids=range(21),
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    """What is not written byte for byte as an envelope is written here is none."""
    with pytest.raises(NotAnEnvelope):
        Envelope.parse(data)
