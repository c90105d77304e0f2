"""Servers that differ without being wrong, trouble that is nobody's verdict, a server that watches,
and servers to measure.
"""

from rolecall.reference.variants import (
    answers,
    api_keys,
    client_lint,
    exceptions,
    histories,
    ids,
    keys,
    lists,
    load,
    log_ins,
    lookalike_tokens,
    lookalikes,
    members,
    network,
    refreshing,
    sessions,
    tokens,
    trouble,
)
from rolecall.reference.variants.registry import VARIANTS, Variant

__all__ = [
    "VARIANTS",
    "Variant",
    "answers",
    "api_keys",
    "client_lint",
    "exceptions",
    "histories",
    "ids",
    "keys",
    "lists",
    "load",
    "log_ins",
    "lookalike_tokens",
    "lookalikes",
    "members",
    "network",
    "refreshing",
    "sessions",
    "tokens",
    "trouble",
]
