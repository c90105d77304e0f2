"""How a target is reached: what TLS checks and shows, and the proxy on the way.

The suite and load have connections of their own; both ask here. A proxy is asked for a tunnel
(CONNECT, RFC 9110 9.3.6) to every target, also to one of plain HTTP: so it can neither read nor
rewrite what a test sends, but for that of plain HTTP. It is the target file's alone: those of the
environment are never asked.
"""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import certifi

from rolecall.errors import UsageError
from rolecall.urls import check_url

_LONGEST = 64 * 1024  # bytes of a proxy's answer
#: OpenSSL's codes of a certificate that nobody vouches for: self-signed, or of an unknown CA.
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Proxy:
    """A proxy that opens tunnels; ``credentials`` is the value of Proxy-Authorization, or empty."""

    host: str
    port: int
    credentials: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, where: str) -> Self:
        """The proxy of a URL, ``http://[user:password@]host:port``.

        Raises:
            UsageError: it is none; the URL is not repeated, since it may hold a password.
        """
        front, _, rest = url.rpartition("@")
        scheme, _, user = front.partition("://") if front else ("", "", "")
        plain = f"{scheme}://{rest}" if front else url
        try:
            check_url(plain, where)
            parts = urlsplit(plain)
            fine = parts.scheme == "http" and parts.path in ("", "/") and not parts.query
        except UsageError:
            fine = False
        if not fine or "/" in user:
            raise UsageError(
                where, "this is not the URL of a proxy", "Write it as http://host:port."
            )
        user = unquote(user)
        basic = base64.b64encode(user.encode()).decode()
        return cls(
            parts.hostname or "",
            parts.port or 80,
            f"Basic {basic}" if user else "",
            user.partition(":")[2],
        )

    def __str__(self) -> str:
        return f"the proxy {authority(self.host, self.port)}"

    def connect(self, host: str, port: int) -> bytes:
        """The request for a tunnel."""
        there = authority(host, port)
        lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}", "User-Agent: rolecall"]
        lines += [f"Proxy-Authorization: {self.credentials}"] if self.credentials else []
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def answered(self, data: bytes) -> bool:
        """Whether the tunnel is there, by what has come so far; False while there is more to come.

        Raises:
            NoTunnel: the proxy refuses, or does not speak HTTP.
        """
        head, end, more = data.partition(_END)
        if not end and len(data) <= _LONGEST and (data[:5] in b"HTTP/" or data[:5] == b"HTTP/"):
            return False
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
        if not end or len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            raise NoTunnel(f"{self} does not answer as a proxy does")
        if not words[1].startswith("2"):
            why = " (user or password in [target] proxy)" if words[1] == "407" else ""
            raise NoTunnel(f"{self} opens no tunnel: {words[1]}{why}")
        if more:
            raise NoTunnel(f"{self} sent something before the target was asked")
        return True


class NoTunnel(OSError):
    """A proxy opens no tunnel, and why."""


def authority(host: str, port: int) -> str:
    """A host and a port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class Transit:
    """The settings of a target file.

    ``verify`` is whether certificates are verified, or the path of a CA bundle; ``certificate`` and
    ``key`` are the paths of the client's own, empty without.
    """

    verify: bool | str = True
    certificate: str = ""
    key: str = ""
    proxy: Proxy | None = None

    def tls(self) -> ssl.SSLContext:
        """How TLS is spoken.

        Raises:
            OSError, ValueError: a file cannot be read, or holds something else.
            UsageError: the environment wants TLS keys in a file that cannot be written.
        """
        _check_key_log()
        bundle = self.verify if isinstance(self.verify, str) else certifi.where()
        context = ssl.create_default_context(cafile=bundle)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            # An encrypted key would be asked for on the terminal: nobody sits there at night.
            context.load_cert_chain(self.certificate, self.key or None, password=lambda: b"")
        context.set_alpn_protocols(["http/1.1"])
        return context


def distrust(error: ssl.SSLCertVerificationError) -> str:
    """Why a server's certificate is not trusted, and what helps where only its CA is not known."""
    hint = "; a CA of your own is named by verify_tls" if error.verify_code in _UNKNOWN_CA else ""
    return f"its certificate is not trusted ({error.verify_message.rstrip('.')}){hint}"


def _check_key_log() -> None:
    """Refuse a file for TLS keys that Python could not open: its error would name no file, and be
    taken for that of a CA bundle.
    """
    if path := os.environ.get("SSLKEYLOGFILE"):
        try:
            Path(path).open("ab").close()
        except OSError as error:
            what = f"the file {path} for TLS keys cannot be written: {error.strerror}"
            raise UsageError("SSLKEYLOGFILE", what, "Unset or correct this variable.") from None


def of_verify(verify: bool | str | Transit) -> Transit:
    """The same where only ``verify`` is known."""
    return verify if isinstance(verify, Transit) else Transit(verify)
