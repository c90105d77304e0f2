"""Refresh tokens: `<user id>.<secret>`, kept as hashes, each good for one use."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from rolecall.reference.clock import Clock
from rolecall.reference.errors import Refusal, unauthorized
from rolecall.reference.store import RefreshRow, Store, StoredAccount
from rolecall.reference.tokens import Principal

_FORM = re.compile(r"[0-9a-f]{24}\.[0-9a-f]{80}")


class RefreshPolicy:
    """Who may exchange a refresh token, and what becomes of it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def issue(self, user: str) -> str:
        """A new token for a user."""
        token = self.secret(user)
        self.store.add_refresh_token(RefreshRow(digest(token), user, self.clock.now(), None))
        return token

    def secret(self, user: str) -> str:
        """What the token looks like: 320 bits of chance behind the user's id."""
        return f"{user}.{secrets.token_hex(40)}"

    def find(self, token: str) -> RefreshRow:
        """The row of a token, compared in full."""
        hash = digest(token)
        row = self.store.refresh_token(hash) if self.well_formed(token) else None
        if row is None or not hmac.compare_digest(row.hash, hash) or not self.usable(row):
            raise self.refused()
        return row

    def well_formed(self, token: str) -> bool:
        """The whole secret, in the letters it was sent in."""
        return _FORM.fullmatch(token) is not None

    def usable(self, row: RefreshRow) -> bool:
        """A token that was used is dead."""
        return row.used is None

    def check_bearer(self, row: RefreshRow, principal: Principal) -> None:
        """The refresh token has to belong to the bearer's user, and the bearer to be an access
        token.
        """
        if row.user != principal.id or principal.credential != "token":
            raise self.refused()

    def check_client(self, row: RefreshRow, client: StoredAccount | None) -> None:
        """The "clientId being the user or bot email": that of the refresh token's own user."""
        if client is None or client.id != row.user:
            raise self.refused()

    def consume(self, row: RefreshRow) -> None:
        """The old token dies; between `find` and here nothing else runs, so there is one winner."""
        self.store.use_refresh_token(row.hash, self.clock.now())

    def refused(self) -> Refusal:
        """Worded so that the vendor's client does not take it for an expired token and try for
        ever.
        """
        return unauthorized("invalid refresh token")


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
