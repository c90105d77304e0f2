"""Faults of answers that carry more than they may: inside of things, and in what refuses."""

from __future__ import annotations

from rolecall.reference.alterations import embed
from rolecall.reference.app import Server
from rolecall.reference.faults.registry import fault

# --- inside of things ---------------------------------------------------------------------------


@fault("contacts-hold-their-organization", finding="SEC-A14")
def contacts_hold_their_organization(server: Server) -> None:
    """Every answer with a contact or a knowledge item holds its whole organization."""
    embed(server, ("contacts", "kbitems"), "organization", "organizations")


@fault("participants-are-whole-users", finding="SEC-A14")
def participants_are_whole_users(server: Server) -> None:
    """Every answer with a conversation holds all that there is of its participants."""
    embed(server, ("conversations",), "participants.user", "users")
