"""Finds the next page in the Link fields of an answer (RFC 8288), in linear time."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from rolecall.bounds import LINK_LIMIT

_TARGET = re.compile(r"[\s,]*<([^<>]*)>")
#: One parameter: its name, and its value as a token or a quoted string.
_PARAMETER = re.compile(
    r'\s*;\s*([^\s=;,"<>]*)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?', re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
#: A path in which nothing has to be escaped, as nearly all of them.
_PLAIN = re.compile(r"[A-Za-z0-9/_.~?=&%-]*")
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED = f"{string.ascii_letters}{string.digits}-._~"
_PORTS = {"http": 80, "https": 443}


def next_page(url: str, fields: Iterable[str]) -> str:
    """The URL that an answer to ``url`` links to with the relation "next"; empty when there is none
    that can be read.

    Several Link fields are one list (RFC 9110 5.3); a link that is said to be another page's
    (``anchor``) is left out.
    """
    for target, parameters in _links(", ".join(fields)):
        if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
            return resolved(url, target)
    return ""


def resolved(url: str, reference: str) -> str:
    """The URL that a reference in an answer to ``url`` means (RFC 3986 5); empty if malformed."""
    try:
        return urljoin(url, reference)
    except ValueError:  # as of "http://[x"
        return ""


def path_below(base_url: str, url: str) -> str:
    """The path and query of ``url`` behind ``base_url``; empty when it leads anywhere else, or is
    no URL.

    URLs are the same that RFC 3986 6.2 calls equivalent: scheme and host have no case, a port may
    be left out where it is the scheme's own, what need not be escaped may be, and ``.`` and ``..``
    are gone.
    """
    try:
        base, there = urlsplit(base_url), urlsplit(url)
        if _origin(base) != _origin(there):
            return ""
    except ValueError:
        return ""
    front, path = _normal(base.path), _normal(there.path)
    if not path.startswith(f"{front}/"):
        return ""
    path = path.removeprefix(front)
    return f"{path}?{there.query}" if there.query else path


def query_of(url: str) -> str:
    """The query of a URL; empty where it has none, or is no URL."""
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def sendable(path: str) -> str:
    """A path as it may stand in a request line: a target may have made what is in it, an id or a
    link, of any characters.
    """
    return (
        path
        if _PLAIN.fullmatch(path)
        else quote(path, safe="%/:?#[]@!$&'()*+,;=", errors="backslashreplace")
    )


def _normal(path: str) -> str:
    """A path in normal form (RFC 3986 6.2.2): escapes in upper case, and only where they are
    needed; no dot segments.
    """
    path = _ESCAPE.sub(lambda escape: _unescaped(escape[0].upper()), path)
    return urljoin("/", path) if "/." in path else path


def _unescaped(escape: str) -> str:
    character = chr(int(escape[1:], 16))
    return character if character in _UNRESERVED else escape


def _links(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The links of a field: their targets and parameters, by lower-case names; of equal names the
    first counts (RFC 8288 3.3).
    """
    at = 0
    for _ in range(LINK_LIMIT):
        target = _TARGET.match(text, at)
        if target is None:  # no link; the next one may be
            at = text.find("<", at + 1)
            if at < 0:
                return
            continue
        at = target.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, at):
            name, quoted, token = parameter.groups()
            value = token or "" if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
            at = parameter.end()
        yield target[1].strip(), parameters


def _origin(url: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme), url.username
