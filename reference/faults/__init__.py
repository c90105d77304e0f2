"""The fault catalogue: each fault is one small change of one decision, with one switch."""

from rolecall.reference.faults import (
    carrying,
    claims,
    credentials,
    detours,
    effects,
    errors,
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
from rolecall.reference.faults.reported import caching, listing, ownership, routing, storing

THEMES = (
    issue,
    credentials,
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
    errors,
    wire,
    load,
    routing,
    caching,
    ownership,
    listing,
    storing,
)

__all__ = ["FAULTS", "THEMES", "Fault"]
