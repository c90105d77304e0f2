"""The way to the target: what is sent is what the test wrote, and only to the target, and every exchange is recorded.

No cookies, no redirects, no proxies from the environment. Every request passes the layers of `transports`.
"""

from __future__ import annotations

import json as jsonlib
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from rolecall._httpx import httpx
from rolecall.connection import VERBATIM
from rolecall.errors import Unreachable
from rolecall.evidence import Evidence, Exchange
from rolecall.gate import SAFE, TOKEN_PATH, About, Gate
from rolecall.outcomes import Trouble
from rolecall.secrets import Secrets
from rolecall.target import Target
from rolecall.transports import AWAY, EXCHANGE, PATIENT, REPEATABLE, Network, Pace, Pacing, Recording, Retrying

#: httpx logs whole URLs at INFO, and the specification's refresh call has a refresh token in its query.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_SHOWN = 2048  # characters of a header field that are kept as evidence; nothing that is longer is anybody's


class Client:
    """Sends requests to one target, as far as the gate lets them through, and records every exchange."""

    def __init__(self, target: Target, evidence: Evidence, secrets: Secrets, gate: Gate) -> None:
        self.base_url = target.base_url
        self.dead: Unreachable | None = None
        self._network = Network(target)
        self._pace = Pace(target.rate_limit)
        self._recording = Recording(Pacing(Retrying(self._network, self._pace), self._pace, target.concurrency))
        self._evidence = evidence
        self.gate = gate
        self.last_status = 0
        self.secrets = secrets

    async def send(
        self,
        method: str,
        path: str,
        *,
        caller: str = "nobody",
        token: str = "",
        headers: Mapping[str, str | None] | None = None,
        json: Any = None,
        content: bytes | None = None,
        attack: str = "",
        about: About = None,
        repeatable: bool | None = None,
        patient: bool = True,
    ) -> Exchange:
        """Send one request and return its recorded exchange.

        Args:
            path: begins with ``/``; the target's base URL goes before it.
            token: sent as ``Authorization: Bearer``; none when empty.
            headers: added to the usual ones, or sent instead; one that is None is left out.
            attack: the id of the requirement on whose behalf the request leaves the specification on purpose.
            about: what a request that may change something is about; the gate lets it through only with that.
            repeatable: whether it may be sent again when nobody knows if it was carried out; by default the safe
                methods are (RFC 9110 9.2.2).
            patient: wait as a 429 asks, and send again; otherwise it is the answer.

        Raises:
            Trouble: no complete answer came, for a reason that may pass.
            Unreachable: the target is gone; every later call says so at once.
            NotTested: nothing may be written.
            Inconclusive: it might change something that is not the run's own, so it was not sent.
        """
        return await self.send_to(
            self.base_url + _sendable(path),
            method,
            caller=caller,
            token=token,
            headers=headers,
            json=json,
            content=content,
            attack=attack,
            about=about,
            repeatable=repeatable,
            patient=patient,
        )

    async def send_to(
        self,
        url: str,
        method: str,
        *,
        caller: str,
        token: str = "",
        headers: Mapping[str, str | None] | None = None,
        json: Any = None,
        content: bytes | None = None,
        attack: str = "",
        about: About = None,
        repeatable: bool | None = None,
        patient: bool = True,
    ) -> Exchange:
        """As `send`, to any URL: for hooks of the target that are not part of the API."""
        if self.dead:
            raise replace(self.dead)  # a new one: whoever raises one again and again makes its traceback longer and longer
        usual = {"accept": "application/json", "user-agent": "rolecall"}
        if token:
            usual["authorization"] = f"Bearer {token}"
        if json is not None:
            content = jsonlib.dumps(json, separators=(",", ":")).encode()
        if content is not None:
            usual["content-type"] = "application/json"
        if attack:
            usual["x-rolecall-attack"] = attack
        sent = {name: value for name, value in {**usual, **(headers or {})}.items() if value is not None}
        self.gate.admit(method, url, sent, about)
        trial = self.gate.admit_log_in(method, url, content or b"", attack)
        exchange = self._evidence.record(
            method=method,
            url=url,
            request_headers=sent,
            request_body=content or b"",
            caller=caller,
            attack=attack,
        )
        request = httpx.Request(
            method,
            exchange.url,
            headers=[(name.encode(), value.encode("utf-8", "replace")) for name, value in sent.items()],
            content=content,
            extensions={
                EXCHANGE: exchange,
                REPEATABLE: method in SAFE if repeatable is None else repeatable,
                PATIENT: patient,
            },
        )
        try:
            await self._transmit(request, exchange)
        finally:
            if trial:
                self.gate.log_ins.answered(trial, exchange.status)
        return exchange

    async def send_raw(
        self, method: str, path: str, fields: Iterable[tuple[str, bytes]], *, caller: str = "nobody", attack: str
    ) -> Exchange:
        """Send a request without a body whose header fields stand on the wire as given, on a connection of its own.

        The exchange has status 0 and an error when the target closed the connection instead of answering: it refused.

        Raises:
            Trouble, Unreachable: as for `send`.
        """
        if self.dead:
            raise replace(self.dead)
        url = urlsplit(self.base_url + _sendable(path))
        usual = {"host": url.netloc, "user-agent": "rolecall", "x-rolecall-attack": attack, "connection": "close"}
        lines = [*((name, value.encode()) for name, value in usual.items()), *fields]
        self.gate.admit(method, url.geturl(), {name: "" for name, _ in lines}, None)
        begin = f"{method} {url._replace(scheme='', netloc='').geturl()} HTTP/1.1".encode()
        message = b"\r\n".join([begin, *(b"%s: %s" % (name.encode(), value) for name, value in lines), b"", b""])
        exchange = self._evidence.record(
            method=method,
            url=url.geturl(),
            request_headers={name: _shown(value) for name, value in lines},
            request_body=b"",
            caller=caller,
            attack=attack,
        )
        extensions = {EXCHANGE: exchange, REPEATABLE: method in SAFE, PATIENT: True, VERBATIM: message}
        await self._transmit(httpx.Request(method, exchange.url, extensions=extensions), exchange)
        return exchange

    async def _transmit(self, request: httpx.Request, exchange: Exchange) -> None:
        """Let a request pass all layers; what comes back is in ``exchange``."""
        self.secrets.learn_sent(exchange)
        asked = time.monotonic()
        try:
            await self._recording.handle_async_request(request)
        except httpx.TransportError as error:
            await self._judge_silence(error, exchange)
            closed = isinstance(error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)
            if closed and VERBATIM in request.extensions:
                return
            raise Trouble(f"an answer to {exchange}", "the connection to the target") from None
        self.secrets.learn_received(exchange)
        self.last_status = exchange.status
        if exchange.status == 429 and request.extensions[PATIENT]:
            if self._pace.last_answer < asked:
                self.dead = Unreachable(self.base_url, "gives no usable answer: nothing but 429, whatever the rate_limit")
                raise replace(self.dead)
            raise Trouble(f"an answer to {exchange}: throttled {exchange.attempts} times", "the rate_limit of the target file")
        if exchange.status in AWAY:
            raise Trouble(f"an answer to {exchange}: the target, or what stands before it, was away", "the target's log")
        if exchange.ok and exchange.body and exchange.json is None and "json" in exchange.header("content-type"):
            raise Trouble(f"a body that is JSON: {exchange}", "RESPONSE-json")

    async def _judge_silence(self, error: httpx.TransportError, exchange: Exchange) -> None:
        """Tell a target that is gone from one that dropped a request.

        Raises:
            Unreachable: nothing was answered since ``exchange`` was sent, and another request gets no answer either.
        """
        if self._network.last_answer > exchange.started:
            return
        probe = httpx.Request("GET", f"{self.base_url}{TOKEN_PATH}")
        try:
            await self._network.handle_async_request(probe)
        except httpx.TransportError:
            what = (
                "cannot be reached" if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else "gives no usable answer"
            )
            self.dead = Unreachable(self.base_url, f"{what}: {exchange.error}")
            raise replace(self.dead) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._network.aclose()


def _shown(value: bytes) -> str:
    """A header field as evidence."""
    text = value.decode("latin-1")
    return text if len(text) <= _SHOWN else f"{text[:32]}... ({len(text):,} characters)"


def _sendable(path: str) -> str:
    """A path as it may stand in a request line: it may hold an id, and a target may have made that of any characters."""
    return quote(path, safe="%/:?#[]@!$&'()*+,;=", errors="backslashreplace")
