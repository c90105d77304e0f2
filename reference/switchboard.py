"""The switches by name: faults that break the specification, variants that do not."""

from __future__ import annotations

from rolecall.reference.app import Server


def apply_switches(server: Server) -> None:
    """Throw the switches of a server's settings."""
