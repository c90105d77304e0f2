"""A TLS front before a server of HTTP, as most servers have one: a command, for a namespace.

``python -m tests.support.tls_front ADDRESS PORT CERTIFICATE BACKEND_PORT``: takes TLS at the
address and passes all bytes on to this machine. Links in the answers lead to https.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on as they come."""
    while data := await reader.read(65_536):
        writer.write(data.replace(b"<http://", b"<https://"))
        await writer.drain()


async def serve(address: str, port: int, certificate: str, backend: int) -> None:
    """Serve until the process is ended; says ``ready`` when it does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", backend)
        ways = [asyncio.create_task(_pass_on(*ends)) for ends in ((reader, outer), (inner, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for stream in (outer, writer):
            with suppress(OSError, ssl.SSLError):
                stream.close()

    server = await asyncio.start_server(connected, address, port, ssl=context, backlog=128)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
