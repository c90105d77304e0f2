"""An exchange as a ``curl`` line that a person can paste; the token is left out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from rolecall.evidence import Exchange
from rolecall.tokens import TOKEN_PATH

_NOT_SHOWN = ("user-agent", "x-rolecall-attack")
_USUAL = ("accept", "application/json")


def command(exchange: Exchange, redact: Callable[[str], str]) -> str:
    """The request of ``exchange``; a bearer token becomes ``$TOKEN``, every other secret its label.

    Redacted piece by piece, since the quotes of a shell are one more way to write a secret.
    """
    words = ["curl", "-i", *_as_it_is(exchange.url)]
    if exchange.method == "HEAD":
        words.append("-I")
    elif exchange.method != "GET":
        words += ["-X", exchange.method]
    line = shlex.join(words)
    for name, value in exchange.request_headers.items():
        if name.lower() == "authorization":
            scheme = f"{value.split(' ', 1)[0]} " if " " in value else ""
            line += f' -H "Authorization: {scheme}$TOKEN"'
        elif name.lower() not in _NOT_SHOWN and (name.lower(), value) != _USUAL:
            text = redact(value)
            # with a colon curl would leave it out
            line += f" -H {_quoted(f'{name}: {text}' if text else f'{name};')}"
    if body := redact(exchange.request_body.decode("utf-8", "replace")):
        # -d @name sends a file
        line += f" {'--data-raw' if body.startswith('@') else '-d'} {_quoted(body)}"
    return f"{line} {_quoted(redact(exchange.url))}"


def of_entry(entry: Mapping[str, Any]) -> str:
    """The line of an entry of evidence.har, which is redacted already."""
    request = entry["request"]
    exchange = Exchange(
        number=entry["_number"],
        method=request["method"],
        url=request["url"],
        request_headers={header["name"]: header["value"] for header in request["headers"]},
        request_body=request.get("postData", {}).get("text", "").encode("utf-8", "replace"),
        caller=entry["_caller"],
    )
    return command(exchange, str)


def token_command(account: str, target: Mapping[str, Any]) -> str:
    """A line for a POSIX shell that puts the access token of an account into $TOKEN; an empty
    string if results.json (``target``) does not know the account.

    The password is read from the exported variable that the target file names, or else from
    PASSWORD: it stands in no line, and in no list of processes.
    """
    known = target.get("accounts", {}).get(account)
    if not known:
        return ""
    variable = known["password_env"] or "PASSWORD"
    body = (
        f'import json,os; print(json.dumps({{"email": {json.dumps(known["email"])}, "password": '
        f"os.environ[{json.dumps(variable)}]}}))"
    )
    url = target["base_url"].rstrip("/") + TOKEN_PATH
    read = 'import json,sys; print(json.load(sys.stdin)["token"])'
    return (
        f"TOKEN=$(python3 -c {shlex.quote(body)} | curl -sS -H 'content-type: application/json' "
        f"-d @- {shlex.quote(url)} | python3 -c {shlex.quote(read)})"
    )


def _as_it_is(url: str) -> list[str]:
    """The options without which curl would make other URLs of this one: brackets are patterns to
    it, and dot segments are taken out.
    """
    options = ["-g"] if any(sign in url for sign in "[]{}") else []
    return (
        [*options, "--path-as-is"] if "/." in url.partition("://")[2].partition("?")[0] else options
    )


def _quoted(text: str) -> str:
    """A word of a shell; ``$'...'`` where it holds what no line of a terminal can (POSIX.1-2024,
    2.2.4).
    """
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))
