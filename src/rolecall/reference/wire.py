"""The last step before the network: headers that every answer has, and the sending itself."""

from __future__ import annotations

from starlette.types import Send

from rolecall.reference.call import Answer, Call
from rolecall.reference.clock import Clock


class Wire:
    """What happens around every request."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def before(self, call: Call) -> Answer | None:
        """An answer that is given without looking at the request any closer."""
        return None

    async def after(self, call: Call, answer: Answer) -> Answer:
        """The answer as it will be sent."""
        return answer

    def headers(self, call: Call, answer: Answer) -> list[tuple[bytes, bytes]]:
        """The headers of an answer."""
        headers = [(b"date", self.clock.date().encode())]
        if answer.body:
            headers.append((b"content-type", answer.media_type.encode()))
        if answer.status != 204:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        headers += [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        return headers

    async def send(self, call: Call, answer: Answer, send: Send) -> None:
        """Put an answer on the wire. To HEAD, uvicorn sends the headers only."""
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": self.headers(call, answer),
            }
        )
        await send({"type": "http.response.body", "body": answer.body})
