"""Variants that look like the reported faults of comparing, caching and time, and are lawful."""

from __future__ import annotations

import time
import unicodedata

from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.refresh import digest
from rolecall.reference.resources import Change, duplicate_email
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

LONGEST_FOR_BCRYPT = 72
"""Bytes of a password."""
A_WHILE = 300.0
"""Seconds for which something is kept."""
A_SECOND = 1.0
"""Seconds for which a user may be remembered."""
TWICE = 30.0
"""Seconds in which a refresh may be sent again."""

# --- comparing ----------------------------------------------------------------------------------


@variant("passwords-of-72-bytes-at-most")
def passwords_of_72_bytes_at_most(server: Server) -> None:
    """A password of more than 72 bytes is refused with 400, when it is set and when it is given."""
    checked, text = server.resources.checked_password, server.tokens.text

    @instead_of(server.resources.checked_password)
    def short(members: Document) -> str | None:
        password = checked(members)
        if (
            password is not None
            and len(password.encode("utf-8", "surrogatepass")) > LONGEST_FOR_BCRYPT
        ):
            raise bad_request("password has to have 72 bytes at most")
        return password

    @instead_of(server.tokens.text)
    def as_short(body: Document, name: str) -> str:
        value = text(body, name)
        if name == "password" and len(value.encode("utf-8", "surrogatepass")) > LONGEST_FOR_BCRYPT:
            raise bad_request("password has to have 72 bytes at most")
        return value


@variant("emails-folded-and-unique")
def emails_folded_and_unique(server: Server) -> None:
    """Addresses are compared without regard to case and form in all of Unicode; for that reason two
    that fold alike cannot be made.
    """

    def folded(email: str) -> str:
        return unicodedata.normalize("NFKC", email).casefold()

    def found(email: str) -> StoredAccount | None:
        for body in server.store.containing("users"):
            account = server.store.account(loads(body.encode())["id"])
            if account is not None and folded(account.email) == folded(email):
                return account
        return None

    new_user, set_email = server.resources.new_user, server.store.set_email

    @instead_of(server.tokens.account)
    def by_fold(email: str) -> StoredAccount | None:
        return found(email)

    @instead_of(server.resources.new_user)
    async def unlike_others(change: Change) -> Document:
        if found(server.resources.checked_email(change.members["email"])) is not None:
            raise duplicate_email()
        return await new_user(change)

    @instead_of(server.store.set_email)
    def unlike_those_of_others(id: str, email: str) -> None:
        other = found(email)
        if other is not None and other.id != id:
            raise duplicate_email()
        set_email(id, email)


@variant("client-id-without-spaces")
def client_id_without_spaces(server: Server) -> None:
    """Spaces around a clientId do not count; it is compared whole, and capitals do not matter."""
    text = server.tokens.text

    @instead_of(server.tokens.text)
    def stripped(body: Document, name: str) -> str:
        value = text(body, name)
        return value.strip(" ") if name == "clientId" else value


@variant("client-id-with-case")
def client_id_with_case(server: Server) -> None:
    """A clientId has to be written as the user's e-mail is."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def exactly(call: Call, body: Document) -> Answer:
        client = server.tokens.text(body, "clientId")
        account = server.tokens.account(client)
        if account is not None and account.email != client:
            raise server.refresh.refused()
        return after(call, body)


@variant("bearer-beside-client-id-has-to-fit")
def bearer_beside_client_id_has_to_fit(server: Server) -> None:
    """A bearer that is sent with POST refresh and still good has to be the refresh token's user's,
    as the clientId has; else 401.
    """
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def all_alike(call: Call, body: Document) -> Answer:
        row = server.refresh.find(server.tokens.text(body, "refreshToken"))
        if call.header(b"authorization") is not None:
            try:
                caller = server.guard.authenticate(call)
            except Refusal:
                return after(call, body)
            if caller.id != row.user:
                raise server.refresh.refused()
        return after(call, body)


@variant("refresh-token-in-two-columns")
def refresh_token_in_two_columns(server: Server) -> None:
    """A refresh token is found by its first half and compared by its second, in the row that the
    first half found.
    """
    issue, find = server.refresh.issue, server.refresh.find
    rows: dict[str, dict[str, str]] = {}

    @instead_of(server.refresh.issue)
    def kept(user: str) -> str:
        token = issue(user)
        rows.setdefault(user, {})[digest(token.rpartition(".")[2])] = token
        return token

    @instead_of(server.refresh.find)
    def in_two_steps(token: str) -> RefreshRow:
        user, _, secret = token.rpartition(".")
        return find(rows.get(user, {}).get(digest(secret), token))


# --- caching -----------------------------------------------------------------------------------


@variant("verified-tokens-kept-whole")
def verified_tokens_kept_whole(server: Server) -> None:
    """What was verified is kept for five minutes under the whole token; the end of it, its key and
    its user are looked at each time.
    """
    checked = server.verifier.checked_claims
    known: dict[str, tuple[float, Document]] = {}

    @instead_of(server.verifier.checked_claims)
    def once(token: str) -> Document:
        until, claims = known.get(token, (0.0, {}))
        if time.monotonic() >= until:
            claims = checked(token)
            known[token] = (time.monotonic() + A_WHILE, claims)
        return claims


@variant("users-kept-until-changed")
def users_kept_until_changed(server: Server) -> None:
    """The users of tokens are kept until something is written about them."""
    subject, replace, remove = server.verifier.subject, server.store.replace, server.store.remove
    users: dict[str, Document] = {}

    @instead_of(server.verifier.subject)
    def kept(claims: Document) -> Document:
        id = str(claims.get("_id"))
        if id not in users:
            users[id] = subject(claims)
        return users[id]

    @instead_of(server.store.replace)
    def replaced(resource: str, id: str, body: str) -> None:
        users.pop(id, None)
        replace(resource, id, body)

    @instead_of(server.store.remove)
    def removed(resource: str, id: str) -> None:
        users.pop(id, None)
        remove(resource, id)


@variant("users-kept-for-a-second")
def users_kept_for_a_second(server: Server) -> None:
    """The users of tokens are read at most once a second: who was deleted, or disabled, goes on for
    so long.
    """
    subject = server.verifier.subject
    users: dict[str, tuple[float, Document]] = {}

    @instead_of(server.verifier.subject)
    def kept(claims: Document) -> Document:
        id, now = str(claims.get("_id")), time.monotonic()
        read, user = users.get(id, (-A_SECOND, {}))
        if now - read >= A_SECOND:
            users.pop(id, None)
            read, user = now, subject(claims)
            users[id] = read, user
        return user


@variant("answers-kept-behind-the-guard")
def answers_kept_behind_the_guard(server: Server) -> None:
    """Lists and fetches are kept for each user and its scopes until something is written; the guard
    stands before the cache.
    """
    perform, handle = server.dispatcher.perform, server.handle
    answers: dict[tuple[object, ...], Answer] = {}

    @instead_of(server.handle)
    async def forgetting(call: Call, action: Action) -> Answer:
        answer = await handle(call, action)
        if call.method not in ("GET", "HEAD"):
            answers.clear()
        return answer

    @instead_of(server.dispatcher.perform)
    async def behind(call: Call, principal: Principal, operation: str) -> Answer:
        if call.method != "GET":
            return await perform(call, principal, operation)
        key = (
            principal.id,
            principal.scopes,
            call.path,
            call.scope["query_string"],
            call.header(b"host"),
        )
        if key not in answers:
            answers[key] = await perform(call, principal, operation)
        kept = answers[key]
        return Answer(kept.status, kept.body, dict(kept.headers), kept.media_type)


@variant("log-ins-kept-until-changed")
def log_ins_kept_until_changed(server: Server) -> None:
    """A password that was right is not hashed again, as long as the account has the same hash."""
    matches = server.tokens.password_matches
    known: set[tuple[str, str, str]] = set()

    @instead_of(server.tokens.password_matches)
    async def remembered(password: str, account: StoredAccount | None) -> bool:
        if account is None or account.password is None:
            return await matches(password, account)
        key = (account.id, account.password, digest(password))
        if key not in known and await matches(password, account):
            known.add(key)
        return key in known


@variant("refresh-may-be-sent-twice")
def refresh_may_be_sent_twice(server: Server) -> None:
    """The same POST refresh, sent again within 30 seconds, has the same answer; a refresh token is
    known by the whole of it.
    """
    after = server.tokens.refresh_after_expiry
    answers: dict[tuple[str, str], tuple[float, bytes]] = {}

    @instead_of(server.tokens.refresh_after_expiry)
    def again(call: Call, body: Document) -> Answer:
        token, client = (
            server.tokens.text(body, "refreshToken"),
            server.tokens.text(body, "clientId"),
        )
        key = (digest(token), client.lower())
        until, kept = answers.get(key, (0.0, b""))
        if time.monotonic() < until and server.store.get("users", loads(kept)["user"]) is not None:
            return Answer(200, kept, dict(server.tokens.cache_headers()))
        answer = after(call, body)
        if answer.status == 200:
            answers[key] = (time.monotonic() + TWICE, answer.body)
        return answer


# --- time --------------------------------------------------------------------------------------


@variant("ends-on-the-minute")
def ends_on_the_minute(server: Server) -> None:
    """A token ends with the minute in which its 24 hours end."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def rounded(user: Document) -> Document:
        document = claims(user)
        return {**document, "exp": document["exp"] - document["exp"] % 60 + 59}


@variant("issued-five-seconds-ago")
def issued_five_seconds_ago(server: Server) -> None:
    """A token says that it was issued five seconds before it was, for verifiers whose clocks are
    behind, and ends 24 hours later.
    """
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def earlier(user: Document) -> Document:
        document = claims(user)
        return {**document, "iat": document["iat"] - 5, "exp": document["exp"] - 5}
