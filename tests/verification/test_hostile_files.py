"""Files that are made to mislead or to break whoever checks them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rolecall.dsse import Envelope
from rolecall.finished_run import EVIDENCE, REPLAY
from rolecall.report.certificate import CERTIFICATE, SUBJECTS
from tests.support.certified_runs import (
    checked,
    key_pair,
    made_run,
    resealed,
    signed_files,
    statement_of,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        (f'{{"requests": {"9" * 10_000_000}}}', "beyond 2^53"),
        ('{"requests": 1e999}', "too large"),
        ('{"requests": NaN}', "NaN"),
        ('{"verdict": "failed", "verdict": "conformant"}', "two members of one name"),
        ("\ufeff{}", "not JSON"),
        ("", "not JSON"),
        ("null", "is null, not object"),
        ("[]", "is array, not object"),
    ],
    ids=["arrays", "objects", "digits", "exponent", "nan", "twice", "bom", "empty", "null", "list"],
)
@pytest.mark.parametrize("name", SUBJECTS)
def test_hostile_json_that_was_sealed_is_a_fault(name: str, text: str, said: str) -> None:
    """What readers could understand differently, or choke on, is refused, whoever sealed it."""
    if name == EVIDENCE and "object" in said:
        said = "not an archive"
    if name == REPLAY and "object" in said:
        said = "is not that of this run"
    files = made_run().files()
    faults = checked(resealed({**files, name: text.encode()}, statement_of(files))).faults

    assert any(said in fault for fault in faults), faults


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 200_000, b'{"_type": 1, "_type": 2}'],
    ids=["empty", "object", "array", "null", "bytes", "deep", "twice"],
)
def test_an_envelope_around_anything_else_is_a_fault(payload: bytes) -> None:
    """A payload that is no Statement is said to be none, even where it is signed."""
    envelope = key_pair()[0].sign(Envelope(payload))
    found = checked({**signed_files(), CERTIFICATE: envelope.text.encode()}, key_pair()[1])

    assert found.faults
    assert found.statement is None


def test_a_statement_of_another_type_is_a_fault() -> None:
    """The payload's type is signed, and only in-toto's is read."""
    envelope = replace(Envelope.parse(signed_files()[CERTIFICATE]), payload_type="text/plain")
    again = key_pair()[0].sign(replace(envelope, signatures=()))
    (fault,) = checked({**signed_files(), CERTIFICATE: again.text.encode()}, key_pair()[1]).faults

    assert "does not hold an in-toto Statement" in fault


def test_no_word_of_a_hostile_file_acts_on_a_terminal() -> None:
    """Names that a certificate or results invent are printed with their controls visible."""
    run = made_run()
    run.cell("list-users guest token")["role"] = "\x1b[2J\u202eguest"
    faults = checked(run.files()).faults

    assert any("\\x1b[2J\\u202eguest" in fault for fault in faults)
    assert all(fault.isprintable() for fault in faults)
