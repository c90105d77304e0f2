"""Faults of what an error tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, not_found, unauthorized
from rolecall.reference.faults.registry import fault
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of


def _with_request(server: Server, tell: Callable[[Call, Document], None]) -> None:
    """Let error bodies tell something of the request."""
    handle = server.handle

    @instead_of(server.handle)
    async def told(call: Call, action: Action) -> Answer:
        answer = await handle(call, action)
        if answer.status >= 400 and answer.body:
            document = loads(answer.body)
            tell(call, document["error"])
            answer.body = dumps(document).encode()
        return answer


@fault("token-echoed", finding="SEC-I14")
def token_echoed(server: Server) -> None:
    """An error repeats the Authorization header."""

    def tell(call: Call, error: Document) -> None:
        error["authorization"] = call.header(b"authorization")

    _with_request(server, tell)


@fault("password-echoed", finding="SEC-I14")
def password_echoed(server: Server) -> None:
    """An error repeats the body, the password and the refresh token in it."""

    def tell(call: Call, error: Document) -> None:
        error["request"] = call.body.decode("latin-1")[:2000]

    _with_request(server, tell)


@fault("refresh-token-echoed", finding="SEC-R20")
def refresh_token_echoed(server: Server) -> None:
    """A refused GET refresh repeats the URL, with the refresh token in it."""

    def tell(call: Call, error: Document) -> None:
        error["url"] = f"{call.path}?{call.scope['query_string'].decode('latin-1')}"[:2000]

    _with_request(server, tell)


@fault("stack-trace", finding="SEC-I14-traces")
def stack_trace(server: Server) -> None:
    """An error shows where in the program it came from."""

    def tell(call: Call, error: Document) -> None:
        error["stack"] = (
            'Traceback (most recent call last):\n  File "/srv/app/server.py", line 211, in '
            "handle\n    raise Refusal(status)\n"
        )

    _with_request(server, tell)


@fault("query-shown", finding="SEC-I14-traces")
def query_shown(server: Server) -> None:
    """An error shows the query that the database was asked, and the host it runs on."""

    def tell(call: Call, error: Document) -> None:
        error["detail"] = (
            "SELECT id, email, password FROM accounts WHERE email = ? -- db-1.internal:5432"
        )

    _with_request(server, tell)


@fault("unknown-user-told", finding="SEC-I03")
def unknown_user_told(server: Server) -> None:
    """A login with an unknown address hears another message than one with a wrong password."""

    @instead_of(server.tokens.wrong_credentials)
    def told(account: StoredAccount | None) -> Exception:
        return unauthorized("invalid credentials" if account else "unknown user")


@fault("unknown-user-404", finding="SEC-I03")
def unknown_user_404(server: Server) -> None:
    """A login with an unknown address is answered 404."""

    @instead_of(server.tokens.wrong_credentials)
    def told(account: StoredAccount | None) -> Exception:
        return unauthorized("invalid credentials") if account else not_found()


@fault("unknown-user-timed", finding="SEC-I04", needs=("intrusive",))
def unknown_user_timed(server: Server) -> None:
    """A login with an unknown address is answered 60 ms earlier than one with a wrong password."""
    matches = server.tokens.password_matches

    @instead_of(server.tokens.password_matches)
    async def quicker(password: str, account: StoredAccount | None) -> bool:
        if account is None:
            return False
        await asyncio.sleep(0.06)
        return await matches(password, account)


@fault("refusals-carry-tokens", finding="ISSUE-refused")
def refusals_carry_tokens(server: Server) -> None:
    """A login with a wrong password is answered 401, with tokens in the body."""
    login = server.tokens.login

    @instead_of(server.tokens.login)
    async def generous(body: Document) -> Answer:
        try:
            return await login(body)
        except Refusal:
            account = server.tokens.account(str(body.get("email")))
            if account is None:
                raise
            answer = server.tokens.tokens(server.tokens.user(account.id))
            answer.status = 401
            return answer


@fault("refusals-mention-a-token", finding="ISSUE-refused")
def refusals_mention_a_token(server: Server) -> None:
    """A login with a wrong password is answered 401 with a new token in the error, from the log."""
    wrong_credentials = server.tokens.wrong_credentials

    @instead_of(server.tokens.wrong_credentials)
    def talkative(account: StoredAccount | None) -> Exception:
        if account is None:
            return wrong_credentials(account)
        token = server.issuer.write(server.issuer.claims(server.tokens.user(account.id)))
        return Refusal(401, f"invalid credentials (debug: Bearer {token})")


@fault("errors-as-html", finding="RESPONSE-error")
def errors_as_html(server: Server) -> None:
    """Errors are pages for people."""
    answer_of = server.refusal

    @instead_of(server.refusal)
    def page(refusal: Refusal) -> Answer:
        answer = answer_of(refusal)
        answer.body = f"<html><body><h1>{refusal.status}</h1></body></html>".encode()
        answer.media_type = "text/html"
        return answer


@fault("errors-without-message", finding="RESPONSE-error")
def errors_without_message(server: Server) -> None:
    """The body of an error is an object with a code and nothing else."""

    @instead_of(server.errors.document)
    def code(refusal: Refusal) -> Document:
        return {"code": refusal.status}
