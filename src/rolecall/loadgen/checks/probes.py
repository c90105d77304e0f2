"""What is tried of the permission table under load: a request, who sends it, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle
from random import Random
from time import perf_counter
from typing import Literal

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.expired import Presented
from rolecall.loadgen.checks.sessions import LoginSession, SessionGrant, Use
from rolecall.loadgen.checks.shapes import SampledCell
from rolecall.loadgen.transport.wire import Response

_UNDER_WAY = 1.0


@dataclass(frozen=True)
class Probe:
    """A request to send, and what it is about.

    Attributes:
        name: for statistics: it holds nothing that is sent.
        expected: the statuses with which the server does its work.
        suspect: the exchange that gave cause for this one.
        login: of a log-in, which was sent when this was made.
        grant: of a cell, with what it is tried.
        is_renewed: whether a log-in has just gone before it, so that another one would be of no
            use.
        presented: of a cell that is tried with an expired token, or with none that is good.
    """

    cell: SampledCell
    method: str
    name: str
    request: bytes = field(repr=False)
    expected: tuple[int, ...]
    stage: Literal["before", "first", "again", "log-in", "anew"] = "first"
    suspect: tuple[bytes, Response] | None = field(default=None, repr=False)
    login: LoginSession | None = field(default=None, repr=False)
    grant: SessionGrant | None = field(default=None, repr=False)
    is_renewed: bool = False
    presented: Presented | None = field(default=None, repr=False)

    @property
    def use(self) -> Use | None:
        """The use that is told when no answer comes."""
        return self.login or self.presented or self.grant

    @property
    def row(self) -> str:
        """The row that it counts in: there are a few, not one for each cell."""
        if self.presented:
            return "expired tokens" if self.cell.is_expired else "without a good token"
        if self.cell.allowed or self.stage == "before":
            return "cells allowed"
        return "denied, other shapes" if self.cell.shape else "cells denied"


class SampledCaller:
    """The caller of a role's cells; it does not log in again before ``patience`` is over.

    While one is under way, at most `_UNDER_WAY` seconds, no other one begins: on a server with
    one session of each user it would end it.
    """

    def __init__(self, account: LoadAccount, grant: SessionGrant) -> None:
        self.account = account
        self.grant = grant
        self.patience = 0.0
        self.begun = -_UNDER_WAY

    @property
    def is_renewing(self) -> bool:
        """Whether a log-in may be under way, or must not be tried yet."""
        now = perf_counter()
        return now < self.begun + _UNDER_WAY or now < self.patience

    @property
    def has_to_renew(self) -> bool:
        """Whether the token is too old, or known to have been ended by another log-in."""
        holder = self.grant.session.holder
        return not self.grant.is_fresh or (
            holder.lone and not holder.shared and self.grant.may_be_refused
        )


def in_turn(kinds: Sequence[Sequence[SampledCell]]) -> Iterator[SampledCell]:
    """One cell of each kind in turn, and of each kind one in each shape, in a fixed order."""
    return _alternating(
        [_alternating([cycle(cells) for cells in _by_shape(kind)]) for kind in kinds if kind]
    )


def _by_shape(cells: Sequence[SampledCell]) -> list[list[SampledCell]]:
    """Cells by their shape, those of each shape in an order of chance."""
    shapes: dict[str, list[SampledCell]] = {}
    for cell in Random(0).sample(cells, len(cells)):  # noqa: S311  # an order, no secret
        shapes.setdefault(cell.shape, []).append(cell)
    return list(shapes.values())


def _alternating(several: Sequence[Iterator[SampledCell]]) -> Iterator[SampledCell]:
    """The next one of each, in turn."""
    return chain.from_iterable(zip(*several, strict=False)) if several else iter(())
