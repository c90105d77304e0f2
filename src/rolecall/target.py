"""The target file: which server is judged, with which accounts and settings."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rolecall.errors import UsageError, suggest
from rolecall.ready_made import ReadyMade, ready_made
from rolecall.text_files import read_text
from rolecall.toml_table import TomlTable, read_toml, unset_variables
from rolecall.transit import Proxy, Transit
from rolecall.urls import check_url, is_loopback

DEFAULT_RATE = 20.0
EMBEDDED_CONCURRENCY = 16
SHORTEST_KEY = 16  # characters of a bank's key: who finds the bank can try many of them
#: What to check where a log-in is refused.
USUAL_CHECK = "the password, and whether the account is locked"
#: A domain of addresses, as it is written in them (RFC 5321 4.1.2).
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
#: Signatures that a server may check (RFC 7518 3.1); `none` is not one.
ALGORITHMS = (
    *(f"{kind}{size}" for kind in ("HS", "RS", "ES", "PS") for size in (256, 384, 512)),
    "EdDSA",
)


@dataclass(frozen=True)
class Account:
    """One user of the target: ``name`` is its table's ([accounts.guest2]), ``role`` the role it has
    (guest), ``password_env`` the environment variable that the password came from, if it did.
    """

    name: str
    role: str
    email: str
    password: str = field(repr=False)
    password_env: str = ""


@dataclass(frozen=True)
class ApiKeyOptions:
    """Where keys come from: a path at which the admin creates them, or ready-made ones by role.

    ``acts_as`` is the account whose user they act as, where neither a key nor the server tells.
    """

    create_path: str = ""
    acts_as: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.create_path or self.tokens)


@dataclass(frozen=True)
class ExpiryOptions:
    """Ways to a really expired token; all that are given are used.

    ``bank_key`` is the passphrase with which the bank is encrypted; empty where it is not.
    """

    bank: Path | None = None
    clock_url: str = ""
    signing_key: str = field(default="", repr=False)
    algorithm: str = "HS256"
    command: str = ""
    wait: float = 0.0
    bank_key: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.bank or self.clock_url or self.signing_key or self.command or self.wait)


@dataclass(frozen=True)
class Target:
    """A server under test; ``rate_limit`` is in requests per second (0: none)."""

    name: str
    base_url: str
    accounts: Mapping[str, Account]
    rate_limit: float = 0.0
    concurrency: int = 8
    timeout: float = 10.0  # seconds
    verify_tls: bool | str = True
    client_cert: str = ""
    client_key: str = ""
    proxy: Proxy | None = None
    email_domain: str = "example.org"
    load_allowed: bool = False
    mark_attacks: bool = False
    attempt_denied_writes: bool = False
    api_keys: ApiKeyOptions = ApiKeyOptions()
    expiry: ExpiryOptions = ExpiryOptions()
    dialect: Mapping[str, Any] = field(default_factory=dict)
    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fixtures: Mapping[str, ReadyMade] = field(default_factory=dict)
    source: str = ""

    @property
    def transit(self) -> Transit:
        """How it is reached."""
        return Transit(self.verify_tls, self.client_cert, self.client_key, self.proxy)

    def may_make(self, resource: str) -> bool:
        """Whether a run may make things of this kind."""
        return resource not in self.fixtures or self.fixtures[resource].create

    def refused_log_in(
        self, name: str, status: int, check: str = USUAL_CHECK, said: str = ""
    ) -> UsageError:
        """The error of a refused log-in: what to ``check``, and what the target ``said``."""
        account = self.accounts[name]
        is_spaced = account.password != account.password.strip()  # as of a file read with its end
        spaced = ". White space stands around the password" if is_spaced else ""
        return UsageError(
            f"{self.source}, [accounts.{name}]",
            f"the log-in of {account.email} is refused ({status}){said}",
            f"Check {check}{spaced}. Nothing more was tried.",
        )

    @property
    def secrets(self) -> Iterable[tuple[str, str]]:
        """Every secret of the file as (value, kind)."""
        for account in self.accounts.values():
            yield account.password, "password"
        for key in self.api_keys.tokens.values():
            yield key, "key"
        if self.expiry.signing_key:
            yield self.expiry.signing_key, "signing-key"
        if self.proxy and self.proxy.credentials:
            yield self.proxy.credentials.removeprefix("Basic "), "proxy-credentials"
            if self.proxy.password:
                yield self.proxy.password, "proxy-password"
        if self.expiry.bank_key:
            yield self.expiry.bank_key, "bank-key"


def load_target(path: Path, roles: Iterable[str]) -> Target:
    """Read a target file.

    Raises:
        UsageError: the file cannot be read, or something in it is unknown, missing or of the wrong
            type.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(str(path), f"the target file cannot be read: {reason}") from None
    return parse_target(text, roles, source=str(path), folder=path.parent)


def parse_target(
    text: str,
    roles: Iterable[str],
    *,
    source: str,
    folder: Path = Path(),
    environ: Mapping[str, str] = os.environ,
) -> Target:
    """Read a target file's text.

    Args:
        roles: those of the permission table.
        folder: where relative paths start.

    Raises:
        UsageError: as for `load_target`.
    """
    # Longer than 40 lines because every setting of the file has a line.
    document = read_toml(text, source)
    unset = sorted(unset_variables(document, environ))
    if len(unset) > 1:  # else the setting is named, too
        what = f"these environment variables are not set: {', '.join(unset)}"
        raise UsageError(source, what, "Export them before the run.")
    top = TomlTable(document, source, "", environ)
    about = top.table("target", required=True)
    base_url = about.given("base_url").rstrip("/")
    check_url(base_url, about.at("base_url"))
    if "?" in base_url or "#" in base_url:
        raise UsageError(
            about.at("base_url"),
            "the URL must not have a query or a fragment",
            "Paths are added to this URL.",
        )
    accounts = _accounts(top.table("accounts", required=True), tuple(roles))
    keys, expiry = top.table("api_keys"), top.table("expiry")
    target = Target(
        name=about.text("name") or urlsplit(base_url).netloc,
        base_url=base_url,
        accounts=accounts,
        rate_limit=about.number("rate_limit", 0.0 if is_loopback(base_url) else DEFAULT_RATE),
        concurrency=int(about.number("concurrency", 8, least=1)),
        timeout=about.number("timeout", 10.0, least=0.1),
        verify_tls=_verify_tls(about, folder),
        **_client_certificate(about, folder),
        proxy=_proxy(about),
        email_domain=_email_domain(about),
        mark_attacks=_mark_attacks(about, base_url),
        load_allowed=about.value("load_allowed", (bool,), default=False),
        attempt_denied_writes=about.value("attempt_denied_writes", (bool,), default=False),
        api_keys=_api_keys(keys, accounts, tuple(roles)),
        expiry=_expiry(expiry, folder),
        dialect=top.value("dialect", (dict,), {}),
        operations=top.value("operations", (dict,), {}),
        fixtures=ready_made(top.table("fixtures")),
        source=source,
    )
    for table in (top, about, keys, expiry):
        table.finish()
    return target


def _api_keys(
    table: TomlTable, accounts: Mapping[str, Account], roles: tuple[str, ...]
) -> ApiKeyOptions:
    create_path = table.text("create_path")
    # Without the slash it would change the URL's host.
    if create_path and not create_path.startswith("/"):
        raise UsageError(
            table.at("create_path"), "a path must begin with /, after the target's base_url"
        )
    return ApiKeyOptions(
        create_path=create_path,
        acts_as=_acts_as(table, accounts),
        tokens=_key_tokens(table.table("tokens"), roles),
    )


def _expiry(table: TomlTable, folder: Path) -> ExpiryOptions:
    bank, clock_url = table.text("bank"), table.text("clock_url")
    if clock_url:
        check_url(clock_url, table.at("clock_url"))
    algorithm = table.text("algorithm") or ALGORITHMS[0]
    if algorithm not in ALGORITHMS:
        raise UsageError(
            table.at("algorithm"),
            f"unknown signature algorithm {algorithm!r}",
            suggest(algorithm, ALGORITHMS),
        )
    return ExpiryOptions(
        bank=folder / bank if bank else None,
        clock_url=clock_url,
        signing_key=table.environment("signing_key_env"),
        algorithm=algorithm,
        command=table.text("command"),
        wait=table.number("wait", 0.0),
        bank_key=_bank_key(table),
    )


def _bank_key(table: TomlTable) -> str:
    """The passphrase of the token bank, if it has one."""
    key, where = table.environment("bank_key_env"), table.at("bank_key_env")
    if key and not table.text("bank"):
        raise UsageError(where, "there is no bank to encrypt", "Give bank as well.")
    if key and len(key) < SHORTEST_KEY:
        raise UsageError(
            where,
            f"the key has fewer than {SHORTEST_KEY} characters",
            "Make one with: openssl rand -base64 32",
        )
    return key


def _verify_tls(table: TomlTable, folder: Path) -> bool | str:
    """True, False, or the path of a CA bundle that can be read."""
    verify: bool | str = table.value("verify_tls", (bool, str), True)
    if isinstance(verify, bool):
        return verify
    bundle = folder / verify
    try:
        Transit(str(bundle)).tls()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = _why(error) or "there is no certificate in it"
        raise UsageError(
            table.at("verify_tls"), f"the CA bundle {bundle} cannot be read: {reason}"
        ) from None
    return str(bundle)


def _why(error: Exception) -> str:
    """What the system says of a file that it cannot read; empty where its content is wrong."""
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return ""
    return error.strerror or ""


def _client_certificate(table: TomlTable, folder: Path) -> dict[str, str]:
    """The paths of the client's certificate and of its key, which can be read."""
    given = {name: table.text(name) for name in ("client_cert", "client_key")}
    paths = {name: str(folder / path) if path else "" for name, path in given.items()}
    if paths["client_key"] and not paths["client_cert"]:
        raise UsageError(table.at("client_key"), "client_cert is missing", "Give both.")
    if not paths["client_cert"]:
        return paths
    try:
        Transit(certificate=paths["client_cert"], key=paths["client_key"]).tls()
    except (OSError, ValueError) as error:
        reason = (
            _why(error) or "it is not a PEM file with a certificate and its unencrypted private key"
        )
        raise UsageError(
            table.at("client_cert"), f"the client certificate cannot be used: {reason}"
        ) from None
    return paths


def _mark_attacks(table: TomlTable, base_url: str) -> bool:
    marks: bool = table.value("mark_attacks", (bool,), default=False)
    if marks and not is_loopback(base_url):
        raise UsageError(
            table.at("mark_attacks"),
            "only a server of this machine is told which requests are attacks",
            "Another one might refuse these alone.",
        )
    return marks


def _email_domain(table: TomlTable) -> str:
    domain = table.text("email_domain") or "example.org"
    if not _DOMAIN.fullmatch(domain):
        what = f"{domain!r} is not a domain"
        raise UsageError(table.at("email_domain"), what, "Such as example.org.")
    return domain


def _proxy(table: TomlTable) -> Proxy | None:
    url = table.secret("proxy")
    return Proxy.of(url, table.at("proxy")) if url else None


def _accounts(table: TomlTable, roles: tuple[str, ...]) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    for name in table.names():
        role = name.rstrip("0123456789")
        if role not in roles:
            raise UsageError(table.at(name), f"unknown role {name!r}", suggest(role, roles))
        entry = table.table(name)
        email, password = entry.given("email"), entry.secret("password")
        if not password:
            entry.finish()
            raise UsageError(
                table.at(name), "the account has no password", "Give password_env or password."
            )
        for other in accounts.values():
            if other.email == email:
                raise UsageError(
                    entry.at("email"),
                    f"[accounts.{other.name}] has the same one",
                    "Every account is a user of its own.",
                )
        accounts[name] = Account(name, role, email, password, entry.text("password_env"))
        entry.finish()
    missing = [role for role in roles if role not in accounts]
    if missing:
        raise UsageError(
            table.at(missing[0]),
            "this account is missing",
            f"One user per role: {', '.join(roles)}.",
        )
    return accounts


def _acts_as(table: TomlTable, accounts: Mapping[str, Account]) -> str:
    """The name of an account, or nothing."""
    name = table.text("acts_as")
    if name and name not in accounts:
        raise UsageError(
            table.at("acts_as"), f"there is no [accounts.{name}]", suggest(name, accounts)
        )
    return name


def _key_tokens(table: TomlTable, roles: tuple[str, ...]) -> dict[str, str]:
    tokens = {}
    for name in table.names():
        role = name.removesuffix("_env")
        if role not in roles:
            raise UsageError(table.at(name), f"unknown role {role!r}", suggest(role, roles))
        tokens[role] = table.secret(role)
        if not tokens[role]:
            raise UsageError(
                table.at(name), "the key is empty", f"Give {role}_env or {role}, or leave it out."
            )
    return tokens
