"""Who sends requests: the accounts' users with their tokens, API keys, and nobody."""

from __future__ import annotations

import itertools
import time
from typing import Any

from rolecall.conformance.claims import role_of_scope
from rolecall.conformance.fixtures import fill
from rolecall.conformance.ids import id_text
from rolecall.conformance.memo import forget, memoised
from rolecall.conformance.tables import API_KEY, API_KEYS, TOKEN, Dialect, Specification
from rolecall.conformance.token_endpoint import TokenEndpoint
from rolecall.conformance.tokens import Caller, Grant, claims_of, user_of
from rolecall.evidence import Exchange
from rolecall.http import Client
from rolecall.ledger import Ledger
from rolecall.outcomes import Inconclusive, NotTested, Trouble
from rolecall.target import Account, Target

#: The part of its lifetime for which a token is used by the whole run.
_FRESH = 0.7


class Callers:
    """The callers of one run; those that tests may share log in once."""

    def __init__(
        self, target: Target, spec: Specification, client: Client, ledger: Ledger, run_id: str, read_only: bool, intrusive: bool
    ) -> None:
        self.target = target
        self.dialect: Dialect = spec.dialect(target.dialect, target.source)
        self.spec = spec.for_target(target.operations, self.dialect, target.source)
        self.run_id = run_id
        self.read_only = read_only
        self.intrusive = intrusive
        self.client = client
        self.ledger = ledger
        self.gate = client.gate
        self.makers: dict[
            int, Caller
        ] = {}  # by the number of the ledger's entry: who made it, where that is a user of the run's own
        self.tokens = TokenEndpoint(client)
        self._begun: set[str] = set()  # the accounts that have logged in once
        self.proven: set[str] = set()  # the resources for which the target was seen to have made what it said it made
        self.parents: set[str] = set()  # the conversations of the run's own in which something was made
        self._given: dict[str, object] = {}
        self._numbers = itertools.count(1)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles in ascending order."""
        return self.spec.roles

    @property
    def highest(self) -> str:
        """The role that may most: it makes fixtures, observes and tidies up."""
        return self.spec.roles[-1]

    def account(self, name: str) -> Account:
        """The account of this name in the target file."""
        return self.target.accounts[name]

    async def log_in(self, name: str) -> Grant:
        """A fresh token for an account, with a session of its own.

        Raises:
            Inconclusive: the account gets no token; the tests of issuance say whose fault that is.
        """
        return self._granted(name, await self.tokens.issue(self.account(name)))

    def _granted(self, name: str, exchange: Exchange) -> Grant:
        grant = Grant.of(exchange)
        if not exchange.ok or not grant.token:
            raise Inconclusive(f"a token for {self.account(name).email}: {exchange}", f"[accounts.{name}] in the target file")
        return grant

    async def fresh_caller(self, name: str) -> Caller:
        """An account's user with a session that no other test uses."""
        return self._caller(name, await self.log_in(name))

    def _caller(self, name: str, grant: Grant) -> Caller:
        account = self.account(name)
        for user in (grant.exchange.document.get("user"), grant.claims.get("_id")):
            self.gate.protect("user", id_text(user))
            self.note_given(user)
        return Caller(account.role, TOKEN, grant.token, user_of(grant.claims) or grant.user, account.email, grant)

    async def user(self, name: str) -> Caller:
        """An account's user with the token that the whole run shares; never refresh it.

        Where tokens live for minutes only, the user logs in anew before the end comes near.
        """
        caller = await self._user(name)
        lifetime = caller.grant.lifetime
        if lifetime and time.monotonic() - caller.grant.exchange.finished > _FRESH * lifetime:
            forget(self, "_user", name)
            caller = await self._user(name)
        return caller

    @memoised
    async def _user(self, name: str) -> Caller:
        if name in self._begun:
            return await self.fresh_caller(name)
        self._begun.add(name)
        return self._caller(name, self._granted(name, await self.first_answer(name)))

    @memoised
    async def first_answer(self, name: str) -> Exchange:
        """The answer to the run's first log-in of an account, whatever it is; its token serves the whole run."""
        return await self.tokens.issue(self.account(name))

    @memoised
    async def key(self, role: str) -> Caller:
        """An API key of one scope.

        Raises:
            NotTested: the target file names no way to get keys.
            Inconclusive: there should be keys, but none came.
        """
        keys = self.target.api_keys
        if not keys:
            raise NotTested(
                "no API keys: give [api_keys] create_path, or a ready-made key per role in [api_keys.tokens]", API_KEYS
            )
        if role in keys.tokens:
            token = keys.tokens[role]
            self.gate.protect("user", user_of(claims_of(token)))
            return Caller(role, API_KEY, token, user_of(claims_of(token)))
        if not keys.create_path:
            raise NotTested(f"no API key of scope {role}: give it in [api_keys.tokens], or create_path", API_KEYS)
        return await self.create_key([role])

    async def create_key(self, scopes: list[str], maker: Caller | None = None) -> Caller:
        """A new API key with these scopes, made by the highest role's account, or by somebody else.

        Raises:
            NotTested: the target file does not say where keys are made.
            Inconclusive: none was made.
        """
        return self.key_of(await self.ask_for_key(scopes, maker=maker), scopes)

    @staticmethod
    def key_of(exchange: Exchange, scopes: list[str]) -> Caller:
        """The key that an answer holds.

        Raises:
            Inconclusive: it holds none.
        """
        token = exchange.document.get("token")
        if not exchange.ok or not isinstance(token, str):
            raise Inconclusive(f"an API key with scopes {scopes}: {exchange}", "[api_keys] create_path in the target file")
        user = user_of(claims_of(token)) or id_text(exchange.document.get("user"))
        return Caller("+".join(scopes), API_KEY, token, user)

    async def ask_for_key(self, scopes: Any, *, attack: str = "", maker: Caller | None = None) -> Exchange:
        """Ask for an API key with any value of ``scopes``, legal or not; what is made goes into the ledger.

        Raises:
            NotTested: the target file does not say where keys are made, or nothing may be written.
        """
        if not self.target.api_keys.create_path:
            raise NotTested("API keys cannot be made: give create_path under [api_keys] in the target file", API_KEYS)
        if self.read_only:
            raise NotTested("--read-only: an API key would be created")
        maker = maker or await self.user(self.highest)
        body = {"name": self.new_name("key")} | ({} if scopes is ... else {"scopes": scopes})
        path = self.target.api_keys.create_path
        return await self.create(API_KEY, body["name"], "POST", path, maker, json=body, attack=attack)

    async def create(self, resource: str, name: str, method: str, path: str, caller: Caller | None, **options: Any) -> Exchange:
        """Send a request that may create something."""
        raise NotImplementedError

    async def caller(self, role: str, credential: str) -> Caller:
        """The run's caller of a role with a kind of credential."""
        return await (self.user(role) if credential == TOKEN else self.key(role))

    async def send(self, method: str, path: str, caller: Caller | None, **options: Any) -> Exchange:
        """Send any request as a caller, or as nobody.

        Raises:
            Trouble: it was refused, and the caller's token may have ended while it waited for its turn.
        """
        who, token = (str(caller), caller.token) if caller else ("nobody", "")
        asked = time.monotonic()
        exchange = await self.client.send(method, path, caller=who, token=token, **options)
        refused = exchange.status in (*self.dialect.expired, *self.dialect.anonymous)
        if caller and refused and caller.may_have_ended(asked, exchange):
            raise Trouble(f"an answer before the token's end: {exchange}", "the rate limit and the lifetime of tokens")
        return exchange

    def as_given(self, id: str) -> Any:
        """An id as the target writes it in JSON: a number, where it gave a number."""
        return self._given.get(id, id)

    def note_given(self, value: object) -> None:
        """Remember how the target writes an id."""
        if not isinstance(value, str) and (text := id_text(value)):
            self._given[text] = value

    def new_name(self, purpose: str) -> str:
        """A name that says which run made a thing, and occurs nowhere else."""
        return f"rolecall-{self.run_id}-{next(self._numbers)}-{purpose}"

    def role_of_scope(self, scope: object) -> str:
        """The role that a scope string stands for; anything but a role's scope stands for none, the empty string."""
        return role_of_scope(scope, self.roles, self.dialect.other_scopes)

    def fill(self, template: Any, **values: Any) -> Any:
        """A body with its placeholders replaced, ``{run}`` and ``{domain}`` among them."""
        return fill(template, {"run": self.run_id, "domain": self.target.email_domain, **values})
