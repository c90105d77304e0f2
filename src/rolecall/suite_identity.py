"""Which suite this is, to the byte, and how strong it is: what a certificate says of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

#: The top-level folders that are packages below ``rolecall`` (setup.py).
_MAPPED = ("conformance", "load", "schemas")


@cache
def identity() -> dict[str, Any]:
    """``package``: the digest of everything that is installed as ``rolecall``; ``kill_table``: the
    figures of docs/kill-table.md and its digest.
    """
    table = files("rolecall").joinpath("kill_table.json").read_text(encoding="utf-8")
    return {"package": f"sha256:{package_digest()}", "kill_table": json.loads(table)}


@cache
def package_digest() -> str:
    r"""The SHA-256 over all files of the package, in hexadecimal, as in-toto's dirHash has it.

    In the folder ``rolecall`` of an installed wheel it is what this prints::

        find . -type f -not -path '*/__pycache__/*' | cut -c3- | LC_ALL=C sort \
            | xargs -r sha256sum | sha256sum
    """
    found = dict(_files(files("rolecall"), ""))
    for folder in _MAPPED:
        found |= dict(_files(files(f"rolecall.{folder}"), f"{folder}/"))
    lines = [
        f"{hashlib.sha256(found[path].read_bytes()).hexdigest()}  {path}\n"
        for path in sorted(found, key=str.encode)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry
