"""Checking a certificate, in memory: what is good is called good, and every change is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rolecall.dsse import Envelope
from rolecall.finished_run import EVIDENCE, RESULTS
from rolecall.report.certificate import CERTIFICATE, SUBJECTS
from rolecall.verification.checking import (
    GOOD,
    NONE,
    UNCHECKED,
    _statement_faults,
    check_certificate,
)
from rolecall.verification.documents import RunDocuments
from tests.conftest import Watched
from tests.support.certified_runs import (
    SPEC,
    checked,
    key_pair,
    made_run,
    pair,
    resealed,
    signed_files,
    statement_of,
)


def test_a_signed_run_is_valid_by_its_key() -> None:
    """Nothing is wrong with a run as it was certified, and the signature is the key's."""
    found = checked(signed_files(), key_pair()[1])

    assert ([], [], GOOD) == (found.faults, found.open, found.signature)
    assert [key_pair()[0].id] == found.key_ids


def test_without_a_key_a_signature_is_not_called_good() -> None:
    """Without --key the files are checked, and the signature is said not to be."""
    found = checked(signed_files())

    assert ([], UNCHECKED) == (found.faults, found.signature)


@pytest.mark.parametrize("name", [CERTIFICATE, EVIDENCE])
def test_turned_line_ends_are_named(name: str) -> None:
    """A file that went through git with its line ends turned is not good, and the cause is said."""
    files = signed_files()
    found = checked(files | {name: files[name].strip() + b"\r\n"}, key_pair()[1])

    assert f"{name}: line ends were changed on the way, as git does" in found.faults[0]
    assert len(found.faults) > 1


def test_a_run_without_a_signature_is_sealed() -> None:
    """A run that was certified without a key is whole, and is said not to be signed."""
    found = checked(made_run().files())

    assert ([], NONE) == (found.faults, found.signature)


def test_a_sealed_run_has_no_signature_by_any_key() -> None:
    """Where a signature is asked for, digests alone are not enough."""
    (fault,) = checked(made_run().files(), key_pair()[1]).faults

    assert "is sealed and not signed" in fault


def test_another_key_is_noticed() -> None:
    """A signature of somebody else's key does not count, and both keys are named."""
    other = pair()[1]
    (fault,) = checked(signed_files(), other).faults

    assert other.id in fault
    assert key_pair()[0].id in fault


def test_any_of_several_signatures_will_do() -> None:
    """A certificate that somebody else has signed as well is good for each of the two."""
    envelope = Envelope.parse(signed_files()[CERTIFICATE])
    second, its_public = pair()
    files = signed_files() | {CERTIFICATE: second.sign(envelope).text.encode()}

    assert [] == checked(files, key_pair()[1]).faults
    assert [] == checked(files, its_public).faults


# --- Changes -------------------------------------------------------------------------------------


def some_bytes_changed(data: bytes, step: int = 50) -> Iterator[tuple[int, bytes]]:
    """The same bytes with one of them changed, each ``step``-th in turn: in one bit or in all."""
    for place in range(0, len(data), step):
        bits = 0x01 if place % (2 * step) else 0xFF
        yield place, data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "sealed"])
def test_a_single_changed_byte_of_the_certificate_is_noticed(is_signed: bool) -> None:
    """Whichever byte of a certificate is changed, it is a fault; also where nobody signed."""
    key = key_pair()[1] if is_signed else None
    files = signed_files() if is_signed else made_run().files()
    documents = RunDocuments(files, SPEC)
    unnoticed = [
        place
        for place, changed in some_bytes_changed(files[CERTIFICATE])
        if not check_certificate(changed, documents, key).faults
    ]

    assert [] == unnoticed


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name == RESULTS else ()) for name in SUBJECTS],
)
def test_a_single_changed_byte_of_results_or_evidence_is_noticed(name: str) -> None:
    """Whichever byte of the run's documents is changed, the certificate is not theirs any more."""
    files = made_run().files()
    envelope = Envelope.parse(files[CERTIFICATE])
    unnoticed = [
        place
        for place, changed in some_bytes_changed(files[name], 997 if name == EVIDENCE else 50)
        if not list(_statement_faults(envelope, RunDocuments({**files, name: changed}, SPEC)))
    ]

    assert [] == unnoticed


def unnoticed_in(files: dict[str, bytes], name: str, step: int) -> list[int]:
    """Where in a file a changed byte is no fault: one of each ``step`` bytes is tried, by the
    digest of that file alone.
    """
    envelope = Envelope.parse(files[CERTIFICATE])
    data = bytearray(files[name])
    unnoticed = []
    for place in range(0, len(data), step):
        data[place] ^= 0x01
        if not list(_statement_faults(envelope, RunDocuments({name: bytes(data)}, SPEC))):
            unnoticed.append(place)
        data[place] ^= 0x01
    assert not list(_statement_faults(envelope, RunDocuments({name: bytes(data)}, SPEC)))
    return unnoticed


@pytest.mark.nightly
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_single_changed_byte_of_a_real_run_is_noticed(name: str, certified: Watched) -> None:
    """The same of the files of a whole run: each 50th byte, or of an archive of nine megabytes, of
    which every digest takes that long, each 997th.
    """
    folder = certified.finished.folder
    files = {file: (folder / file).read_bytes() for file in (*SUBJECTS, CERTIFICATE)}

    assert unnoticed_in(files, name, 50 if len(files[name]) < 1_000_000 else 997) == []


@pytest.mark.parametrize("name", [*SUBJECTS, CERTIFICATE])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_noticed(name: str, share: float) -> None:
    """A file that was cut off, or is empty, is a fault that names it."""
    files = dict(signed_files())
    files[name] = files[name][: int(len(files[name]) * share)]

    assert any(name in fault for fault in checked(files, key_pair()[1]).faults)


@pytest.mark.parametrize("name", [*SUBJECTS, CERTIFICATE])
def test_a_missing_file_is_noticed(name: str) -> None:
    """A file that is not there is a fault that names it."""
    files = {other: data for other, data in signed_files().items() if other != name}

    assert any(name in fault for fault in checked(files, key_pair()[1]).faults)


def test_another_runs_certificate_is_named_as_that() -> None:
    """A good certificate of another run says nothing of this one, and both are named."""
    other = made_run("20261125-000000-fedcba").files(key_pair()[0])
    other[EVIDENCE] += b" "
    (fault,) = checked(other | {CERTIFICATE: signed_files()[CERTIFICATE]}, key_pair()[1]).faults

    assert "20261126-120000-abcdef" in fault
    assert "20261125-000000-fedcba" in fault


def test_a_certificate_that_says_otherwise_than_the_results_is_noticed() -> None:
    """A certificate that names these files and says otherwise than their results is noticed,
    member by member.
    """
    files = made_run().files()
    statement = statement_of(files)
    statement["predicate"]["rolecall"]["target"]["name"] = "production"
    (fault,) = checked(resealed(files, statement)).faults

    assert "predicate.rolecall.target.name" in fault
