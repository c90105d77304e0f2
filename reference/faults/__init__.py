"""The fault catalogue: each fault is one small change of one decision, with one switch."""

from rolecall.reference.faults import (
    carrying,
    claims,
    conditions,
    credentials,
    detours,
    effects,
    errors,
    expiry,
    flips,
    histories,
    issue,
    keys,
    load,
    near_misses,
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
    near_misses,
    carrying,
    signatures,
    claims,
    permissions,
    detours,
    refusals,
    effects,
    profile,
    keys,
    flips,
    expiry,
    refresh,
    refreshed,
    refreshing,
    conditions,
    histories,
    errors,
    wire,
    load,
)

__all__ = ["FAULTS", "THEMES", "Fault"]
