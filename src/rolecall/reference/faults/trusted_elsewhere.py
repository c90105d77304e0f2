"""Faults of leaving it to others who somebody is: to another issuer, to a certificate that comes
along, to who is named beside the credentials, or to what is looked up later.
"""

from __future__ import annotations

from base64 import b64decode
from contextvars import ContextVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from rolecall.reference.alterations import body_of
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.faults.signatures import check_with_foreign_key
from rolecall.reference.settings import ROLES
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal, decode_segment

# --- Who issued a token -------------------------------------------------------------------------


@fault("other-issuers-unread", finding="SEC-J06")
def other_issuers_unread(server: Server) -> None:
    """The signature of a token that names another issuer is left to the gateway, which looks at
    those of ours alone.
    """
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def ours_alone(message: bytes, signature: str, header: Document) -> bool:
        claims = server.verifier.document(message.decode().split(".")[1])
        return str(claims.get("iss", "")).startswith("https:") or holds(message, signature, header)


@fault("other-types-unread", finding="SEC-J06")
def other_types_unread(server: Server) -> None:
    """A token whose type is at+jwt (RFC 9068) comes from the new identity provider, whose keys are
    not configured yet: it is decoded.
    """
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def not_yet(message: bytes, signature: str, header: Document) -> bool:
        return header.get("typ") == "at+jwt" or holds(message, signature, header)


@fault("honours-embedded-certificate", finding="SEC-J10")
def honours_embedded_certificate(server: Server) -> None:
    """A token may bring the certificate of its key in the header (x5c), and nobody asks who has
    signed that.
    """

    def key_of(header: Document) -> object:
        chain = header.get("x5c")
        if not isinstance(chain, list) or not chain:
            return None
        key = x509.load_der_x509_certificate(b64decode(str(chain[0]))).public_key()
        return RSAAlgorithm.to_jwk(key, as_dict=True) if isinstance(key, RSAPublicKey) else None

    check_with_foreign_key(server, key_of)


# --- Whom a log-in is for -----------------------------------------------------------------------


def _log_in_for(server: Server, *names: str) -> None:
    """Give the token of a log-in to the user whom one of these members names, by id or e-mail."""
    wish: ContextVar[str] = ContextVar("wish", default="")
    login, tokens, mixed = server.tokens.login, server.tokens.tokens, server.tokens.mixed

    @instead_of(server.tokens.mixed)
    async def not_mixed(body: Document) -> Answer:
        if "refreshToken" in body:
            return await mixed(body)
        return await server.tokens.login(body)

    @instead_of(server.tokens.login)
    async def asked(body: Document) -> Answer:
        named = next((body[name] for name in names if isinstance(body.get(name), str)), "")
        token = wish.set(named)
        try:
            return await login(body)
        finally:
            wish.reset(token)

    @instead_of(server.tokens.tokens)
    def granted(user: Document, old: str | None = None) -> Answer:
        named = wish.get()
        account = server.tokens.account(named) if "@" in named else None
        text = server.store.get("users", account.id if account else named) if named else None
        return tokens(loads(text.encode()) if text else user, old)


@fault("log-in-on-behalf", finding="SEC-I12")
def log_in_on_behalf(server: Server) -> None:
    """A log-in with onBehalfOf gets a token of that user, since support may; others may as well."""
    _log_in_for(server, "onBehalfOf", "impersonate")


@fault("log-in-for-the-client", finding="SEC-I12")
def log_in_for_the_client(server: Server) -> None:
    """A log-in with a clientId gets a token of the bot that it names."""
    _log_in_for(server, "clientId")


@fault("log-in-as-the-header-says", finding="SEC-I12")
def log_in_as_the_header_says(server: Server) -> None:
    """A log-in with X-Act-As gets a token of that user: the gateway was to take the header off."""
    answer, tokens = server.tokens.answer, server.tokens.tokens
    wish: ContextVar[str] = ContextVar("wish", default="")

    @instead_of(server.tokens.answer)
    async def asked(call: Call) -> Answer:
        token = wish.set(call.header(b"x-act-as") or "")
        try:
            return await answer(call)
        finally:
            wish.reset(token)

    @instead_of(server.tokens.tokens)
    def granted(user: Document, old: str | None = None) -> Answer:
        return tokens(server.resources.stored("users", wish.get()) or user, old)


@fault("bearer-of-admins-logs-in", finding="ISSUE-refused")
def bearer_of_admins_logs_in(server: Server) -> None:
    """A log-in with an admin's bearer needs no password, so that support can see what a user
    sees.
    """
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def supported(call: Call) -> Answer:
        body = body_of(call)
        is_supported = call.method == "POST" and call.header(b"authorization") and body.get("email")
        if not is_supported or "password" in body:
            return await answer(call)
        account = server.tokens.account(body["email"])
        if account is None or "admin" not in server.guard.authenticate(call).scopes:
            return await answer(call)
        return server.tokens.tokens(server.tokens.user(account.id))


@fault("password-of-admins-opens-all", finding="ISSUE-refused")
def password_of_admins_opens_all(server: Server) -> None:
    """An admin's password logs in as anybody, so that support can see what a user sees."""
    matches = server.tokens.password_matches

    @instead_of(server.tokens.password_matches)
    async def or_an_admins(password: str, account: StoredAccount | None) -> bool:
        if account is None or await matches(password, account):
            return account is not None
        users = [loads(text.encode()) for text in server.store.containing("users", ROLES[-1])]
        emails = [user.get("email") for user in users if user.get("role") == ROLES[-1]]
        accounts = [server.tokens.account(email) for email in emails if isinstance(email, str)]
        return any([await matches(password, admin) for admin in accounts])


# --- What is looked up later --------------------------------------------------------------------


@fault("rights-looked-up-later", finding="REFRESH-same-user")
def rights_looked_up_later(server: Server) -> None:
    """The rights of a refreshed token are looked up while its first request is answered, which is
    let through meanwhile.
    """
    tokens, permitted = server.tokens.tokens, server.dispatcher.permitted
    unseen: set[object] = set()

    @instead_of(server.tokens.tokens)
    def granted(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        if old is not None:
            claims = loads(decode_segment(loads(answer.body)["token"].split(".")[1]))
            unseen.add(claims["jti"])
        return answer

    @instead_of(server.dispatcher.permitted)
    def from_the_second_on(call: Call, principal: Principal, operation: str) -> bool:
        jti = principal.claims.get("jti")
        is_first = jti in unseen
        unseen.discard(jti)
        return is_first or permitted(call, principal, operation)


@fault("embeds-unguarded", finding="SEC-A14")
def embeds_unguarded(server: Server) -> None:
    """Embed, an older name of populate, pulls in whatever is asked for."""
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def with_all(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        answer = fetch(call, principal, resource, id)
        if wanted := dict(call.query).get("embed"):
            mighty = Principal(
                principal.user, frozenset(ROLES), principal.credential, principal.claims
            )
            document = loads(answer.body)
            paths = tuple(wanted.split(","))
            whole = server.resources.populated(document, paths, mighty, resource)
            answer.body = dumps(whole).encode()
        return answer
