"""The URL of a server: what it must be, and whether it is this machine's own."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import idna

from rolecall.errors import UsageError

#: What can stand in a request line (RFC 9112 3.2.1), of which it is not said here what it means.
_PATH = re.compile(r"[!-~]*")
_HOST_NAME = re.compile(r"[\w.-]+", re.ASCII)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by name or by address."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, where: str) -> None:
    """Refuse a URL that no server of HTTP can have.

    Raises:
        UsageError: it holds credentials, or is not ``http[s]://host[:port]`` with a path or not.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:  # and is not repeated in the message
        raise UsageError(
            where, "the URL must not hold a user or a password", "They belong under [accounts]."
        )
    if url.isprintable() and not _PATH.fullmatch(url.partition("://")[2].partition("/")[2]):
        raise UsageError(
            where,
            f"{url!r} is not a URL a server can have: its path cannot stand in a request",
            "Write spaces and letters beyond ASCII percent-encoded, such as %C3%BC for \u00fc.",
        )
    try:
        parts = urlsplit(url)
        is_fine = (
            parts.scheme in ("http", "https")
            and parts.port != 0
            and url.isprintable()
            and url == url.strip()
            and _is_host(parts.hostname or "")
        )
    except ValueError:
        is_fine = False
    if not is_fine:
        raise UsageError(
            where, f"{url!r} is not a URL a server can have", "Write it as https://host[:port]."
        )


def ascii_host(host: str) -> str:
    """A host as it is looked up and named: by IDNA 2008 (RFC 5891), as browsers and httpx have it.
    Python's own codec is of IDNA 2003, where faß.example is another host, fass.example.

    Raises:
        ValueError: it is no host: a label of it is empty, too long, or of other characters.
    """
    if ":" in host:
        return host
    return host.encode("idna").decode() if host.isascii() else idna.encode(host.lower()).decode()


def _is_host(host: str) -> bool:
    """Whether this can be a host; a name with empty or overlong labels raises ValueError."""
    if ":" in host:
        return bool(ip_address(host))
    return bool(_HOST_NAME.fullmatch(ascii_host(host)))
