"""From a request to the operation it asks for, past the guard."""

from __future__ import annotations

from rolecall.reference.apikeys import ApiKeys
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import bad_request, forbidden, method_not_allowed, not_found
from rolecall.reference.guard import Guard
from rolecall.reference.permissions import MANAGE_API_KEYS
from rolecall.reference.resources import RESOURCES, Resources
from rolecall.reference.tokens import Principal

COLLECTION = {"GET": "list", "POST": "create"}
ITEM = {"GET": "fetch", "PATCH": "update", "DELETE": "delete"}


class Dispatcher:
    """Checks in this order: 401 (or 403 for an expired token), 405, 403, 404, 400."""

    def __init__(self, guard: Guard, resources: Resources, api_keys: ApiKeys) -> None:
        self.guard = guard
        self.resources = resources
        self.api_keys = api_keys

    async def answer(self, call: Call) -> Answer:
        """One request on a resource."""
        principal = self.guard.authenticate(call)
        operation = self.operation(call, principal)
        if not self.permitted(call, principal, operation):
            return await self.refuse(call, principal, operation)
        return await self.perform(call, principal, operation)

    def operation(self, call: Call, principal: Principal) -> str:
        """The name of what is asked for."""
        resource = RESOURCES.get(call.resource)
        if resource is None:
            raise not_found()
        if call.id is None:
            action = COLLECTION.get(call.verb)
            if action is None:
                raise method_not_allowed("GET", "HEAD", "POST")
            return f"{action}-{resource.plural if action == 'list' else resource.singular}"
        action = ITEM.get(call.verb)
        if action is None:
            raise method_not_allowed("GET", "HEAD", "PATCH", "DELETE")
        if action != "delete" and self.is_self(call, principal):
            return f"{action}-user-self"
        return f"{action}-{resource.singular}"

    def is_self(self, call: Call, principal: Principal) -> bool:
        """Whether the caller means its own user, by its exact id."""
        return call.resource == "users" and call.id == principal.id

    def permitted(self, call: Call, principal: Principal, operation: str) -> bool:
        """Whether the caller may."""
        return self.guard.may(principal, operation)

    async def refuse(self, call: Call, principal: Principal, operation: str) -> Answer:
        """What a caller hears who may not."""
        raise forbidden()

    async def perform(self, call: Call, principal: Principal, operation: str) -> Answer:
        """Do what is asked for."""
        action = operation.partition("-")[0]
        if call.id is None:
            if action == "list":
                return self.resources.listing(call, principal, call.resource)
            return await self.resources.create(call, principal, call.resource)
        if action == "fetch":
            return self.resources.fetch(call, principal, call.resource, call.id)
        if action == "update":
            return await self.resources.update(call, principal, call.resource, call.id)
        return self.resources.delete(principal, call.resource, call.id)

    async def conversation_messages(self, call: Call) -> Answer:
        """`POST /v2/conversations/{id}/messages`: create message."""
        if call.method != "POST":
            self.guard.authenticate(call)
            raise method_not_allowed("POST")
        call.resource, call.conversation, call.id = "messages", call.id, None
        return await self.answer(call)

    async def keys(self, call: Call) -> Answer:
        """`/v2/apikeys`."""
        principal = self.guard.authenticate(call)
        if not self.guard.may(principal, MANAGE_API_KEYS):
            raise forbidden()
        return self.api_keys.answer(call, principal)

    async def unknown(self, call: Call) -> Answer:
        """A path that leads nowhere; under /v2 it says so only to those who are logged in."""
        if call.path.startswith("/v2/"):
            self.guard.authenticate(call)
        raise not_found()


def clock_request(body: object) -> float:
    """The seconds in `{"advance": seconds}`."""
    seconds = body.get("advance") if isinstance(body, dict) else None
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or abs(seconds) > 10**9:
        raise bad_request("advance has to be a number of seconds")
    return seconds
