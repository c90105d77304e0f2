"""Servers that differ without being wrong, trouble that is nobody's verdict, a server that watches, and servers to measure."""

from rolecall.reference.variants import (
    answers,
    ids,
    keys,
    lists,
    load,
    log_ins,
    lookalikes,
    members,
    network,
    refreshing,
    sessions,
    tokens,
    trouble,
    watching,
)
from rolecall.reference.variants.registry import VARIANTS, Variant

__all__ = [
    "VARIANTS",
    "Variant",
    "answers",
    "ids",
    "keys",
    "lists",
    "load",
    "log_ins",
    "lookalikes",
    "members",
    "network",
    "refreshing",
    "sessions",
    "tokens",
    "trouble",
    "watching",
]
