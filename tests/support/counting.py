"""A relay that counts, by the address of who asks, the requests that pass: ``python -m
tests.support.counting HERE:PORT THERE:PORT``.

It is a command, so that it can run in a network namespace. SIGTERM ends it; then it prints the
counts as JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter

_LINE = b" HTTP/1.1\r\n"


async def relay(here: str, there: str) -> Counter[str]:
    """Relay until SIGTERM, and say how many requests came from where."""
    counts: Counter[str] = Counter()
    host, _, port = there.partition(":")

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        end = b""
        while data := await reader.read(65536):
            if address:
                counts[address] += (end + data).count(_LINE)
            end = (end + data)[1 - len(_LINE) :]
            writer.write(data)
            await writer.drain()
        writer.close()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(host, int(port))
        address = writer.get_extra_info("peername")[0]
        await asyncio.gather(
            pump(reader, requests, address), pump(answers, writer, ""), return_exceptions=True
        )
        requests.close()

    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    host_here, _, port_here = here.partition(":")
    await asyncio.start_server(accepted, host_here, int(port_here))
    sys.stdout.write("# ready\n")
    sys.stdout.flush()
    await over.wait()
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(relay(*sys.argv[1:]))))
