"""Variants of what a log-in costs and of how many are allowed: the specification sets no limits."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import Counter, deque

from rolecall.reference.alterations import (
    body_of,
    compare_emails_to_the_letter,
    set_a_cookie,
    tell_of_taken_emails,
)
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, unauthorized
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant

MOST_WRONG = 5
"""Wrong passwords in a row that lock an account."""
MOST_LOG_INS, WINDOW = 20, 6.0
"""Log-ins in so many seconds."""


@variant("accounts-lock")
def accounts_lock(server: Server) -> None:
    """After five wrong passwords in a row an account is locked: 423, also for the right one."""
    wrong: Counter[str] = Counter()
    matches = server.tokens.password_matches

    @instead_of(server.tokens.password_matches)
    async def counted(password: str, account: StoredAccount | None) -> bool:
        right = await matches(password, account)
        if account is None:
            return right
        if wrong[account.id] >= MOST_WRONG:
            raise Refusal(423, "The account is locked")
        wrong[account.id] = 0 if right else wrong[account.id] + 1
        return right


@variant("passwords-are-trimmed")
def passwords_are_trimmed(server: Server) -> None:
    """White space around a password is no part of it, neither where it is set nor at a log-in, as
    in the text fields of Django REST framework.
    """
    hashed, compare = server.passwords.hash, server.passwords.compare

    @instead_of(server.passwords.hash)
    def of_what_is_inside(password: str) -> str:
        return hashed(password.strip())

    @instead_of(server.passwords.compare)
    def what_is_inside(password: str, kept: str) -> bool:
        return compare(password.strip(), kept)


@variant("log-ins-200-a-minute")
def log_ins_200_a_minute(server: Server) -> None:
    """More than 20 log-ins in six seconds are answered 429, with Retry-After."""
    login = server.tokens.login
    recent: deque[float] = deque()

    @instead_of(server.tokens.login)
    async def limited(body: Document) -> Answer:
        now = time.monotonic()
        while recent and recent[0] <= now - WINDOW:
            recent.popleft()
        if len(recent) >= MOST_LOG_INS:
            raise Refusal(
                429, "Too many log-ins", {"Retry-After": str(math.ceil(recent[0] + WINDOW - now))}
            )
        recent.append(now)
        return await login(body)


@variant("slow-log-ins")
def slow_log_ins(server: Server) -> None:
    """A log-in takes a quarter of a second more, right or wrong."""
    login = server.tokens.login

    @instead_of(server.tokens.login)
    async def later(body: Document) -> Answer:
        await asyncio.sleep(0.25)
        return await login(body)


@variant("log-in-sets-a-cookie")
def log_in_sets_a_cookie(server: Server) -> None:
    """An answer with tokens sets a cookie, as a gateway does; the cookie opens nothing."""
    set_a_cookie(server, lambda tokens: f"route={secrets.token_hex(16)}")


@variant("answers-set-a-cookie")
def answers_set_a_cookie(server: Server) -> None:
    """Every answer sets a cookie, as a balancer does; the cookie opens nothing."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def with_cookie(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        answer.headers["Set-Cookie"] = f"AWSALB={secrets.token_urlsafe(64)}; Path=/"
        return answer


@variant("log-ins-name-their-session")
def log_ins_name_their_session(server: Server) -> None:
    """An answer with tokens says where the session is, and where it is renewed: in URLs without the
    tokens. It says as well whether it was asked to remember the client.
    """
    tokens, login = server.tokens.tokens, server.tokens.login

    @instead_of(server.tokens.tokens)
    def named(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        answer.headers["Location"] = f"/v2/sessions/{secrets.token_hex(12)}"
        answer.headers["Link"] = '</v2/auth/token?refreshToken={refreshToken}>; rel="refresh"'
        return answer

    @instead_of(server.tokens.login)
    async def remembered(body: Document) -> Answer:
        answer = await login(body)
        document = {**loads(answer.body), "rememberMe": body.get("rememberMe") is True}
        answer.body = dumps(document).encode()
        return answer


@variant("refusals-tell-how-passwords-are-kept")
def refusals_tell_how_passwords_are_kept(server: Server) -> None:
    """A refused log-in says how passwords are kept, and shows nothing that is kept of one."""

    @instead_of(server.tokens.wrong_credentials)
    def told(account: StoredAccount | None) -> Exception:
        return unauthorized("invalid credentials: what is kept is $2b$12$..., or pbkdf2_sha256$")


@variant("users-confirm-their-email", "trouble")
def users_confirm_their_email(server: Server) -> None:
    """A user that was created cannot log in, not even with the right password, until a link in an
    e-mail was followed.
    """
    confirmed = {account.email.lower() for account in server.accounts.values()}
    login = server.tokens.login

    @instead_of(server.tokens.login)
    async def asked_for_a_link(body: Document) -> Answer:
        answer = await login(body)
        if str(body.get("email")).lower() not in confirmed:
            raise Refusal(403, "Confirm your e-mail address first")
        return answer


@variant("users-change-their-email")
def users_change_their_email(server: Server) -> None:
    """Everybody may change the own e-mail; one that another user has, in whatever letters, is
    refused with 409, which repeats it and says under which id it stands.
    """

    def with_reason(answer: Answer, email: str, owner: StoredAccount) -> Answer:
        error = {"message": f"{email} is taken", "by": {"id": owner.id, "type": "user"}}
        return Answer.of(409, {"error": error})

    tell_of_taken_emails(server, with_reason)


@variant("emails-to-the-letter")
def emails_to_the_letter(server: Server) -> None:
    """Everybody may change the own e-mail, and no two of them are the same unless each letter is: a
    log-in compares each letter, too.
    """
    others, account = compare_emails_to_the_letter(server), server.tokens.account

    @instead_of(server.tokens.account)
    def to_the_letter(email: str) -> StoredAccount | None:
        if email in others:
            return server.store.account(others[email])
        found = account(email)
        return found if found is not None and found.email == email else None


@variant("log-ins-take-no-bearer")
def log_ins_take_no_bearer(server: Server) -> None:
    """A log-in with an Authorization header is answered 400: it is a public endpoint."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def public(call: Call) -> Answer:
        is_log_in = call.method == "POST" and "email" in body_of(call)
        if is_log_in and call.header(b"authorization") is not None:
            raise Refusal(400, "A log-in takes no bearer")
        return await answer(call)
