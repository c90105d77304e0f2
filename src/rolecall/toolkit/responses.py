"""Sorts the responses of a run by the schema that they must have."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import urlsplit

from rolecall.evidence import Evidence, Exchange, cite
from rolecall.spec.ids import own_id
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Operation, Specification
from rolecall.spec.templates import path_pattern
from rolecall.target import Target
from rolecall.tokens import TOKEN_PATH


def kinds() -> list[str]:
    """The names of the schemas: token, API key, each resource, and lists of each resource."""
    resources = load_specification().resources
    return ["token", "api-key", *resources, *(f"{name}-list" for name in resources)]


def _is_another_s(exchange: Exchange) -> bool:
    """Whether it is a whole answer, and was found to be another's than the target's."""
    return bool(exchange.error and exchange.status and exchange.begun is None)


class Responses:
    """All responses of a run up to now."""

    def __init__(self, evidence: Evidence, spec: Specification, target: Target) -> None:
        self._evidence = evidence
        self._base = target.base_url
        self._keys_path = target.api_keys.create_path
        self._operations = [
            (
                operation.method,
                re.compile(path_pattern(urlsplit(operation.path).path, "[^/]+") + "$"),
                operation,
            )
            for operation in spec.operations.values()
            if operation.effect != "delete"
        ]
        self._sorted: dict[str, list[Exchange]] | None = None

    def _own(self) -> list[Exchange]:
        """All exchanges but those in which somebody else answered for the target."""
        return [exchange for exchange in self._evidence.exchanges if not _is_another_s(exchange)]

    def all(self) -> list[Exchange]:
        """The target's answers, whatever they are answers to."""
        return _cited(
            [
                exchange
                for exchange in self._own()
                if exchange.status and exchange.url.startswith(self._base)
            ]
        )

    def of(self, kind: str) -> list[Exchange]:
        """The successful responses that must have the schema ``kind``, no body twice.

        A request outside the specification has no schema, and a body that is not JSON is
        RESPONSE-json's matter. An update may be answered without a body; one that says no more
        than that it is done shows no thing either.

        Raises:
            Inconclusive: a body was kept in part, or is too large to be looked at.
        """
        if self._sorted is None:
            self._sorted = defaultdict(list)
            for exchange in self._own():
                if not exchange.ok or not exchange.body or exchange.attack or exchange.is_torn:
                    continue
                found = self._kind(exchange)
                if found and not self._is_done(exchange):
                    self._sorted[found].append(exchange)
        return _distinct(_cited(self._sorted[kind]))

    def with_body(self) -> list[Exchange]:
        """The target's good responses with a body, to requests that define one and prefer no other
        type (RFC 9110 12.5.1).
        """
        return _cited(
            [
                exchange
                for exchange in self._own()
                if exchange.ok
                and exchange.body
                and self._kind(exchange)
                and "json" in exchange.request_headers.get("accept", "json").partition(",")[0]
            ]
        )

    def errors(self) -> list[Exchange]:
        """The refusals of well-formed requests that have a body, none twice."""
        return _distinct(
            _cited(
                [
                    exchange
                    for exchange in self._own()
                    if 400 <= exchange.status < 500
                    and exchange.body
                    and not exchange.attack
                    and not exchange.is_torn
                    and exchange.url.startswith(self._base)
                ]
            )
        )

    def with_status(self, *statuses: int) -> list[Exchange]:
        """The target's answers with one of these statuses."""
        return _cited(
            [e for e in self._own() if e.status in statuses and e.url.startswith(self._base)]
        )

    def answered(self, *effects: str) -> Iterator[tuple[Exchange, Operation]]:
        """The target's answers to requests of operations with these effects as the specification
        has them, in order, with the first operation that such a request is of.
        """
        for exchange in self._own():
            plain = exchange.status and not exchange.attack and not exchange.is_torn
            operation = self._operation(exchange) if plain else None
            if operation and operation.effect in effects:
                yield exchange, operation

    def _operation(self, exchange: Exchange) -> Operation | None:
        if not exchange.url.startswith(self._base):
            return None
        path = urlsplit(exchange.url.removeprefix(self._base)).path
        return next(
            (
                operation
                for method, pattern, operation in self._operations
                if method == exchange.method and pattern.match(path)
            ),
            None,
        )

    def _is_done(self, exchange: Exchange) -> bool:
        """Whether the answer to an update is about the update, and shows no thing."""
        if not isinstance(exchange.json, dict) or own_id(exchange.document):
            return False  # as nearly all: for these no operation is looked up a second time
        operation = self._operation(exchange)
        return operation is not None and operation.effect == "update"

    def _kind(self, exchange: Exchange) -> str:
        if not exchange.url.startswith(self._base):
            return ""
        path = urlsplit(exchange.url.removeprefix(self._base)).path
        if path == TOKEN_PATH:
            return "token" if exchange.method in ("GET", "POST") else ""
        if path == self._keys_path and exchange.method == "POST":
            return "api-key"
        operation = self._operation(exchange)
        if operation is None:
            return ""
        is_list = operation.effect == "list" or (
            operation.effect == "create" and isinstance(exchange.json, list)
        )
        return f"{operation.resource.name}-list" if is_list else operation.resource.name


def _cited(exchanges: list[Exchange]) -> list[Exchange]:
    if exchanges:
        cite(exchanges[-1])
    return exchanges


def _distinct(exchanges: list[Exchange]) -> list[Exchange]:
    """The first one with each body."""
    by_body: dict[bytes, Exchange] = {}
    for exchange in exchanges:
        by_body.setdefault(exchange.body, exchange)
    return list(by_body.values())
