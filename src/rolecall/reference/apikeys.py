"""`/v2/apikeys`: "API Key tokens must have one or more scopes specified as an array of strings when
created".

The specification does not say where keys are made; this path is the server's own, open to the scope
admin.
"""

from __future__ import annotations

import secrets
from typing import Any

from rolecall.reference.call import Answer, Call
from rolecall.reference.clock import Clock
from rolecall.reference.errors import bad_request, method_not_allowed, not_found
from rolecall.reference.resources import new_id
from rolecall.reference.settings import ROLES
from rolecall.reference.store import Store
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.tokens import Principal, TokenIssuer


class ApiKeys:
    """Creates, lists and revokes keys."""

    def __init__(self, store: Store, clock: Clock, issuer: TokenIssuer) -> None:
        self.store = store
        self.clock = clock
        self.issuer = issuer

    def answer(self, call: Call, principal: Principal) -> Answer:
        """Dispatch by method."""
        if call.id is None:
            if call.verb == "GET":
                return Answer(200, f"[{','.join(self.store.api_keys())}]".encode())
            if call.method == "POST":
                return self.create(call, principal)
            raise method_not_allowed("GET", "POST")
        if call.method != "DELETE":
            raise method_not_allowed("DELETE")
        if not self.store.remove_api_key(call.id):
            raise not_found()
        return Answer(204)

    def create(self, call: Call, principal: Principal) -> Answer:
        """201 with the key; its token is shown this once."""
        body = call.json()
        if not isinstance(body, dict):
            raise bad_request("The body has to be an object")
        name = body.get("name", "")
        if not isinstance(name, str):
            raise bad_request("name has to be a text")
        scopes = self.scopes(body.get("scopes"))
        user = self.owner(body, principal)
        jti = secrets.token_hex(16)
        key = {
            "id": self.new_id(),
            "name": name,
            "scopes": scopes,
            "user": user["id"],
            "createdAt": self.clock.instant(),
        }
        self.store.add_api_key(jti, key["id"], dumps(key))
        answer = Answer.of(
            201, {**key, "token": self.issuer.write(self.issuer.key_claims(user, scopes, jti))}
        )
        answer.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache"})
        return answer

    def new_id(self) -> str:
        """An id that no other key has."""
        return new_id()

    def scopes(self, value: Any) -> list[str]:
        """One or more known names; how often and in what order does not matter."""
        if not isinstance(value, list) or not value:
            raise bad_request("scopes has to be a list of one or more scopes")
        if not all(isinstance(scope, str) and scope in ROLES for scope in value):
            raise bad_request(f"scopes are {', '.join(ROLES)}")
        return list(dict.fromkeys(value))

    def owner(self, body: Document, principal: Principal) -> Document:
        """The user the key acts as: its creator, or the one named."""
        if "user" not in body:
            return principal.user
        named = body["user"]
        text = self.store.get("users", named) if isinstance(named, str) else None
        if text is None:
            raise bad_request("user has to be a user's id")
        user: Document = loads(text.encode())
        return user
