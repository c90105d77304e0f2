"""Faults of roles, addresses and deleted users that are read too early or kept too long."""

from __future__ import annotations

from rolecall.reference.alterations import keep_sessions_of_the_deleted, note_the_deleted
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("refreshed-role-copied-from-bearer", finding="SEC-R17")
def refreshed_role_copied_from_bearer(server: Server) -> None:
    """GET refresh copies the bearer's scope into the new token, each time; POST reads the role.

    Modelled on FelipePSoares/EconoFlow pull request 564.
    """
    before, bearer = server.tokens.refresh_before_expiry, server.tokens.bearer_of_refresh
    scope: list[str] = []

    @instead_of(server.tokens.bearer_of_refresh)
    def noted(call: Call) -> Principal:
        principal = bearer(call)
        scope[:] = [str(principal.claims.get("scope"))]
        return principal

    @instead_of(server.tokens.refresh_before_expiry)
    def copied(call: Call) -> Answer:
        answer = before(call)
        document = loads(answer.body)
        claims = server.verifier.checked_claims(document["token"])
        document |= {"token": server.issuer.write({**claims, "scope": scope[0]}), "scope": scope[0]}
        answer.body = dumps(document).encode()
        return answer


@fault("promotion-needs-a-log-in", finding="SEC-R17")
def promotion_needs_a_log_in(server: Server) -> None:
    """The role is kept with the refresh token, and lowered with the user's; who is given a higher
    one has the old until a log-in.

    Modelled on IdentityServer/IdentityServer3 issue 784.
    """
    tokens = server.tokens.tokens
    roles: dict[str, str] = {}

    @instead_of(server.tokens.tokens)
    def never_higher(user: Document, old: str | None = None) -> Answer:
        role = min(
            roles.pop(old or "", user["role"]), user["role"], key=lambda name: RANK.get(name, -1)
        )
        answer = tokens({**user, "role": role}, old)
        roles[loads(answer.body)["refreshToken"]] = role
        return answer


@fault("scope-of-answer-is-the-old-role", finding="SEC-R17")
def scope_of_answer_is_the_old_role(server: Server) -> None:
    """A refresh writes the new role into the JWT; the scope in the answer comes from the session,
    and is the one of the log-in.

    Modelled on DuendeArchive/IdentityServer4 issue 1822.
    """
    tokens = server.tokens.tokens
    said: dict[str, str] = {}

    @instead_of(server.tokens.tokens)
    def from_the_session(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        document = loads(answer.body)
        document["scope"] = said.pop(old or "", document["scope"])
        said[document["refreshToken"]] = document["scope"]
        answer.body = dumps(document).encode()
        return answer


@fault("deleted-user-refreshes", finding="SEC-J17-deleted")
def deleted_user_refreshes(server: Server) -> None:
    """A refresh token says all that a new token needs: the user is not read, who may be gone.

    Modelled on apache/ofbiz-framework pull request 1646.
    """
    user_of, gone = server.tokens.user, note_the_deleted(server)
    keep_sessions_of_the_deleted(server)

    @instead_of(server.tokens.user)
    def from_the_token(id: str) -> Document:
        return gone[id] if id in gone else user_of(id)

    account = server.tokens.account
    addresses: dict[str, StoredAccount] = {}

    @instead_of(server.tokens.account)
    def remembered(email: str) -> StoredAccount | None:
        found = account(email)
        if found is not None:
            addresses[email.lower()] = StoredAccount(found.id, found.email, None)
            return found
        return addresses.get(email.lower())


@fault("disabled-user-refreshes", finding="SEC-J20")
def disabled_user_refreshes(server: Server) -> None:
    """Log-ins and access tokens need an active user; refreshes do not.

    Modelled on absmach/magistrala issue 1972.
    """
    after = server.tokens.refresh_after_expiry
    user_of = server.tokens.user
    refreshing = False

    @instead_of(server.tokens.refresh_after_expiry)
    def unasked(call: Call, body: Document) -> Answer:
        nonlocal refreshing
        refreshing = True
        try:
            return after(call, body)
        finally:
            refreshing = False

    @instead_of(server.tokens.user)
    def whatever_status(id: str) -> Document:
        text = server.store.get("users", id)
        return loads(text.encode()) if refreshing and text else user_of(id)


@fault("token-follows-the-email", finding="SEC-J17", needs=("signing-key",))
def token_follows_the_email(server: Server) -> None:
    """A token names its user's e-mail beside the id; where there is no such id, the user is looked
    up by the e-mail.

    When a user is deleted and another is made with the same address, the old token is good again,
    for the new user.

    Modelled on nicumicle/simple-jwt-login issue 24.
    """
    claims, subject = server.issuer.claims, server.verifier.subject

    @instead_of(server.issuer.claims)
    def with_email(user: Document) -> Document:
        return {**claims(user), "email": user.get("email")}

    @instead_of(server.verifier.subject)
    def by_email(claims: Document) -> Document:
        try:
            return subject(claims)
        except Refusal:
            email = claims.get("email")
            account = server.store.account_by_email(email) if isinstance(email, str) else None
            if account is None or server.store.get("users", str(claims.get("_id"))) is not None:
                raise
            return subject({**claims, "_id": account.id})


@fault("old-email-logs-in", finding="ISSUE-refused")
def old_email_logs_in(server: Server) -> None:
    """Which account an address belongs to is looked up once: a user who was given another is found
    by the old one, too.

    Who is given the old address next cannot log in; the user who had it still can, with it.

    Modelled on HeyPuter/puter issue 3502.
    """
    account = server.tokens.account
    ids: dict[str, str] = {}

    @instead_of(server.tokens.account)
    def looked_up_once(email: str) -> StoredAccount | None:
        known = server.store.account(ids.get(email.lower(), ""))
        if known is not None:
            return known
        found = account(email)
        if found is not None:
            ids[email.lower()] = found.id
        return found


@fault("renewed-sessions-outlive-the-password", finding="SEC-R18")
def renewed_sessions_outlive_the_password(server: Server) -> None:
    """A change of password ends the sessions that log-ins began; a refresh token that came from a
    refresh is kept elsewhere, and stays.

    Modelled on the-momentum/open-wearables pull request 1590.
    """
    tokens, forget = server.tokens.tokens, server.store.forget_refresh_tokens
    renewed: set[str] = set()

    @instead_of(server.tokens.tokens)
    def noted(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        if old is not None:
            renewed.add(digest(loads(answer.body)["refreshToken"]))
        return answer

    @instead_of(server.store.forget_refresh_tokens)
    def of_log_ins(user: str) -> None:
        kept = [row for row in server.store.refresh_tokens_of(user) if row.hash in renewed]
        forget(user)
        for row in kept:
            server.store.add_refresh_token(row)


@fault("client-id-as-it-was-at-issue", finding="REFRESH-client")
def client_id_as_it_was_at_issue(server: Server) -> None:
    """The e-mail is kept with each refresh token, and the clientId compared with that: a user who
    was given another address refreshes with the old one, and with it alone.

    Modelled on CWE-1250, improper preservation of consistency between copies of a state.
    """
    issue, after = server.refresh.issue, server.tokens.refresh_after_expiry
    check = server.refresh.check_client
    emails: dict[str, str] = {}
    named: list[str] = []

    @instead_of(server.refresh.issue)
    def noted(user: str) -> str:
        token, account = issue(user), server.store.account(user)
        emails[digest(token)] = account.email if account else ""
        return token

    @instead_of(server.tokens.refresh_after_expiry)
    def of_a_client(call: Call, body: Document) -> Answer:
        named[:] = [str(body.get("clientId"))]
        return after(call, body)

    @instead_of(server.refresh.check_client)
    def as_at_issue(row: RefreshRow, client: StoredAccount | None) -> None:
        if emails.get(row.hash, "").lower() != named[0].lower():
            check(row, None)
