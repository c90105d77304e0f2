"""The fault catalogue: each fault is one small change of one decision, with one switch."""

from rolecall.reference.faults import (
    carrying,
    claims,
    credentials,
    detours,
    effects,
    errors,
    exceptions,
    expiry,
    flips,
    issue,
    keys,
    load,
    permissions,
    profile,
    refresh,
    refreshed,
    refreshing,
    refusals,
    signatures,
    wire,
)
from rolecall.reference.faults.registry import FAULTS, Fault

THEMES = (
    issue,
    credentials,
    carrying,
    signatures,
    claims,
    permissions,
    detours,
    exceptions,
    refusals,
    effects,
    profile,
    keys,
    flips,
    expiry,
    refresh,
    refreshed,
    refreshing,
    errors,
    wire,
    load,
)

__all__ = ["FAULTS", "THEMES", "Fault"]
