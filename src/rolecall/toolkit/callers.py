"""Callers of the target: the accounts' users with their tokens, API keys, and anonymous ones."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import replace
from functools import partial
from json import loads
from typing import Any

from rolecall.error_words import ABSENT
from rolecall.evidence import Exchange, current_test, memory
from rolecall.http.client import Client
from rolecall.http.gate import Thing
from rolecall.ledger import LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.spec.claims import role_of_scope
from rolecall.spec.ids import id_text, in_path, is_of_id, own_id
from rolecall.spec.model import API_KEY, API_KEYS, TOKEN, Dialect, Operation, Specification
from rolecall.spec.templates import fill, fill_path
from rolecall.target import Account, Target
from rolecall.tokens import Caller, Grant, claims_of, key_in, user_of
from rolecall.toolkit.members import Path
from rolecall.toolkit.new_keys import NewKeys
from rolecall.toolkit.preconditions import Preconditions
from rolecall.toolkit.shared import invalidate, is_shared, share, shared_setup
from rolecall.toolkit.spare_keys import SpareKeys
from rolecall.toolkit.token_endpoint import TokenEndpoint

#: Where an answer with a key may have the user whom it acts as (AMB-15).
_USER_MEMBERS = ("user", "userId", "createdBy", "owner")
#: Characters of a name: many a column has room for no more.
_LONGEST_NAME = 50
#: The part of its lifetime for which a token is used by the whole run.
_FRESH = 0.7


class Callers:
    """The callers of one run; those that tests may share log in once."""

    def __init__(
        self,
        target: Target,
        spec: Specification,
        client: Client,
        run_id: str,
        *,
        intrusive: bool,
    ) -> None:
        self.target = target
        self.dialect: Dialect = spec.dialect(target.dialect, target.source)
        self.spec = spec.for_target(target.operations, self.dialect, target.source)
        self.run_id = run_id
        self.intrusive = intrusive
        self.client = client
        self.gate = client.gate
        self.ledger = client.gate.ledger
        self.read_only = client.gate.read_only
        #: By the number of the ledger's entry: its maker, where that is a user made by the run.
        self.makers: dict[int, Caller] = {}
        self.tokens = TokenEndpoint(client)
        self._begun: set[str] = set()  # the accounts that have logged in once
        #: The resources for which the target was seen to have made what it said it made.
        self.proven: set[str] = set()
        self.prompt: set[str] = set()  # the resources of which something new was shown by its id
        #: The conversations of the run's own in which something was made.
        self.parents: set[str] = set()
        #: Where the run's names were sent: a resource, what stands before the name, and the members
        #: that lead there.
        self.written: set[tuple[str, str, Path]] = set()
        #: The resources of which a list was seen to show a thing of the run's own by its name.
        self.listed: set[str] = set()
        #: By the id of another run: how many of its things were there before this one made any.
        self.others: Counter[str] = Counter()
        #: The answers by which a caller has made things of a kind.
        self.made_by: defaultdict[tuple[str, str], list[Exchange]] = defaultdict(list)
        self._new_keys, self._preconditions = NewKeys(self.dialect), Preconditions()
        self._spare_keys = SpareKeys(self.delete_key)
        self._given: dict[str, object] = {}
        self._numbers = itertools.count(1)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles in ascending order."""
        return self.spec.roles

    @property
    def highest(self) -> str:
        """The role with the most rights: it makes fixtures, observes and cleans up."""
        return self.spec.roles[-1]

    def account(self, name: str) -> Account:
        """The account of this name in the target file."""
        return self.target.accounts[name]

    def _granted(self, name: str, exchange: Exchange) -> Grant:
        grant = Grant.of(exchange)
        if not exchange.ok or not grant.token:
            raise Inconclusive(
                f"a token for {self.account(name).email}: {exchange}",
                f"[accounts.{name}] in the target file",
            )
        return grant

    async def fresh_caller(self, name: str) -> Caller:
        """An account's user with a session that no other test uses.

        Raises:
            Inconclusive: the account gets no token; the tests of issuance say whose fault that is.
        """
        return self._caller(name, self._granted(name, await self.tokens.issue(self.account(name))))

    async def renewed(self, name: str) -> Caller:
        """The same, whose token the whole run shares from now on: a log-in may end the others."""
        caller = await self.fresh_caller(name)
        share(self, "_user", caller, name)
        return caller

    def _caller(self, name: str, grant: Grant) -> Caller:
        for user in (grant.exchange.document.get("user"), grant.claims.get("_id")):
            self.gate.protect("user", id_text(user))
            self.note_given(user)
        return session(self.account(name), grant)

    async def user(self, name: str) -> Caller:
        """An account's user with the token that the whole run shares; never refresh it.

        Where tokens live for minutes only, the user logs in anew before the end comes near.
        """
        caller = await self._user(name)
        age, lifetime = time.monotonic() - caller.grant.exchange.finished, caller.grant.lifetime
        if memory().rarely("a token grows old", 0 < _FRESH * (lifetime or 0.0) < age):
            invalidate(self, "_user", name)
            caller = await self._user(name)
        return caller

    @shared_setup
    async def _user(self, name: str) -> Caller:
        if name in self._begun:
            return await self.fresh_caller(name)
        self._begun.add(name)
        return self._caller(name, self._granted(name, await self.first_answer(name)))

    @shared_setup
    async def first_answer(self, name: str) -> Exchange:
        """The answer to the run's first log-in of an account; its token serves the whole run."""
        return await self.tokens.issue(self.account(name))

    @shared_setup
    async def key(self, role: str) -> Caller:
        """An API key of one scope.

        Raises:
            NotTested: the target file names no way to get keys.
            Inconclusive: there should be keys, but none came.
        """
        keys = self.target.api_keys
        if not keys:
            raise NotTested(
                "no API keys: give [api_keys] create_path, or a ready-made key per role in "
                "[api_keys.tokens]",
                API_KEYS,
            )
        if role in keys.tokens:
            token = keys.tokens[role]
            user = user_of(claims_of(token)) or await self._whom_ready_keys_act_as()
            self.gate.protect("user", user)
            return Caller(role, API_KEY, token, user)
        if not keys.create_path:
            raise NotTested(
                f"no API key of scope {role}: give it in [api_keys.tokens], or create_path",
                API_KEYS,
            )
        return await self.create_key([role])

    async def create_key(self, scopes: list[str], maker: Caller | None = None) -> Caller:
        """A new API key with these scopes, made by the highest role's account or by ``maker``.

        Raises:
            NotTested: the target file does not say where keys are made.
            Inconclusive: none was made.
        """
        key = self.key_of(await self.ask_for_key(scopes, maker=maker), scopes)
        return (
            key
            if key.user
            else replace(
                key, user=await self._whom_keys_act_as(maker or await self.user(self.highest))
            )
        )

    def key_of(self, exchange: Exchange, scopes: list[str]) -> Caller:
        """The key that an answer holds; its user is empty where the answer does not tell (AMB-15).

        Raises:
            Inconclusive: it holds none.
        """
        token = key_in(exchange.document)
        if not exchange.ok or not token:
            raise Inconclusive(
                f"an API key with scopes {scopes}: {exchange}",
                "[api_keys] create_path in the target file"
                if exchange.ok or exchange.status in ABSENT
                else "whether the target limits the keys of a user: [api_keys.tokens] takes "
                "ready-made ones",
            )
        self.client.secrets.add(token, "key")
        self._new_keys.add(token, exchange.finished)
        claims = claims_of(token)
        self.note_given(claims.get("_id"))
        named = (exchange.document.get(name) for name in _USER_MEMBERS)
        user = user_of(claims) or next(
            (id for value in named if (id := id_text(value) or own_id(value))), ""
        )
        return Caller("+".join(scopes), API_KEY, token, user)

    @shared_setup
    async def _whom_keys_act_as(self, maker: Caller) -> str:
        """The user that an opaque key of this maker acts as: a guest may fetch no user but itself;
        empty where that shows none.
        """
        if self.target.api_keys.acts_as:
            return (await self.user(self.target.api_keys.acts_as)).user
        made = await self.ask_for_key([self.roles[0]], maker=maker)
        lowest = self.key_of(made, [self.roles[0]])
        user = lowest.user or await self._self_of(lowest, maker.user)
        self._spare_keys.let_go(loads(made.request_body)["name"])
        return user

    @shared_setup
    async def _whom_ready_keys_act_as(self) -> str:
        """The same for the keys of the target file, by the guest's."""
        keys = self.target.api_keys
        if keys.acts_as:
            return (await self.user(keys.acts_as)).user
        if self.roles[0] not in keys.tokens:
            return ""
        return await self._self_of(
            Caller(self.roles[0], API_KEY, keys.tokens[self.roles[0]], ""), ""
        )

    async def _self_of(self, lowest: Caller, likely: str) -> str:
        """The account, or the ``likely`` user, whose own user a key of the lowest scope is
        shown.
        """
        operation = self.spec.operations["fetch-user-self"]
        accounts = [(await self.user(name)).user for name in self.target.accounts]
        for user in filter(None, dict.fromkeys([likely, *accounts])):
            exchange = await self.send("GET", fill_path(operation.path, {"self": user}), lowest)
            if exchange.ok and is_of_id(exchange.document, user):
                return user
        return ""

    async def ask_for_key(
        self, scopes: Any, *, attack: str = "", maker: Caller | None = None
    ) -> Exchange:
        """Ask for an API key with any ``scopes``, legal or not; what is made goes into the ledger.

        Raises:
            NotTested: the target file does not say where keys are made, or nothing may be written.
        """
        if not self.target.api_keys.create_path:
            raise NotTested(
                "API keys cannot be made: give create_path under [api_keys] in the target file",
                API_KEYS,
            )
        if self.read_only:
            raise NotTested("--read-only: an API key would be created")
        if not is_shared():
            await self._shared_keys()
        by = maker or await self.user(self.highest)
        ask = partial(self._ask_for_key, scopes, by, attack)
        async with self._spare_keys.room():
            answer = await ask()
        if answer.ok or attack:
            return answer
        return await self._spare_keys.after(answer, f"{by.user} {scopes}", ask)

    @shared_setup
    async def _shared_keys(self) -> None:
        """Make the keys that all tests share before any test makes one of its own: a target may let
        a user have a few, and tests with one each would wait for each other.
        """
        for role in self.roles:
            with suppress(Inconclusive, NotTested):
                await self.key(role)

    async def _ask_for_key(self, scopes: Any, maker: Caller, attack: str) -> Exchange:
        name = self.new_name("key")
        body = {"name": name} | ({} if scopes is ... else {"scopes": scopes})
        path = self.target.api_keys.create_path
        answer = await self.create(API_KEY, name, "POST", path, maker, json=body, attack=attack)
        entry = self.ledger.named(API_KEY, name)
        if answer.ok and entry and entry.id:
            self._spare_keys.made(entry, None if is_shared() else current_test())
        return answer

    async def delete_key(
        self, entry: LedgerEntry, by: Caller | None = None, **options: Any
    ) -> Exchange:
        """Let the highest role's account, or ``by``, delete a key of the run's own."""
        path = f"{self.target.api_keys.create_path}/{in_path(entry.id)}"
        caller, about = by or await self.user(self.highest), Thing(API_KEY, entry.id)
        answer = await self.send("DELETE", path, caller, about=about, **options)
        if answer.ok:
            self.ledger.gone(entry)
        return answer

    async def create(
        self,
        resource: str,
        name: str,
        method: str,
        path: str,
        caller: Caller | None,
        **options: Any,
    ) -> Exchange:
        """Send a request that may create something."""
        raise NotImplementedError

    async def caller(self, role: str, credential: str) -> Caller:
        """The run's caller of a role with a kind of credential."""
        return await (self.user(role) if credential == TOKEN else self.key(role))

    async def send(self, method: str, path: str, caller: Caller | None, **options: Any) -> Exchange:
        """Send any request as a caller, or without credentials.

        Raises:
            TransientFailure: it was refused, and the caller's token may have ended while it waited
                for its turn.
        """
        who, token = (str(caller), caller.token) if caller else ("nobody", "")
        ask = partial(self.client.send, method, path, caller=who, token=token, **options)
        exchange = await self._preconditions.answer(
            method, ask, options.get("headers"), partial(self._new_keys.answer, token)
        )
        refused = exchange.status in (*self.dialect.expired, *self.dialect.anonymous)
        if caller and refused and caller.may_have_ended(exchange):
            raise TransientFailure(
                f"an answer before the token's end: {exchange}",
                "the rate limit and the lifetime of tokens",
            )
        return exchange

    def may_be_tried(self, operation: Operation | None, caller: Caller | None) -> bool:
        """Whether a read-only run may try this write: a creation by a role that may not, where the
        target file allows it.
        """
        return (
            self.target.attempt_denied_writes
            and operation is not None
            and operation.effect == "create"
            and caller is not None
            and caller.role in self.roles
            and caller.role not in self.spec.allowed_roles(operation.name)
        )

    def as_given(self, id: str) -> Any:
        """An id as the target writes it in JSON: a number, where it gave a number."""
        return self._given.get(id, id)

    def note_given(self, value: object) -> None:
        """Remember how the target writes an id."""
        if not isinstance(value, str) and (text := id_text(value)):
            self._given[text] = value

    @property
    def mark(self) -> str:
        """What the names of all things of this run begin with."""
        return f"rolecall-{self.run_id}-"

    def new_name(self, purpose: str) -> str:
        """A name that says which run made a thing, and occurs nowhere else."""
        return f"{self.mark}{next(self._numbers)}-{purpose}"[:_LONGEST_NAME].rstrip("-")

    def role_of_scope(self, scope: object) -> str:
        """The role that a scope string stands for; the empty string for anything else."""
        return role_of_scope(scope, self.roles, self.dialect.other_scopes)

    def is_scope_of(self, scope: object, role: str, usual: object) -> bool:
        """Whether a scope stands for a role, or is what this target has for it anyway: that is
        judged where it is issued (SCOPE-string).
        """
        return self.role_of_scope(scope) == role or scope == usual

    def fill(self, template: Any, **values: Any) -> Any:
        """A body with its placeholders replaced, ``{run}`` and ``{domain}`` among them."""
        return fill(template, {"run": self.run_id, "domain": self.target.email_domain, **values})


def session(account: Account, grant: Grant) -> Caller:
    """The caller that an account's user is with the tokens of a grant."""
    return Caller(
        account.role, TOKEN, grant.token, user_of(grant.claims) or grant.user, account.email, grant
    )
