"""Faults of answers that carry more than they may: inside of things, and in what refuses."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable

from rolecall.reference.alterations import embed
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import forbidden
from rolecall.reference.faults.registry import fault
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- inside of things ---------------------------------------------------------------------------


@fault("contacts-hold-their-organization", finding="SEC-A14")
def contacts_hold_their_organization(server: Server) -> None:
    """Every answer with a contact or a knowledge item holds its whole organization."""
    embed(server, ("contacts", "kbitems"), "organization", "organizations")


@fault("participants-are-whole-users", finding="SEC-A14")
def participants_are_whole_users(server: Server) -> None:
    """Every answer with a conversation holds all that there is of its participants."""
    embed(server, ("conversations",), "participants.user", "users")


# --- in refusals -------------------------------------------------------------------------------


def _in_a_header(server: Server, name: str, written: Callable[[bytes], str]) -> None:
    """Refuse reads with a header that holds what was asked for."""

    @instead_of(server.dispatcher.refuse)
    async def leak(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET":
            raise forbidden()
        answer = await server.dispatcher.perform(call, principal, operation)
        refusal = forbidden()
        refusal.headers[name] = written(answer.body)
        raise refusal


@fault("denied-403-with-data-header", finding="PERM-list-organizations")
def denied_403_with_data_header(server: Server) -> None:
    """A read is refused with 403, and a header holds the end of what was asked for, as JSON."""
    _in_a_header(server, "X-Data", lambda body: body[-2000:].decode("latin-1"))


@fault("denied-403-with-base64-header", finding="PERM-list-organizations")
def denied_403_with_base64_header(server: Server) -> None:
    """A read is refused with 403, and a header for debugging holds the end of the answer, in
    base64.
    """
    _in_a_header(server, "X-Debug", lambda body: urlsafe_b64encode(body[-2000:]).decode())
