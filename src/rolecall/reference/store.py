"""What the server remembers: one SQLite file, or memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    seq INTEGER PRIMARY KEY, resource TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (resource, id));
CREATE INDEX IF NOT EXISTS by_resource ON documents (resource);
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT);
CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, issued REAL NOT NULL, used REAL);
CREATE INDEX IF NOT EXISTS by_user ON refresh_tokens (user);
CREATE TABLE IF NOT EXISTS api_keys (
  jti TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TABLES = {"documents", "accounts", "refresh_tokens", "api_keys", "facts"}


class Duplicate(Exception):  # says it better
    """Something that has to be unique is there already."""


@dataclass(frozen=True)
class StoredAccount:
    """What is kept of a user beside the document that clients see."""

    id: str
    email: str
    password: str | None


@dataclass(frozen=True)
class RefreshRow:
    """A refresh token that was issued; only its hash is kept."""

    hash: str
    user: str
    issued: float
    used: float | None


class Store:
    """Documents as JSON text, accounts, refresh tokens and API keys."""

    def __init__(self, path: str = ":memory:") -> None:
        # Only the event loop's thread talks to it, but the loop may run on another thread than the
        # maker.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        if path != ":memory:":
            self._see_that_it_is_ours(path)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)
        self._execute = self._db.execute

    def _see_that_it_is_ours(self, path: str) -> None:
        """Look at a file that is there, before anything is written to it.

        Raises:
            sqlite3.DatabaseError: it is not a database, or one of another program.
        """
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%'"
        names = {name for (name,) in self._db.execute(f"{tables} ESCAPE '!'")}
        if not names <= TABLES:
            self._db.close()
            raise sqlite3.DatabaseError(f"{path} holds the data of another program")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # documents

    def get(self, resource: str, id: str) -> str | None:
        """A document's text."""
        row = self._execute(
            "SELECT body FROM documents WHERE resource = ? AND id = ?", (resource, id)
        ).fetchone()
        return row[0] if row else None

    def add(self, resource: str, id: str, body: str) -> None:
        """Keep a new document."""
        self._execute(
            "INSERT INTO documents (resource, id, body) VALUES (?, ?, ?)", (resource, id, body)
        )

    def replace(self, resource: str, id: str, body: str) -> None:
        """Keep another text for a document."""
        self._execute(
            "UPDATE documents SET body = ? WHERE resource = ? AND id = ?", (body, resource, id)
        )

    def remove(self, resource: str, id: str) -> None:
        """Forget a document, and with a user the account."""
        self._execute("DELETE FROM documents WHERE resource = ? AND id = ?", (resource, id))
        if resource == "users":
            self._execute("DELETE FROM accounts WHERE id = ?", (id,))
            self.forget_refresh_tokens(id)

    def page(self, resource: str, limit: int, offset: int) -> list[str]:
        """Some documents, oldest first."""
        rows = self._execute(
            "SELECT body FROM documents WHERE resource = ? ORDER BY seq LIMIT ? OFFSET ?",
            (resource, limit, offset),
        )
        return [row[0] for row in rows]

    def newest(self, resource: str) -> str | None:
        """The document made last."""
        row = self._execute(
            "SELECT body FROM documents WHERE resource = ? ORDER BY seq DESC LIMIT 1", (resource,)
        ).fetchone()
        return row[0] if row else None

    def containing(self, resource: str, *texts: str) -> Iterator[str]:
        """All documents, oldest first, whose text contains all of these."""
        where = "".join(" AND instr(body, ?) > 0" for _ in texts)
        rows = self._execute(
            # S608: `where` is made here, and holds no text of others.
            f"SELECT body FROM documents WHERE resource = ?{where} ORDER BY seq",  # noqa: S608
            (resource, *texts),
        )
        return (row[0] for row in rows)

    # accounts

    def add_account(self, account: StoredAccount) -> None:
        """Keep a new account, or Duplicate."""
        try:
            self._execute(
                "INSERT INTO accounts (id, email, password) VALUES (?, ?, ?)",
                (account.id, account.email, account.password),
            )
        except sqlite3.IntegrityError:
            raise Duplicate from None

    def account_by_email(self, email: str) -> StoredAccount | None:
        """The account with this address; only the letters' case may differ."""
        row = self._execute(
            "SELECT id, email, password FROM accounts WHERE email = ?", (email,)
        ).fetchone()
        return StoredAccount(*row) if row else None

    def account(self, id: str) -> StoredAccount | None:
        """A user's account."""
        row = self._execute(
            "SELECT id, email, password FROM accounts WHERE id = ?", (id,)
        ).fetchone()
        return StoredAccount(*row) if row else None

    def set_email(self, id: str, email: str) -> None:
        """Give an account another address, or Duplicate."""
        try:
            self._execute("UPDATE accounts SET email = ? WHERE id = ?", (email, id))
        except sqlite3.IntegrityError:
            raise Duplicate from None

    def set_password(self, id: str, password: str) -> None:
        """Give an account another password hash."""
        self._execute("UPDATE accounts SET password = ? WHERE id = ?", (password, id))

    # refresh tokens

    def add_refresh_token(self, row: RefreshRow) -> None:
        """Keep the hash of a token just issued."""
        self._execute(
            "INSERT INTO refresh_tokens (hash, user, issued, used) VALUES (?, ?, ?, ?)",
            (row.hash, row.user, row.issued, row.used),
        )

    def refresh_token(self, hash: str) -> RefreshRow | None:
        """The row of this hash."""
        row = self._execute(
            "SELECT hash, user, issued, used FROM refresh_tokens WHERE hash = ?", (hash,)
        ).fetchone()
        return RefreshRow(*row) if row else None

    def refresh_tokens_of(self, user: str) -> list[RefreshRow]:
        """All rows of a user."""
        rows = self._execute(
            "SELECT hash, user, issued, used FROM refresh_tokens WHERE user = ?", (user,)
        )
        return [RefreshRow(*row) for row in rows]

    def use_refresh_token(self, hash: str, now: float) -> None:
        """Note when a token was used."""
        self._execute("UPDATE refresh_tokens SET used = ? WHERE hash = ?", (now, hash))

    def forget_refresh_tokens(self, user: str) -> None:
        """Forget all of a user's tokens."""
        self._execute("DELETE FROM refresh_tokens WHERE user = ?", (user,))

    # API keys

    def add_api_key(self, jti: str, id: str, body: str) -> None:
        """Keep a new key."""
        self._execute("INSERT INTO api_keys (jti, id, body) VALUES (?, ?, ?)", (jti, id, body))

    def api_key(self, jti: str) -> str | None:
        """The key that a token names."""
        row = self._execute("SELECT body FROM api_keys WHERE jti = ?", (jti,)).fetchone()
        return row[0] if row else None

    def api_keys(self) -> list[str]:
        """All keys."""
        return [row[0] for row in self._execute("SELECT body FROM api_keys ORDER BY rowid")]

    def remove_api_key(self, id: str) -> bool:
        """Revoke a key; whether there was one."""
        return self._execute("DELETE FROM api_keys WHERE id = ?", (id,)).rowcount > 0

    # facts

    def fact(self, name: str) -> str | None:
        """Something kept by name."""
        row = self._execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_fact(self, name: str, value: str) -> None:
        """Keep something by name."""
        self._execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))
