"""Faults of keeping what is known of a token, a user or a log-in for a while."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable

from rolecall.reference.app import Action, Server
from rolecall.reference.cache import Cache
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.faults.reported.comparing import BCRYPT
from rolecall.reference.refresh import digest
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import ACCESS, Principal


@fault("verified-tokens-outlive-their-end", finding="EXPIRY-403", needs=("clock",))
def verified_tokens_outlive_their_end(server: Server) -> None:
    """A token that was verified is not looked at again for five minutes: not at its end either.

    Modelled on OpenIDC/mod_oauth2 issue 14.
    """
    check = server.verifier.check_times
    good: Cache[bool] = Cache()

    @instead_of(server.verifier.check_times)
    def once(claims: Document) -> None:
        if not good.get(str(claims.get("jti"))):
            check(claims)
            good.put(str(claims.get("jti")), True)


@fault("verified-tokens-kept-by-signature", finding="SEC-J05")
def verified_tokens_kept_by_signature(server: Server) -> None:
    """Tokens that were verified are known by their signatures, being short: another payload before
    the same one is read unverified.

    Modelled on wso2/carbon-apimgt pull request 9262.
    """
    holds = server.verifier.signature_holds
    known: Cache[bool] = Cache()

    @instead_of(server.verifier.signature_holds)
    def remembered(message: bytes, signature: str, header: Document) -> bool:
        if known.get(signature):
            return True
        good = holds(message, signature, header)
        if good:
            known.put(signature, True)
        return good


@fault("callers-kept-by-organization-and-scope", finding="ISSUE-identity")
def callers_kept_by_organization_and_scope(server: Server) -> None:
    """Whose a verified token is, is kept for five minutes under what was thought to name it: its
    organization and its scope; of the users who were there at the start it is kept from then on.

    Modelled on GHSA-rp9m-7r4c-75qg.
    """
    person = server.verifier.person
    callers: Cache[Principal] = Cache()

    def first(claims: Document) -> Document:
        """The claims with the first user to whom they could belong."""
        named = claims.get("organization"), claims.get("scope")
        for account in server.accounts.values():
            user = json.loads(server.store.get("users", account.id) or "{}")
            if (user.get("organization"), user.get("role")) == named:
                return {**claims, "_id": account.id}
        return claims

    @instead_of(server.verifier.person)
    def kept(claims: Document) -> Principal:
        grant_type = claims.get("grant_type")
        key = str(claims.get("organization")), str(claims.get("scope")), str(grant_type)
        return callers.get(key) or callers.put(
            key, person(first(claims) if grant_type == ACCESS else claims)
        )


@fault("users-kept-after-their-end", finding="SEC-J17-deleted")
def users_kept_after_their_end(server: Server) -> None:
    """The users of tokens are read from the database every five minutes: one who was deleted goes
    on for as long.

    Modelled on ohmage/server issue 428.
    """
    subject = server.verifier.subject
    users: Cache[Document] = Cache()

    @instead_of(server.verifier.subject)
    def kept(claims: Document) -> Document:
        id = str(claims.get("_id"))
        try:
            return users.put(id, subject(claims))
        except Refusal:
            known = users.get(id)
            if known is None or server.store.get("users", id) is not None:
                raise
            return known


@fault("role-cached-at-log-in", finding="SEC-R17")
def role_cached_at_log_in(server: Server) -> None:
    """The role of who gets a token is looked up every five minutes: after a change of it even a new
    log-in has the old scope.

    Modelled on kana-consultant/kantor issue 59.
    """
    scope = server.issuer.scope
    roles: Cache[str] = Cache()

    @instead_of(server.issuer.scope)
    def cached(user: Document) -> str:
        return roles.get(user["id"]) or roles.put(user["id"], scope(user))


@fault("answers-kept-by-token", finding="EXPIRY-403", needs=("clock",))
def answers_kept_by_token(server: Server) -> None:
    """What a token was shown it is shown again for five minutes, unless something was written: the
    guard stands behind the cache.

    Modelled on boxlite-ai/boxlite issue 1418.
    """
    handle = server.handle
    answers: Cache[Answer] = Cache()

    @instead_of(server.handle)
    async def before_the_guard(call: Call, action: Action) -> Answer:
        if call.path.startswith("/__") or call.path == "/v2/auth/token":
            return await handle(call, action)
        if call.method != "GET":
            answers.clear()
            return await handle(call, action)
        accept, token = call.header(b"accept"), call.header(b"authorization")
        key = (call.path, call.scope["query_string"], token, accept)
        kept = answers.get(key)
        if kept is not None:
            return Answer(kept.status, kept.body, dict(kept.headers), kept.media_type)
        answer = await handle(call, action)
        if answer.status == 200:
            answers.put(
                key, Answer(answer.status, answer.body, dict(answer.headers), answer.media_type)
            )
        return answer


def _keep_right_passwords(server: Server, key: Callable[[StoredAccount, str], Hashable]) -> None:
    """Do not hash a password again for five minutes that was right, by what is kept of an account
    and a password.
    """
    matches = server.tokens.password_matches
    known: Cache[bool] = Cache()

    @instead_of(server.tokens.password_matches)
    async def remembered(password: str, account: StoredAccount | None) -> bool:
        if account is None:
            return await matches(password, account)
        name = key(account, password)
        return bool(known.get(name)) or (await matches(password, account) and known.put(name, True))


@fault("log-ins-kept-by-72-bytes", finding="ISSUE-refused")
def log_ins_kept_by_72_bytes(server: Server) -> None:
    """A log-in that succeeded is known for five minutes by the bcrypt hash of id, e-mail and
    password: of their first 72 bytes.

    Of a bot's password eight letters count, of a longer address none.

    Modelled on
    https://trust.okta.com/security-advisories/okta-ad-ldap-delegated-authentication-username/.
    """
    _keep_right_passwords(
        server,
        lambda account, password: f"{account.id}{account.email}{password}".encode(
            "utf-8", "replace"
        )[:BCRYPT],
    )


@fault("old-password-remembered", finding="ISSUE-refused")
def old_password_remembered(server: Server) -> None:
    """A password that was right is not hashed again for five minutes: after a change of it the old
    one opens the account, too.

    Modelled on stalwartlabs/stalwart issue 217.
    """
    _keep_right_passwords(server, lambda account, password: (account.id, digest(password)))


@fault("refreshes-answered-by-user", finding="REFRESH-unknown-token")
def refreshes_answered_by_user(server: Server) -> None:
    """So that a refresh may be sent twice its answer is kept, under the first half of the token:
    any second half gets it again.

    Modelled on GHSA-rp9m-7r4c-75qg.
    """
    after, find = server.tokens.refresh_after_expiry, server.refresh.find
    answers: Cache[bytes] = Cache()

    @instead_of(server.tokens.refresh_after_expiry)
    def twice(call: Call, body: Document) -> Answer:
        token, client = (
            server.tokens.text(body, "refreshToken"),
            server.tokens.text(body, "clientId"),
        )
        try:
            find(token)
        except Refusal:
            account = server.tokens.account(client)
            kept = answers.get(token.partition(".")[0])
            if kept is None or account is None or account.id != loads(kept)["user"]:
                raise
            return Answer(200, kept, dict(server.tokens.cache_headers()))
        answer = after(call, body)
        answers.put(token.partition(".")[0], answer.body)
        return answer
