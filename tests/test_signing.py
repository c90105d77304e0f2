"""Keys: made, read, and refused in a sentence that never repeats them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from rolecall.dsse import Envelope
from rolecall.errors import UsageError
from rolecall.signing import KEY_VARIABLE, new_pair, private_key, public_key, signing_key
from tests.support.command import environment

PRIVATE, PUBLIC = new_pair()
_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8


def written(folder: Path, data: bytes) -> Path:
    """A file of a key."""
    file = folder / "a.key"
    file.write_bytes(data)
    return file


def test_a_signature_is_good_for_its_key_and_its_envelope(tmp_path: Path) -> None:
    """What a private key signs its public key accepts; another payload or type it does not."""
    key, public = private_key(PRIVATE, "here"), public_key(written(tmp_path, PUBLIC))
    envelope = key.sign(Envelope(b"payload"))
    (signature,) = envelope.signatures

    assert key.id == public.id == signature.keyid
    assert public.signed(envelope, signature)
    assert not public.signed(Envelope(b"Payload"), signature)
    assert not public.signed(Envelope(b"payload", payload_type="text/plain"), signature)


def test_a_key_is_found_in_the_option_or_in_the_environment(tmp_path: Path) -> None:
    """The option goes before the variable; with neither there is no key."""
    other = new_pair()[0]
    environ = {KEY_VARIABLE: other.decode()}
    file = written(tmp_path, PRIVATE)
    from_file, from_variable = signing_key(file, environ), signing_key(None, environ)
    assert from_file
    assert from_variable

    assert private_key(PRIVATE, "").id == from_file.id
    assert private_key(other, "").id == from_variable.id
    assert signing_key(None, {}) is None
    assert signing_key(None, {KEY_VARIABLE: ""}) is None


def _encrypted() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(_PEM, _PKCS8, serialization.BestAvailableEncryption(b"x" * 8))


def _of_another_kind() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption())


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (PUBLIC, "not an Ed25519 private key"),
        (_of_another_kind(), "not an Ed25519 private key"),
        (_encrypted(), "is encrypted"),
        (b"", "not an Ed25519 private key"),
        (PRIVATE[:-40], "not an Ed25519 private key"),
        (b"secret-word\x00\xff", "not an Ed25519 private key"),
    ],
    ids=["public", "elliptic", "encrypted", "empty", "cut", "garbage"],
)
def test_what_cannot_sign_is_refused(pem: bytes, said: str, tmp_path: Path) -> None:
    """A file that is no private key of ours is a usage error that says what to do."""
    with pytest.raises(UsageError, match=said) as caught:
        signing_key(written(tmp_path, pem), {})

    assert caught.value.hint
    assert "secret-word" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (PRIVATE, "this is a private key"),
        (b"", "not an Ed25519 public key"),
        (PUBLIC[:-40], "not an Ed25519 public key"),
    ],
    ids=["private", "empty", "cut"],
)
def test_what_is_no_public_key_is_refused(pem: bytes, said: str, tmp_path: Path) -> None:
    """So is what cannot check a signature."""
    with pytest.raises(UsageError, match=said):
        public_key(written(tmp_path, pem))


def test_a_key_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A missing file names the option and how to make one."""
    with pytest.raises(UsageError, match="No such file") as caught:
        signing_key(tmp_path / "none", {})

    assert "rolecall keygen" in str(caught.value)


def test_a_key_does_not_show_itself() -> None:
    """Its representation, which a traceback could hold, is its public id."""
    key = private_key(PRIVATE, "here")

    assert f"CertificateKey({key.id})" == repr(key)


def test_without_cryptography_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    """Where the package is missing, keygen ends with one sentence and exit code 2."""
    code = (
        "import sys; sys.modules['cryptography'] = None; from rolecall.__main__ import main;"
        "sys.exit(main(['keygen', '--out', 'a.key']))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 2 == finished.returncode
    assert "pip install cryptography" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert [] == list(tmp_path.iterdir())
