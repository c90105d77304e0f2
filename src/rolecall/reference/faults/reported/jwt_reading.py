"""Faults of writing and reading a JWT: what is decoded and verified, and which claim counts."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, unauthorized
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, NotJson
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Expired, Principal, SigningKey, decode_segment, encode_segment

# --- the bearer of a refresh --------------------------------------------------------------------


@fault("bearer-of-refresh-only-decoded", finding="REFRESH-get-bearer")
def bearer_of_refresh_only_decoded(server: Server) -> None:
    """GET refresh decodes the bearer to find its user, and does not verify the signature.

    Modelled on hiero-ledger/heka-identity-platform issue 16.
    """
    bearer = server.tokens.bearer_of_refresh

    @instead_of(server.tokens.bearer_of_refresh)
    def decoded(call: Call) -> Principal:
        try:
            return bearer(call)
        except Expired:
            raise
        except Refusal:
            parts = server.bearer.token(call).split(".")
            try:
                claims = server.verifier.document(parts[1]) if len(parts) == 3 else {}
            except (NotJson, ValueError):
                claims = {}
            if not isinstance(claims.get("exp"), int) or claims["exp"] <= server.clock.now():
                raise
            return server.verifier.person(claims)


@fault("client-id-in-place-of-bearer", finding="REFRESH-get-bearer")
def client_id_in_place_of_bearer(server: Server) -> None:
    """GET refresh needs no bearer if the clientId stands in the query: both paths share the code,
    and one condition is enough.

    Modelled on DefGuard/defguard pull request 3625.
    """
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def either(call: Call) -> Answer:
        client = dict(call.query).get("clientId")
        if client is None or call.header(b"authorization") is not None:
            return before(call)
        token = server.tokens.refresh_parameter(call)
        row = server.refresh.find(token)
        server.refresh.check_client(row, server.tokens.account(client))
        server.refresh.consume(row)
        return server.tokens.tokens(server.tokens.user(row.user), token)


@fault("admin-refreshes-for-anybody", finding="REFRESH-get-foreign")
def admin_refreshes_for_anybody(server: Server) -> None:
    """An admin may do all, it was thought, and so GET refresh takes anybody's refresh token beside
    an admin's bearer.

    Modelled on frappe/frappe issue 41534.
    """
    check = server.refresh.check_bearer

    @instead_of(server.refresh.check_bearer)
    def unless_admin(row: RefreshRow, principal: Principal) -> None:
        if principal.credential != "token" or "admin" not in principal.scopes:
            check(row, principal)


# --- signatures --------------------------------------------------------------------------------


@fault("signature-of-zeros", finding="SEC-J04")
def signature_of_zeros(server: Server) -> None:
    """Tokens are signed with ES256; a signature that is nothing but zeros solves the equation for
    every message.

    Modelled on CVE-2022-21449.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    key = SigningKey("ES256", private, private.public_key())
    server.issuer.key = server.verifier.key = key
    server.forgeable = False
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def unchecked_range(message: bytes, signature: str, header: Document) -> bool:
        if server.verifier.algorithm_fits(header.get("alg")) and decode_segment(signature) == bytes(
            64
        ):
            return True
        return holds(message, signature, header)


@fault("error-tells-the-right-signature", finding="SEC-I14")
def error_tells_the_right_signature(server: Server) -> None:
    """Where a signature is wrong, the error says which one was expected: with it the token is good.

    Modelled on CVE-2019-7644.
    """

    @instead_of(server.verifier.checked_claims)
    def helpful(token: str) -> Document:
        verifier = server.verifier
        try:
            head, payload, signature = verifier.split(token)
            header = verifier.document(head)
            verifier.check_header(header)
            signed = verifier.signature_holds(f"{head}.{payload}".encode(), signature, header)
            claims = verifier.document(payload)
        except ValueError:
            raise verifier.invalid() from None
        if not signed:
            expected = encode_segment(verifier.key.sign(f"{head}.{payload}".encode()))
            raise unauthorized(f"Invalid signature. Expected {expected} got {signature}")
        return claims


# --- claims ------------------------------------------------------------------------------------


@fault("scope-in-another-claim", finding="SCOPE-string")
def scope_in_another_claim(server: Server) -> None:
    """The scopes of a token stand in a claim scp, as a list.

    Modelled on ory/oathkeeper pull request 162.
    """
    claims, scopes, write = server.issuer.claims, server.verifier.scopes, server.issuer.write

    @instead_of(server.issuer.claims)
    def renamed(user: Document) -> Document:
        document = claims(user)
        return {**document, "scp": [document["scope"]]}

    @instead_of(server.issuer.write)
    def without_scope(claims: Document) -> str:
        shown = {
            name: value for name, value in claims.items() if name != "scope" or "scp" not in claims
        }
        return write(shown)

    @instead_of(server.verifier.scopes)
    def either(claims: Document) -> frozenset[str]:
        scp = claims.get("scp")
        return (
            scopes({"scope": " ".join(map(str, scp))}) if isinstance(scp, list) else scopes(claims)
        )


@fault("widest-of-three-scope-claims", finding="SEC-A04", needs=("signing-key",))
def widest_of_three_scope_claims(server: Server) -> None:
    """Scopes are read from scope, scopes and scp, texts or lists, whatever the token has, and all
    of them count.

    Modelled on ory/oathkeeper pull request 162.
    """
    scopes = server.verifier.scopes

    @instead_of(server.verifier.scopes)
    def all_of_them(claims: Document) -> frozenset[str]:
        more = [value for name in ("scopes", "scp") for value in listed(claims.get(name))]
        return scopes(claims) | frozenset(name for name in more if name in ROLES)

    def listed(value: object) -> list[str]:
        return (
            value.split()
            if isinstance(value, str)
            else [str(name) for name in value]
            if isinstance(value, list)
            else []
        )


@fault("token-names-the-email", finding="ISSUE-user")
def token_names_the_email(server: Server) -> None:
    """A token calls its user by the e-mail, which was the key of the table once; the answer's user
    is the id.

    Modelled on nicumicle/simple-jwt-login issue 24.
    """
    claims, subject = server.issuer.claims, server.verifier.subject

    @instead_of(server.issuer.claims)
    def by_email(user: Document) -> Document:
        return {**claims(user), "_id": user.get("email")}

    @instead_of(server.verifier.subject)
    def looked_up(claims: Document) -> Document:
        id = claims.get("_id")
        account = server.store.account_by_email(id) if isinstance(id, str) and "@" in id else None
        return subject({**claims, "_id": account.id}) if account else subject(claims)


@fault("role-instead-of-scope", finding="SEC-E15", needs=("signing-key",))
def role_instead_of_scope(server: Server) -> None:
    """What a token's scope says is checked for its form; the rights are those of its user's role,
    if they are more.

    Modelled on fabriziosalmi/wildbox pull request 134.
    """
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def by_role(claims: Document) -> Principal:
        principal = person(claims)
        role = str(principal.user.get("role"))
        if principal.credential == "api-key" or RANK.get(role, -1) <= server.permissions.rank(
            principal.scopes
        ):
            return principal
        return Principal(principal.user, frozenset({role}), principal.credential, claims)


@fault("writes-by-role", finding="SEC-E15", needs=("signing-key",))
def writes_by_role(server: Server) -> None:
    """The scope of a time-based token is asked where something is read; writes were guarded
    earlier, by the role of its user.

    Modelled on nightscout/nocturne pull request 596.
    """
    may = server.guard.may

    @instead_of(server.guard.may)
    def by_role(principal: Principal, operation: str) -> bool:
        if principal.credential == "token" and operation.startswith(
            ("create-", "update-", "delete-")
        ):
            role = frozenset({str(principal.user.get("role"))})
            return may(principal, operation) or server.permissions.allows(
                role, operation, principal.credential
            )
        return may(principal, operation)
