"""Servers that look like faults of `faults/reported` and are none: the same shortcuts in comparing,
caching, timing and keeping, taken rightly.
"""

from __future__ import annotations

import time
import unicodedata

from cryptography.hazmat.primitives.asymmetric import ec

from rolecall.reference.alterations import note_keys
from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request, forbidden
from rolecall.reference.permissions import MANAGE_API_KEYS, RANK
from rolecall.reference.refresh import digest
from rolecall.reference.resources import Change, duplicate_email
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Principal, SigningKey
from rolecall.reference.variants.registry import variant

LONGEST_FOR_BCRYPT = 72
"""Bytes of a password."""
A_WHILE = 300.0
"""Seconds for which something is kept."""
TWICE = 30.0
"""Seconds in which a refresh may be sent again."""

# --- comparing -----------------------------------------------------------------------------------


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


# --- caching ------------------------------------------------------------------------------------


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


# --- time ---------------------------------------------------------------------------------------


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


# --- API keys -----------------------------------------------------------------------------------


@variant("keys-for-everybody")
def keys_for_everybody(server: Server) -> None:
    """Everybody may make keys for the own user, up to the scope of the own token, and may list and
    revoke them.
    """
    may, answer = server.guard.may, server.api_keys.answer

    def allowed(call: Call, principal: Principal) -> bool:
        if call.id is None and call.method == "POST":
            body = call.json()
            scopes = server.api_keys.scopes(body.get("scopes") if isinstance(body, dict) else None)
            own = isinstance(body, dict) and body.get("user", principal.id) == principal.id
            return own and all(
                RANK[scope] <= server.permissions.rank(principal.scopes) for scope in scopes
            )
        rows = [loads(text.encode()) for text in server.store.api_keys()]
        return call.id is not None and any(
            row["id"] == call.id and row["user"] == principal.id for row in rows
        )

    @instead_of(server.guard.may)
    def everybody(principal: Principal, operation: str) -> bool:
        return operation == MANAGE_API_KEYS or may(principal, operation)

    @instead_of(server.api_keys.answer)
    def own(call: Call, principal: Principal) -> Answer:
        if "admin" in principal.scopes or allowed(call, principal):
            return answer(call, principal)
        if call.id is None and call.verb == "GET":
            rows = [loads(text.encode()) for text in server.store.api_keys()]
            return Answer.of(200, [row for row in rows if row["user"] == principal.id])
        raise forbidden()


@variant("unknown-key-scopes-mean-nothing")
def unknown_key_scopes_mean_nothing(server: Server) -> None:
    """A key may be made with names that are no scopes beside ones that are; they give it nothing."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def known(value: object) -> list[str]:
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return scopes([name for name in value if name in ROLES])
        return scopes(value)


@variant("keys-listed-masked")
def keys_listed_masked(server: Server) -> None:
    """The list of keys shows the last four letters of each token."""
    keys, known = server.store.api_keys, note_keys(server)

    @instead_of(server.store.api_keys)
    def masked() -> list[str]:
        rows = [loads(text.encode()) for text in keys()]
        return [dumps({**row, "token": f"****{known.get(row['id'], '')[-4:]}"}) for row in rows]


@variant("keys-end-with-the-rights-of-their-user")
def keys_end_with_the_rights_of_their_user(server: Server) -> None:
    """A key may never more than the role that its user has at the time."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def bounded(claims: Document) -> Principal:
        principal = person(claims)
        if claims.get("grant_type") != API_KEY:
            return principal
        role = str(principal.user["role"])
        scopes = frozenset(min(name, role, key=RANK.__getitem__) for name in principal.scopes)
        return Principal(principal.user, scopes, principal.credential, claims)


@variant("key-refreshes-for-its-own-user")
def key_refreshes_for_its_own_user(server: Server) -> None:
    """GET refresh takes an API key as the bearer beside a refresh token of the key's own user, and
    gives a token of that user.
    """
    check = server.refresh.check_bearer

    @instead_of(server.refresh.check_bearer)
    def either(row: RefreshRow, principal: Principal) -> None:
        if principal.credential != "api-key" or row.user != principal.id:
            check(row, principal)


# --- histories and accounts ---------------------------------------------------------------------


@variant("change-of-role-ends-sessions")
def change_of_role_ends_sessions(server: Server) -> None:
    """Who is given another role has to log in again: the refresh tokens from before are refused."""
    update = server.resources.update_account

    @instead_of(server.resources.update_account)
    async def ending(id: str, members: Document) -> None:
        before = server.resources.stored("users", id).get("role")
        await update(id, members)
        if "role" in members and members["role"] != before:
            server.store.forget_refresh_tokens(id)


@variant("change-of-role-ends-tokens")
def change_of_role_ends_tokens(server: Server) -> None:
    """A time-based token is refused once its user has another role than it says; so are the refresh
    tokens from before.
    """
    change_of_role_ends_sessions(server)
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def of_the_same_role(claims: Document) -> Principal:
        principal = person(claims)
        if (
            principal.credential == "token"
            and server.permissions.rank(principal.scopes) > RANK[principal.user["role"]]
        ):
            raise server.verifier.invalid()
        return principal


@variant("addresses-given-once")
def addresses_given_once(server: Server) -> None:
    """An address that a user had, who was deleted or has another now, is given to nobody else: 409."""
    new_user, set_email, remove = (
        server.resources.new_user,
        server.store.set_email,
        server.store.remove,
    )
    had: dict[str, str] = {}

    def note(id: str) -> None:
        account = server.store.account(id)
        if account is not None:
            had[account.email.lower()] = id

    @instead_of(server.resources.new_user)
    async def never_used(change: Change) -> Document:
        email = change.members["email"]
        if isinstance(email, str) and email.lower() in had:
            raise duplicate_email()
        return await new_user(change)

    @instead_of(server.store.set_email)
    def another(id: str, email: str) -> None:
        if had.get(email.lower(), id) != id:
            raise duplicate_email()
        note(id)
        set_email(id, email)

    @instead_of(server.store.remove)
    def noted(resource: str, id: str) -> None:
        if resource == "users":
            note(id)
        remove(resource, id)


@variant("users-need-passwords-and-roles")
def users_need_passwords_and_roles(server: Server) -> None:
    """No user is made without a password, or without a role: 400 names what is missing."""
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def complete(change: Change) -> Document:
        for name in ("password", "role"):
            if name not in change.members:
                raise bad_request(f"{name} is required")
        return await new_user(change)


@variant("users-without-role-are-guests")
def users_without_role_are_guests(server: Server) -> None:
    """A user who is made without a role is a guest."""
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def guest(change: Change) -> Document:
        change.members.setdefault("role", "guest")
        return await new_user(change)


# --- what a token and an answer say -------------------------------------------------------------


@variant("es256")
def use_es256(server: Server) -> None:
    """Tokens are signed with ES256."""
    private = ec.generate_private_key(ec.SECP256R1())
    server.issuer.key = server.verifier.key = SigningKey("ES256", private, private.public_key())
    server.forgeable = False


@variant("scope-and-scp")
def scope_and_scp(server: Server) -> None:
    """A token has its scope as a text, as it has to, and beside it as a list for other readers,
    which is not looked at.
    """
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def both(user: Document) -> Document:
        document = claims(user)
        return {**document, "scp": document["scope"].split(" ")}


@variant("email-beside-the-id")
def email_beside_the_id(server: Server) -> None:
    """A token names its user's e-mail beside the id; the id counts."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def both(user: Document) -> Document:
        return {**claims(user), "email": user.get("email")}


@variant("users-say-that-they-have-a-password")
def users_say_that_they_have_a_password(server: Server) -> None:
    """A user shows whether there is a password, and since when; not which, nor its hash."""
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def with_facts(change: Change) -> Document:
        facts = {
            "hasPassword": "password" in change.members,
            "passwordChangedAt": server.clock.instant(),
        }
        change.members.update(facts)
        return await new_user(change)
