"""Shapes of a denied request: the same resource by another method, path or query.

A guard that is looked for by method, by prefix or by spelling, and a cache in front of it, hold in
one shape and not in another. Each denied read is tried in a few shapes, in turn, so that every
operation that is denied to three roles meets nearly all of them, and every role does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any, NamedTuple

from rolecall.loadgen.checks.expired import BANK, CLOCK, KEY
from rolecall.spec.model import Operation
from rolecall.spec.templates import with_query

#: Shapes in which one denied read is tried.
EACH = 3
#: What is asked right after a role that may has asked for the same URL.
AFTER = "right after a role that may"
#: The same for an expired token, after a good one of the same user.
AFTER_GOOD = "right after a good token"
_OVERRIDE = "x-http-method-override"


@dataclass(frozen=True)
class SampledCell:
    """An operation that a role tries, and whether the table allows it.

    Attributes:
        shape: how the request differs from the plain one, in words.
        method: its method, where it is not the operation's.
        after: what is asked right before it.
        way: what it is tried with in place of the role's own token: where an expired one is from,
            or what `strangers` present.
        refused: the status that it was refused with before the load where that is none that says
            denied.
        shown: whether its answer showed our thing before the load.
    """

    operation: Operation
    role: str
    allowed: bool
    path: str
    body: Any = None
    shape: str = ""
    method: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: SampledCell | None = None
    way: str = ""
    refused: int = 0
    shown: bool = False

    @property
    def is_expired(self) -> bool:
        """Whether it is tried with an expired token."""
        return self.way in (BANK, KEY, CLOCK)

    def __str__(self) -> str:
        more = ", ".join(
            filter(
                None,
                (f"expired token: {self.way}" if self.is_expired else self.way, self.shape),
            )
        )
        return f"{self.operation.name} as {self.role}" + (f" ({more})" if more else "")


class RequestShape(NamedTuple):
    """How a plain request is changed: in words, and in its parts."""

    shape: str
    path: str
    method: str = ""
    headers: Mapping[str, str] = {}
    after: SampledCell | None = None


def shapes_of(
    plain: SampledCell, opener: SampledCell | None, organization: str = ""
) -> list[RequestShape]:
    """All shapes of a denied read.

    Args:
        opener: the same of a role that may, if there is one.
        organization: the id of the caller's own organization, which a list is narrowed to.
    """
    path = plain.path
    bare, mark, query = path.partition("?")
    front, _, last = bare.rpartition("/")
    rest = f"{mark}{query}"
    narrower = {"select=id": "select=id"}
    if plain.operation.effect == "list":
        narrower |= {
            "limit=1": "limit=1",
            **({"the own organization": f"organization={organization}"} if organization else {}),
        }
    return [
        RequestShape("HEAD", path, "HEAD"),
        *([RequestShape(AFTER, path, after=opener)] if opener else []),
        RequestShape("with a slash at the end", f"{bare}/{rest}"),
        *(RequestShape(f"with {name}", with_query(path, more)) for name, more in narrower.items()),
        RequestShape("with a slash twice", f"{front}//{last}{rest}"),
        RequestShape(f"with {_OVERRIDE}: OPTIONS", path, headers={_OVERRIDE: "OPTIONS"}),
        RequestShape("in capitals", f"{_upper(bare, last, plain)}{rest}"),
        RequestShape("with a letter encoded", f"{_encoded(bare)}{rest}"),
    ]


def shaped(
    denied: Iterable[tuple[SampledCell, SampledCell | None]], organization: str = ""
) -> Iterator[SampledCell]:
    """Denied reads in some shapes each; every read goes on where the one before it stopped.

    Args:
        denied: each with the same of a role that may, if there is one.
    """
    taken = 0
    for plain, opener in denied:
        shapes = shapes_of(plain, opener, organization)
        for shape in islice(cycle(shapes), taken % len(shapes), taken % len(shapes) + EACH):
            yield dressed(plain, shape)
        taken += EACH


def dressed(plain: SampledCell, shape: RequestShape) -> SampledCell:
    """A plain cell in a shape."""
    return replace(plain, **shape._asdict())


def _upper(bare: str, last: str, plain: SampledCell) -> str:
    """The path in capitals, but for an id."""
    if plain.operation.effect == "list":
        return bare.upper()
    return bare.removesuffix(last).upper() + last


def _encoded(bare: str) -> str:
    """The path with a letter percent-encoded: /v2/users is /v2/%75sers (RFC 3986 6.2.2.2)."""
    version, _, rest = bare.lstrip("/").partition("/")
    return f"/{version}/%{ord(rest[0]):02x}{rest[1:]}" if rest else bare
