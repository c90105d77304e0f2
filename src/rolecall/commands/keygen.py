"""Make a pair of Ed25519 keys: the private one signs certificates, the public one checks them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rolecall.errors import UsageError
from rolecall.screen import harmless, say

HELP = "make a pair of keys to sign certificates with"
_DEFAULT = Path("rolecall.key")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the keys are written."""
    parser.add_argument(
        "--out",
        type=Path,
        default=_DEFAULT,
        metavar="FILE",
        help="file of the private key; the public one is FILE.pub (default: rolecall.key)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write both files, or neither; neither may be there already.

    Raises:
        UsageError: a file is there, or cannot be written.
    """
    from rolecall.signing import new_pair, private_key

    private_file: Path = arguments.out
    public_file = private_file.with_name(f"{private_file.name}.pub")
    for file in (private_file, public_file):
        if file.exists() or file.is_symlink():
            raise UsageError(
                f"--out {file}", "there is such a file, and no key is overwritten", "Name another."
            )
    private, public = new_pair()
    _write(private_file, private, 0o600)
    try:
        _write(public_file, public, 0o644)
    except UsageError:
        private_file.unlink()
        raise
    say(f"private key   {harmless(str(private_file))}: keep it; rolecall certify --sign reads it")
    say(f"public key    {harmless(str(public_file))}: give it to whoever checks certificates")
    say(f"key id        {private_key(private, str(private_file)).id}")
    return 0


def _write(file: Path, data: bytes, mode: int) -> None:
    """Write a new file that has its mode from its first byte on, whole or not at all.

    Raises:
        UsageError: it cannot be made, or came to be there in the meantime.
    """
    is_ours = False
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        is_ours = True
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)  # a full disk may say so only now
    except OSError as error:
        if is_ours:
            file.unlink()
        raise UsageError(
            f"--out {file}", f"it cannot be written: {error.strerror}", "Name another."
        ) from None
