"""The fault catalogue: each fault is one small change of one decision, with one switch."""

from rolecall.reference.faults import errors, expiry, flips, issue, permissions, refresh, tokens, wire
from rolecall.reference.faults.registry import FAULTS, Fault

__all__ = [
    "FAULTS",
    "Fault",
    "errors",
    "expiry",
    "flips",
    "issue",
    "permissions",
    "refresh",
    "tokens",
    "wire",
]
