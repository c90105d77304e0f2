"""uvicorn's HTTP protocol, with the connection within reach of what has to misuse it."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "rolecall.transport"


class Protocol(HttpToolsProtocol):
    """Puts the transport into the scope of every request."""

    def on_url(self, url: bytes) -> None:
        """The scope is there by now, and the request not yet dispatched."""
        super().on_url(url)
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]  # a key of ours


def transport_of(scope: object) -> asyncio.Transport:
    """The connection of a request."""
    assert isinstance(scope, dict)
    transport: asyncio.Transport = scope[TRANSPORT]
    return transport
