"""Faults of ownership: exceptions for owners and participants, and who counts as oneself."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from fnmatch import fnmatchcase

from rolecall.reference.alterations import (
    asked_for,
    body_of,
    make_exception,
    note_makers,
    parameter,
    takes_part,
)
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- one's own things ---------------------------------------------------------------------------


@fault("participants-update-conversations", finding="PERM-update-conversation")
def participants_update_conversations(server: Server) -> None:
    """A participant of a conversation may update it, to give it a name.

    Modelled on https://github.com/linagora/Twake/issues/842.
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            operation == "update-conversation" and takes_part(principal, asked_for(server, call))
        ),
    )


@fault("authors-edit-their-messages", finding="PERM-update-message")
def authors_edit_their_messages(server: Server) -> None:
    """The author of a message may update and delete it, whatever the role may.

    Modelled on https://github.com/RocketChat/Rocket.Chat/issues/5434.
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            operation in ("update-message", "delete-message")
            and asked_for(server, call).get("user") == principal.id
        ),
    )


@fault("makers-fetch-what-they-made", finding="PERM-fetch-message")
def makers_fetch_what_they_made(server: Server) -> None:
    """The maker of a thing gets it shown: the refusal looks up the maker before it refuses. A key
    has made nothing.

    Modelled on https://github.com/ORNL/DataFed/issues/109.
    """
    makers, refuse = note_makers(server), server.dispatcher.refuse

    @instead_of(server.dispatcher.refuse)
    async def shown_to_makers(call: Call, principal: Principal, operation: str) -> Answer:
        own = principal.credential == "token" and makers.get(call.id or "") == principal.id
        if own and operation.startswith("fetch-"):
            return await server.dispatcher.perform(call, principal, operation)
        return await refuse(call, principal, operation)


@fault("makers-delete-what-they-made", finding="PERM-delete-conversation")
def makers_delete_what_they_made(server: Server) -> None:
    """The maker of a thing may delete it again, with a token; a key has made nothing.

    Modelled on https://github.com/GoldenSoftwareLtd/gedemin/issues/306.
    """
    makers = note_makers(server)
    make_exception(
        server,
        lambda call, principal, operation: (
            operation.startswith("delete-")
            and principal.credential == "token"
            and makers.get(call.id or "") == principal.id
        ),
    )


@fault("participants-list-the-messages", finding="PERM-list-messages")
def participants_list_the_messages(server: Server) -> None:
    """The messages of a conversation are listed for its participants.

    Modelled on https://github.com/RocketChat/Rocket.Chat/issues/15320.
    """

    def own(call: Call, principal: Principal, operation: str) -> bool:
        conversation = parameter(call, "conversation")
        if operation != "list-messages" or conversation is None:
            return False
        return takes_part(principal, server.resources.stored("conversations", conversation))

    make_exception(server, own)


@fault("own-organization-is-open", finding="PERM-fetch-organization")
def own_organization_is_open(server: Server) -> None:
    """One's own organization may be fetched without a permission.

    Modelled on https://github.com/appsmithorg/appsmith/issues/39612.
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            operation == "fetch-organization"
            and call.id is not None
            and call.id == principal.user.get("organization")
        ),
    )


@fault("participants-look-each-other-up", finding="PERM-fetch-user")
def participants_look_each_other_up(server: Server) -> None:
    """A user may be fetched by everybody who takes part in a conversation with that user.

    Modelled on https://github.com/pod4lib/aggregator/issues/736.
    """

    def acquainted(call: Call, principal: Principal, operation: str) -> bool:
        if operation != "fetch-user" or call.id is None:
            return False
        shared = (
            loads(text.encode())
            for text in server.store.containing("conversations", principal.id, call.id)
        )
        return any(
            takes_part(principal, conversation)
            and any(
                participant.get("user") == call.id
                for participant in conversation.get("participants", [])
            )
            for conversation in shared
        )

    make_exception(server, acquainted)


# --- oneself as a thing ------------------------------------------------------------------------


@fault("users-delete-themselves", finding="PERM-delete-user")
def users_delete_themselves(server: Server) -> None:
    """The exception for oneself is for every method: users may delete their own user.

    Modelled on https://github.com/craftcms/cms/issues/6095.
    """
    make_exception(
        server,
        lambda call, principal, operation: operation == "delete-user" and call.id == principal.id,
    )


@fault("whatever-names-me-is-mine", finding="PERM-list-users")
def whatever_names_me_is_mine(server: Server) -> None:
    """A read is one's own if one's id or address stands anywhere in the URL: a list that is
    filtered by them is let in.

    Modelled on https://github.com/xmidt-org/webpa-common/issues/62.
    """

    def named(call: Call, principal: Principal, operation: str) -> bool:
        values = " ".join(value for _, value in call.query)
        return operation == "list-users" and any(
            mine in values for mine in (principal.id, str(principal.user.get("email"))) if mine
        )

    make_exception(server, named)


@fault("body-names-the-caller", finding="SEC-A05")
def body_names_the_caller(server: Server) -> None:
    """The own user is recognised by the id in the body, and the user in the path is updated.

    Modelled on https://github.com/aaryan498/WiseMindOS/issues/154.
    """
    is_self = server.dispatcher.is_self

    @instead_of(server.dispatcher.is_self)
    def by_body(call: Call, principal: Principal) -> bool:
        if call.resource == "users" and call.method == "PATCH":
            body = body_of(call)
            named = next(
                (body[name] for name in ("userId", "user", "id", "_id") if name in body), call.id
            )
            return named == principal.id
        return is_self(call, principal)


@fault("query-names-another", finding="SEC-A05")
def query_names_another(server: Server) -> None:
    """The guard looks at the id in the path, the action at all parameters, those of the query
    first: ?id= is fetched and updated.

    Modelled on CVE-2017-1001000 (WordPress 4.7, content injection by the REST API).
    """
    perform = server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def merged(call: Call, principal: Principal, operation: str) -> Answer:
        named = parameter(call, "id") or parameter(call, "_id")
        if call.resource == "users" and call.id is not None and named:
            call.id = named
        return await perform(call, principal, operation)


@fault("id-is-a-pattern", finding="SEC-A05")
def id_is_a_pattern(server: Server) -> None:
    """Users are looked up with LIKE: an id with % or _ in it fits oneself, and the first user that
    it fits is taken.

    Modelled on https://github.com/privacyidea/privacyidea/issues/5561.
    """
    is_self = server.dispatcher.is_self

    def fits(id: str, pattern: str) -> bool:
        return fnmatchcase(
            id, re.sub(r"([\[?*])", r"[\1]", pattern).replace("%", "*").replace("_", "?")
        )

    @instead_of(server.dispatcher.is_self)
    def alike(call: Call, principal: Principal) -> bool:
        if call.resource != "users" or call.id is None or not re.search("[%_]", call.id):
            return is_self(call, principal)
        users = (loads(text.encode())["id"] for text in server.store.containing("users"))
        pattern, call.id = call.id, next((id for id in users if fits(id, call.id or "")), call.id)
        return fits(principal.id, pattern)


# --- ids made in the same moment ---------------------------------------------------------------


@fault("same-second-is-oneself", finding="SEC-A05")
def same_second_is_oneself(server: Server) -> None:
    """Ids begin with the second of creation; users of the same second count as oneself.

    Modelled on https://github.com/mongodb/bson-rust/pull/153.
    """
    counter = itertools.count(secrets.randbelow(2**16))
    process = secrets.token_hex(5)
    is_self = server.dispatcher.is_self

    @instead_of(server.resources.new_id)
    def with_time(resource: str) -> str:
        return f"{int(time.time()):08x}{process}{next(counter) % 2**24:06x}"

    @instead_of(server.dispatcher.is_self)
    def of_my_second(call: Call, principal: Principal) -> bool:
        if call.resource != "users" or call.id is None or call.id[8:18] != process:
            return is_self(call, principal)
        return call.id[:18] == principal.id[:18]


@fault("everybody-invites-guests", finding="PERM-create-user")
def everybody_invites_guests(server: Server) -> None:
    """A user of the lowest role may be made by everybody: it is an invitation."""
    make_exception(
        server,
        lambda call, principal, operation: (
            operation == "create-user" and body_of(call).get("role") == "guest"
        ),
    )
