"""Variants that look like the reported faults of API keys, accounts and answers, and are lawful."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from rolecall.reference.alterations import note_keys
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import bad_request, forbidden
from rolecall.reference.permissions import MANAGE_API_KEYS, RANK
from rolecall.reference.resources import Change, duplicate_email
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Principal, SigningKey
from rolecall.reference.variants.registry import variant

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
    """A key may be made with unknown names beside known scopes; they give it nothing."""
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


# --- histories and accounts --------------------------------------------------------------------


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
    """The former address of a user, who was deleted or has another now, is not given again: 409."""
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


# --- what a token and an answer say ------------------------------------------------------------


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
