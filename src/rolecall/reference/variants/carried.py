"""Variants of what answers carry: mentions of other things, and headers of many kinds."""

from __future__ import annotations

from rolecall.reference.alterations import embed
from rolecall.reference.app import Server
from rolecall.reference.variants.registry import variant


@variant("things-are-mentioned-by-name")
def things_are_mentioned_by_name(server: Server) -> None:
    """What a thing refers to is mentioned with its name, and a little of what there is of it: the
    specification does not say what a reference looks like.
    """
    embed(server, ("contacts", "kbitems"), "organization", "organizations", ("name", "status"))
    embed(server, ("conversations",), "participants.user", "users", ("name", "role", "email"))
