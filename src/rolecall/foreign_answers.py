"""Tells the answer to a log-in that the API did not give: a redirect, a web page, a portal's.

A wrong ``base_url`` leads to them, and so does what stands before a server: a proxy, a firewall, a
captive portal, a log-in page of its own. Nothing of it can be held against the API.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

#: Of every answer that is a redirect (RFC 9110 15.4): 304 answers another question.
_REDIRECTS = frozenset({300, 301, 302, 303, 305, 307, 308})
#: The answer of who stands before a network, and of no server in it (RFC 6585 6).
_PORTAL = 511
#: Schemes of HTTP authentication that the API does not know (IANA's registry).
_NOT_BEARER = frozenset({"basic", "digest", "negotiate", "ntlm"})
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,400})", re.IGNORECASE)
_BEGINNING = 16 * 1024  # bytes of a page that are searched for its title
_CHECK = "Check base_url in the target file, and what stands before the server."
_LONGEST_LOCATION, _LONGEST_TITLE = 200, 80  # characters


def not_of_the_api(status: int, header: Callable[[str], str], body: bytes) -> str:
    """What shows that the API did not give an answer without a token, as the rest of a sentence
    about its URL; empty where it may have.

    ``header`` gives the value of a field, or an empty text.
    """
    if status in _REDIRECTS:
        to = _without_secrets(header("location"))
        where = f"Location: {to}" if to else "without a Location"
        return f"is answered {status}, a redirect ({where}), and none is followed. {_CHECK}"
    if status == _PORTAL:
        return f"is answered {status}: the network wants a log-in of its own (RFC 6585 6)"
    if 200 <= status < 300 and _is_page(header, body):
        return f"is answered {status} with a web page. {_CHECK}"
    return ""


def _is_page(header: Callable[[str], str], body: bytes) -> bool:
    """Whether an answer is a page for a browser, and no JSON that is only called one."""
    media_type = header("content-type").partition(";")[0].strip().lower()
    return media_type in _PAGES and not body.lstrip().startswith((b"{", b"["))


def is_foreign(
    status: int, header: Callable[[str], str], body: bytes, *, head: bool = False
) -> bool:
    """Whether an answer to any request looks like that of somebody before the API: a redirect, or a
    page for a browser. That the API itself answers so is not said by it.

    Args:
        head: whether it answers a HEAD, and so has no body.
    """
    return (
        status in _REDIRECTS
        or status == _PORTAL
        or ((head or bool(body)) and _is_page(header, body))
    )


def before_the_api(header: Callable[[str], str], body: bytes) -> str:
    """What else to check where a refusal looks like that of somebody before the API, as the end of
    a list; empty where it does not.
    """
    scheme = header("www-authenticate").partition(" ")[0].rstrip(",")
    if scheme.lower() in _NOT_BEARER:
        return f", and what stands before the server: it asks for a log-in of scheme {scheme}"
    if not _is_page(header, body):
        return ""
    title = _TITLE.search(body[:_BEGINNING].decode(errors="replace"))
    said = " ".join(title[1].split())[:_LONGEST_TITLE] if title else ""
    page = f"a web page ({said})" if said else "a web page"
    return f", and what stands before the server: the answer is {page}"


def _without_secrets(location: str) -> str:
    """A Location as it may be shown: a query, a fragment or a user in it may be a secret."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))[:_LONGEST_LOCATION]
