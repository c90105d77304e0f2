"""Faults of answers that tell a password, or what is kept of one."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _kept(server: Server, user: Document) -> str:
    account = server.store.account(str(user.get("id")))
    return (account.password if account else None) or ""


@fault("user-shows-local-auth", finding="SEC-I20")
def user_shows_local_auth(server: Server) -> None:
    """A user that is fetched has an object with hash and salt in it.

    Modelled on github.com/HabitRPG/habitica/issues/682.
    """
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def more(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        answer = fetch(call, principal, resource, id)
        if resource == "users":
            user = loads(answer.body)
            _, salt, kept = (_kept(server, user) or "$$").split("$")
            answer.body = dumps({**user, "auth": {"local": {"hash": kept, "salt": salt}}}).encode()
        return answer
