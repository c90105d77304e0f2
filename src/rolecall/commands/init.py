"""Write a target file: every setting with a comment, and no password in it.

On a terminal it asks for what no option says. Without one, everything that no option says comes
from environment variables when a run begins, so that one file serves every environment.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rolecall.errors import UsageError
from rolecall.screen import harmless, is_terminal, say

HELP = "write a commented target file, by asking or by options"
_DEFAULT = Path("target.toml")
_PAGE = "docs/target-file.md"
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")  # POSIX.1-2024 8.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and what is to be in it."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=_DEFAULT,
        metavar="FILE",
        help=f"the file to write (default: {_DEFAULT})",
    )
    parser.add_argument(
        "--base-url", metavar="URL", help="the server's URL (default: $PREFIX_BASE_URL)"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="name in reports (default: the server's host)"
    )
    parser.add_argument(
        "--email",
        action="append",
        metavar="ROLE=ADDRESS",
        help="the e-mail of a role's user (default: $PREFIX_ROLE_EMAIL); once for each role",
    )
    parser.add_argument(
        "--env-prefix",
        default="ROLECALL",
        metavar="PREFIX",
        help="how the environment variables begin (default: ROLECALL)",
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", help="the private CA of the server's certificate"
    )
    parser.add_argument(
        "--api-keys", metavar="PATH", help="path at which the admin may create API keys"
    )
    parser.add_argument(
        "--bank", metavar="DIR", help="folder that keeps tokens until they have expired"
    )
    parser.add_argument("--no-input", action="store_true", help="never ask, not even on a terminal")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def run(arguments: argparse.Namespace) -> int:
    """Write the file, whole or not at all, once it has been read as a run would read it.

    Raises:
        UsageError: the file is there, its folder is not, an option is wrong, or it would not be a
            target file.
        NotWrittenWhole: the file system refused.
    """
    from rolecall.whole_files import write_file

    path: Path = arguments.file
    if not arguments.force and (path.exists() or path.is_symlink()):
        raise UsageError(str(path), "it is there already", "Name another, or give --force.")
    if not _VARIABLE.fullmatch(arguments.env_prefix):
        what = "this is not how the name of an environment variable begins"
        raise UsageError(f"--env-prefix {harmless(arguments.env_prefix)}", what, "Such as STAGING.")
    if not path.parent.is_dir():
        raise UsageError(str(path), f"there is no folder {path.parent}", "Make it first.")
    emails = _emails(arguments.email or ())
    if is_terminal(sys.stdin) and not arguments.no_input:
        _ask(arguments, emails, _answer)
    text, variables = target_text(arguments, emails)
    _check(text, path, variables)
    write_file(path, text)
    say(f"written       {harmless(str(path))}; {_PAGE} has every setting")
    say(f"to be set     {', '.join(variables)}", wraps=True)
    say(f"next          rolecall check {harmless(str(path))}")
    return 0


def _emails(given: list[str] | tuple[()]) -> dict[str, str]:
    """The addresses by role.

    Raises:
        UsageError: one is not ROLE=ADDRESS.
    """
    emails = {}
    roles = _roles()
    for entry in given:
        role, _, address = entry.partition("=")
        if role not in roles or not address:
            raise UsageError(
                f"--email {harmless(entry)}",
                "this is not ROLE=ADDRESS",
                f"Roles: {', '.join(roles)}.",
            )
        emails[role] = address
    return emails


def _answer(question: str) -> str:
    """What a person types; nothing where the input has ended."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _ask(
    arguments: argparse.Namespace, emails: dict[str, str], answer: Callable[[str], str]
) -> None:
    """Ask for what no option says; an empty answer leaves it to the environment, or out."""
    say(
        "An empty answer takes what stands in brackets. Passwords are not asked for.",
        stream=sys.stderr,
    )
    prefix = arguments.env_prefix
    questions = (
        ("base_url", f"URL of the server, without /v2 [${prefix}_BASE_URL]: "),
        ("name", "name of the server in reports [its host]: "),
        ("ca_file", "file of a private CA [none]: "),
        ("api_keys", "path at which the admin may create API keys [none]: "),
        ("bank", "folder that keeps tonight's tokens, to prove expiry tomorrow [rolecall-bank]: "),
    )
    for option, question in questions:
        if getattr(arguments, option) is None:
            setattr(arguments, option, answer(question))
    for role in _roles():
        if role not in emails and (
            address := answer(f"e-mail of the {role} [{_email(prefix, role)}]: ")
        ):
            emails[role] = address


def _roles() -> tuple[str, ...]:
    """Those of the permission table, lowest first."""
    from rolecall.spec.loading import load_specification

    return load_specification().roles


def _email(prefix: str, role: str) -> str:
    return f"${prefix}_{role.upper()}_EMAIL"


def _check(text: str, path: Path, variables: list[str]) -> None:
    """Read the text as a run will.

    Raises:
        UsageError: something in it is wrong.
    """
    from rolecall.target import parse_target

    urls = dict.fromkeys((name for name in variables if name.endswith("_URL")), "https://a.example")
    environ = {name: f"{number} of init" for number, name in enumerate(variables)} | urls
    parse_target(text, _roles(), source=str(path), folder=path.parent, environ=environ)


def target_text(arguments: argparse.Namespace, emails: dict[str, str]) -> tuple[str, list[str]]:
    """The file's text, and the environment variables that it names."""
    prefix, variables = arguments.env_prefix, []

    def from_environment(name: str) -> str:
        variables.append(f"{prefix}_{name}")
        return f'"{variables[-1]}"'

    lines = [*_HEAD, "", "[target]", *_target(arguments, from_environment)]
    for role in _roles():
        lines += ["", f"[accounts.{role}]"]
        upper = role.upper()
        lines.append(
            f"email = {_quoted(emails[role])}"
            if role in emails
            else f"email_env = {from_environment(f'{upper}_EMAIL')}"
        )
        lines.append(f"password_env = {from_environment(f'{upper}_PASSWORD')}")
    lines += ["", *_keys(arguments), "", *_expiry(arguments), "", *_DIALECT]
    return "\n".join(lines) + "\n", variables


_HEAD = (
    "# The server that Rolecall certifies, and the accounts that it logs in with.",
    f"# {_PAGE} has every setting; `rolecall check FILE` tells what is wrong or missing.",
    "# Each ..._env names an environment variable that must be set when a run begins.",
)
_DIALECT = (
    "# How gaps of the specification are read, where your server differs (docs/readings.md):",
    "# [dialect]",
    "# expired = [401]           # instead of 403",
    "# created = [200, 201, 202]",
    "",
    "# Paths that differ from the usual ones, operation by operation:",
    "# [operations.list-knowledge-items]",
    '# path = "/v2/kbitems"',
    "",
    "# Things that are there already, to be read and never changed; or none of a kind is made:",
    "# [fixtures.contact]",
    '# id = "599e1fcd9da1c72645c95886"',
    "# create = false",
)


def _target(arguments: argparse.Namespace, from_environment: Callable[[str], str]) -> Iterator[str]:
    """The lines of [target]."""
    if arguments.name:
        yield f"name = {_quoted(arguments.name)}"
    else:
        yield '# name = "staging"        # how reports call it; otherwise its host'
    if arguments.base_url:
        yield f"base_url = {_quoted(arguments.base_url)}   # operations add /v2/..."
    else:
        yield f"base_url_env = {from_environment('BASE_URL')}   # operations add /v2/..."
    yield "# rate_limit = 20         # requests per second, at most"
    yield "# concurrency = 8         # requests in flight"
    yield "# timeout = 10            # seconds until a complete answer"
    if arguments.ca_file:
        yield f"verify_tls = {_quoted(arguments.ca_file)}   # a private CA; from this file's folder"
    else:
        yield '# verify_tls = "ca.pem"   # a private CA, from this file\'s folder'
    yield '# client_cert = "client.pem"   # and client_key, where the server asks who calls'
    yield f'# proxy_env = "{arguments.env_prefix}_PROXY"   # http://[user:password@]host:port'
    yield "# attempt_denied_writes = true   # with --read-only, too"
    yield "# load_allowed = true     # whether `rolecall load` may put it under load"
    yield ""
    yield "# One user for each role; a second guest, as [accounts.guest2], proves more."


def _keys(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of [api_keys]."""
    yield "# Without keys, half of the 376 cells are not tested."
    if arguments.api_keys:
        yield "[api_keys]"
        yield f"create_path = {_quoted(arguments.api_keys)}   # where the admin may create them"
    else:
        yield "# [api_keys]"
        yield '# create_path = "/v2/apikeys"   # where the admin may create them; or, ready-made:'
        yield "# [api_keys.tokens]"
        yield f'# bot_env = "{arguments.env_prefix}_BOT_KEY"'


def _expiry(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of [expiry]."""
    yield "# Ways to a token that has really expired; all that are given are used."
    yield "[expiry]"
    bank = arguments.bank or "rolecall-bank"
    yield f"bank = {_quoted(bank)}   # keeps tonight's tokens, presents them tomorrow"
    yield f'# bank_key_env = "{arguments.env_prefix}_BANK_KEY"   # encrypts it, as in a cache'
    yield '# clock_url = "http://127.0.0.1:8080/__clock"   # a hook that moves the server\'s clock'
    yield f'# signing_key_env = "{arguments.env_prefix}_SIGNING_KEY"'


def _quoted(text: str) -> str:
    from rolecall.reference.target import quoted

    return quoted(text)
