"""Variants of what answers carry: mentions of other things, and headers of many kinds."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import quote

from rolecall.reference.alterations import embed
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.resources import RESOURCES
from rolecall.reference.strict_json import loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant


@variant("things-are-mentioned-by-name")
def things_are_mentioned_by_name(server: Server) -> None:
    """What a thing refers to is mentioned with its name, and a little of what there is of it: the
    specification does not say what a reference looks like.
    """
    embed(server, ("contacts", "kbitems"), "organization", "organizations", ("name", "status"))
    embed(server, ("conversations",), "participants.user", "users", ("name", "role", "email"))


@variant("headers-say-where-things-are")
def headers_say_where_things_are(server: Server) -> None:
    """Every answer about a thing, a refusal too, has headers that lead to it and tell its state:
    its name is a part of its address.
    """
    after = server.wire.after

    @instead_of(server.wire.after)
    async def with_headers(call: Call, answer: Answer) -> Answer:
        is_thing = call.id is not None and call.resource in RESOURCES
        text = server.store.get(call.resource, str(call.id)) if is_thing else None
        if text is not None:
            name = quote(str(loads(text.encode()).get("name", "")))
            digest = sha256(text.encode()).hexdigest()
            answer.headers |= {
                "Link": f'</v2/{call.resource}/{call.id}?name={name}>; rel="canonical"',
                "Content-Location": f"/v2/{call.resource}/{call.id}/{name}",
                "X-Resource-Id": str(call.id),
                "ETag": f'W/"{digest}"',
                "X-Request-Url": f"{call.path}",
            }
        return await after(call, answer)
