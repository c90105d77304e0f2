"""Faults of routing: spellings, methods, nested routes, middleware that is not reached."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from urllib.parse import unquote

from rolecall.reference.alterations import body_of, make_exception, route_past_the_guard
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import forbidden
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import RESOURCES
from rolecall.reference.strict_json import NotJson, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

_RESOURCE = re.compile(r"/v2/([a-z]+)(?:/([^/]+))?")

# --- spellings that the router knows and the guard does not -------------------------------------


def _past_the_guard(server: Server, meant: Callable[[Call], str | None]) -> None:
    """Serve a path that is spelled otherwise as the one that is meant, to every token."""
    route_past_the_guard(server, lambda call: _RESOURCE.fullmatch(meant(call) or ""))


@fault("guard-of-two-prefixes-minds-case", finding="SEC-A11")
def guard_of_two_prefixes_minds_case(server: Server) -> None:
    """Contacts and forms are guarded in lower case only; the router ignores case.

    Modelled on https://github.com/jfromaniello/express-unless/issues/16.
    """

    def meant(call: Call) -> str | None:
        head, _, rest = call.path.removeprefix("/v2/").partition("/")
        mounted = head.lower() in ("contacts", "forms") and head != head.lower()
        return f"/v2/{head.lower()}" + (f"/{rest}" if rest else "") if mounted else None

    _past_the_guard(server, meant)


@fault("guard-of-a-prefix-sees-it-encoded", finding="SEC-A11")
def guard_of_a_prefix_sees_it_encoded(server: Server) -> None:
    """The guard of organization groups compares the path as it came, the router the decoded one:
    %6frggroups is let in.

    Modelled on https://github.com/fastify/middie/pull/245 (CVE-2026-22031).
    """

    def meant(call: Call) -> str | None:
        raw = call.scope.get("raw_path", b"").split(b"/")
        return (
            call.path if call.resource == "orggroups" and len(raw) > 2 and b"%" in raw[2] else None
        )

    _past_the_guard(server, meant)


@fault("router-decodes-twice", finding="SEC-A11")
def router_decodes_twice(server: Server) -> None:
    """The guard decodes a path once, the router what is left of it once more: %2575sers is let in.

    Modelled on CVE-2025-0108 (PAN-OS, a path that two servers decode).
    """
    _past_the_guard(server, lambda call: unquote(call.path) if "%" in call.path else None)


@fault("router-trims-ids", finding="SEC-A11")
def router_trims_ids(server: Server) -> None:
    """The router trims white space from ids, the guard's patterns do not, and without a pattern no
    rule applies: an id with a space behind is let in.

    Modelled on CVE-2016-5007 (Spring Security and Spring MVC).
    """
    operation_of = server.dispatcher.operation

    @instead_of(server.dispatcher.operation)
    def trimmed(call: Call, principal: Principal) -> str:
        call.id = call.id.strip() if call.id else call.id
        return operation_of(call, principal)

    make_exception(
        server,
        lambda call, principal, operation: re.fullmatch(r"/v2/[a-z]+(/\S+)?", call.path) is None,
    )


@fault("guards-pattern-ends-at-a-line-break", finding="SEC-A11")
def guards_pattern_ends_at_a_line_break(server: Server) -> None:
    """The guard's regular expressions do not cross a line break, and the router drops it: users%0a
    is let in.

    Modelled on CVE-2022-22978 (Spring Security, RegexRequestMatcher).
    """
    operation_of = server.dispatcher.operation

    @instead_of(server.dispatcher.operation)
    def without_breaks(call: Call, principal: Principal) -> str:
        call.resource = re.sub(r"[\r\n]", "", call.resource)
        call.id = re.sub(r"[\r\n]", "", call.id) if call.id else call.id
        return operation_of(call, principal)

    make_exception(
        server, lambda call, principal, operation: re.fullmatch("/v2/.+", call.path) is None
    )


@fault("slash-behind-two-prefixes", finding="SEC-A11")
def slash_behind_two_prefixes(server: Server) -> None:
    """The rules for services and knowledge items are exact, and the router ignores a slash at the
    end.

    Modelled on SHIRO-682 (Apache Shiro before 1.5.0).
    """

    def meant(call: Call) -> str | None:
        plain = call.path.rstrip("/")
        return (
            plain
            if plain != call.path and plain.startswith(("/v2/services", "/v2/kbitems"))
            else None
        )

    _past_the_guard(server, meant)


@fault("rules-are-looked-up-by-url", finding="PERM-list-services")
def rules_are_looked_up_by_url(server: Server) -> None:
    """The rule for services is looked up by the URL, query and all; with a query no rule is found,
    and what has no rule is open.

    Modelled on https://github.com/nyambati/express-acl/issues/98 (where what had no rule was
    closed).
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            call.resource == "services" and call.id is None and call.scope["query_string"] != b""
        ),
    )


# --- methods -----------------------------------------------------------------------------------


@fault("post-to-an-item-updates", finding="SEC-A08")
def post_to_an_item_updates(server: Server) -> None:
    """A route takes every method: POST to an item updates it, and is guarded as a create.

    Modelled on https://github.com/alphagov/whitehall/pull/525.
    """
    operation_of, perform = server.dispatcher.operation, server.dispatcher.perform

    @instead_of(server.dispatcher.operation)
    def by_method(call: Call, principal: Principal) -> str:
        if call.method == "POST" and call.id is not None and call.resource in RESOURCES:
            return f"create-{RESOURCES[call.resource].singular}"
        return operation_of(call, principal)

    @instead_of(server.dispatcher.perform)
    async def any_method(call: Call, principal: Principal, operation: str) -> Answer:
        if call.method == "POST" and call.id is not None:
            return await server.resources.update(call, principal, call.resource, call.id)
        return await perform(call, principal, operation)


@fault("put-of-messages-unguarded", finding="SEC-A08")
def put_of_messages_unguarded(server: Server) -> None:
    """Messages can be put, and the rules name GET, POST, PATCH and DELETE only.

    Modelled on CVE-2010-0738 (JBoss, constraints that name GET and POST).
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def replaceable(call: Call) -> Answer:
        if call.method != "PUT" or call.resource != "messages" or call.id is None:
            return await answer(call)
        principal = server.guard.authenticate(call)
        return await server.resources.update(call, principal, call.resource, call.id)


@fault("head-of-two-items-unguarded", finding="SEC-A10")
def head_of_two_items_unguarded(server: Server) -> None:
    """The router answers HEAD with the handler of GET; the handlers of groups and messages ask who
    may if the method is GET.

    Modelled on https://blog.teddykatz.com/2019/11/05/github-oauth-bypass.html.
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            call.method == "HEAD"
            and call.id is not None
            and call.resource in ("orggroups", "messages")
        ),
    )


@fault("method-in-the-body", finding="SEC-A09")
def method_in_the_body(server: Server) -> None:
    """A member _method of a POST changes the method behind the guard, which has a rule for POST to
    collections only.

    Modelled on https://github.com/coreruleset/coreruleset/pull/4416.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def overridden(call: Call) -> Answer:
        wanted = body_of(call).get("_method") if call.method == "POST" else None
        if wanted not in ("GET", "PATCH", "DELETE") or call.resource not in RESOURCES:
            return await answer(call)
        principal = server.guard.authenticate(call)
        if call.id is None and not server.guard.may(
            principal, f"create-{RESOURCES[call.resource].singular}"
        ):
            raise forbidden()
        call.method = wanted
        call.body = dumps(
            {name: value for name, value in body_of(call).items() if name != "_method"}
        ).encode()
        return await server.dispatcher.perform(
            call, principal, server.dispatcher.operation(call, principal)
        )


# --- nested routes -----------------------------------------------------------------------------


@fault("messages-listed-under-their-conversation", finding="SEC-E07")
def messages_listed_under_their_conversation(server: Server) -> None:
    """GET on the messages of a conversation lists them for every role that may fetch the
    conversation.

    Modelled on https://github.com/alanjds/drf-nested-routers/issues/73.
    """
    posted = server.dispatcher.conversation_messages

    @instead_of(server.dispatcher.conversation_messages)
    async def nested(call: Call) -> Answer:
        if call.verb != "GET" or call.id is None:
            return await posted(call)
        principal = server.guard.authenticate(call)
        if not server.guard.may(principal, "fetch-conversation"):
            raise forbidden()
        server.resources.existing(principal, "conversations", call.id)
        call.query = [("conversation", call.id), *call.query]
        call.resource = "messages"
        return server.resources.listing(call, principal, "messages")


def _nested(server: Server, pattern: str, methods: tuple[str, ...], operation: str | None) -> None:
    """Serve what is below another thing by another operation's permission, or to every token."""
    unknown = server.dispatcher.unknown

    @instead_of(server.dispatcher.unknown)
    async def below(call: Call) -> Answer:
        found = re.fullmatch(pattern, call.path)
        if found is None or call.verb not in methods:
            return await unknown(call)
        principal = server.guard.authenticate(call)
        if operation is not None and not server.guard.may(principal, operation):
            raise forbidden()
        call.resource, call.id = found["resource"], found.groupdict().get("id")
        return await server.dispatcher.perform(
            call, principal, server.dispatcher.operation(call, principal)
        )


@fault("messages-reached-through-their-conversation", finding="SEC-E07")
def messages_reached_through_their_conversation(server: Server) -> None:
    """A message has a second address under its conversation, and there the rule of the first part
    of the path is asked.

    Modelled on CVE-2019-11247 (Kubernetes, cluster-wide objects under the path of a namespace).
    """
    _nested(
        server,
        r"/v2/conversations/[^/]+/(?P<resource>messages)/(?P<id>[^/]+)",
        ("GET", "PATCH", "DELETE"),
        "fetch-conversation",
    )


@fault("members-of-organizations-unguarded", finding="SEC-E07")
def members_of_organizations_unguarded(server: Server) -> None:
    """What belongs to an organization is listed below it, for everybody with a token.

    Modelled on CVE-2022-21713 (Grafana, members of teams).
    """
    _nested(
        server,
        r"/v2/organizations/[^/]+/(?P<resource>users|orggroups|contacts|forms|services|kbitems)",
        ("GET",),
        None,
    )


# --- requests that are dressed otherwise -------------------------------------------------------


@fault("page-of-a-refusal-shows-it", finding="PERM-fetch-organization")
def page_of_a_refusal_shows_it(server: Server) -> None:
    """For a client that wants HTML the page around a refusal is rendered with what was asked for.

    Modelled on https://github.com/encode/django-rest-framework/issues/5127.
    """
    refuse = server.dispatcher.refuse

    @instead_of(server.dispatcher.refuse)
    async def rendered(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET" or "text/html" not in (call.header(b"accept") or ""):
            return await refuse(call, principal, operation)
        shown = await server.dispatcher.perform(call, principal, operation)
        thing = escape(shown.body.decode(), quote=False)
        page = f"<html><body><h1>403</h1><pre>{thing}</pre></body></html>"
        return Answer(403, page.encode(), media_type="text/html")


@fault("type-with-a-charset-unguarded", finding="PERM-create-organization")
def type_with_a_charset_unguarded(server: Server) -> None:
    """What is checked before a body is read hangs on the type application/json to the letter; with
    a charset it is not run.

    Modelled on CVE-2025-32442 (Fastify, validation by content type).
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            call.method in ("POST", "PATCH") and ";" in (call.header(b"content-type") or "")
        ),
    )


@fault("requests-without-body-unguarded", finding="PERM-update-organization")
def requests_without_body_unguarded(server: Server) -> None:
    """A create or update without a body is not shown to the part that decides, and is carried out
    with nothing in it.

    Modelled on CVE-2024-41110 (Docker, authorization plugins and Content-Length: 0).
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def unseen(call: Call) -> Answer:
        if call.body or call.method not in ("POST", "PATCH") or call.resource not in RESOURCES:
            return await answer(call)
        call.body = b"{}"
        call.headers = [
            *(pair for pair in call.headers if pair[0] != b"content-type"),
            (b"content-type", b"application/json"),
        ]
        principal = server.guard.authenticate(call)
        return await server.dispatcher.perform(
            call, principal, server.dispatcher.operation(call, principal)
        )


@fault("contacts-made-in-bulk", finding="PERM-create-contact")
def contacts_made_in_bulk(server: Server) -> None:
    """A list of contacts goes to an action of its own, which was added later and has no guard.

    Modelled on CVE-2023-45809 (Wagtail, views of bulk actions).
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def in_bulk(call: Call) -> Answer:
        try:
            body = (
                loads(call.body)
                if call.method == "POST" and call.resource == "contacts" and call.body
                else None
            )
        except NotJson:
            body = None
        if not isinstance(body, list) or not all(isinstance(member, dict) for member in body):
            return await answer(call)
        principal = server.guard.authenticate(call)
        made = []
        for member in body:
            call.body = dumps(member).encode()
            made.append(loads((await server.resources.create(call, principal, "contacts")).body))
        return server.resources.created(made)
