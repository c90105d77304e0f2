"""The client of the suite: sends what a test wrote, to the target alone, and records it.

No cookies, no redirects, no proxies from the environment. Every request passes the layers of
`transports`.
"""

from __future__ import annotations

import json as jsonlib
import logging
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rolecall.bounds import FIELD_SHOWN, URL_LIMIT
from rolecall.errors import Unreachable
from rolecall.evidence import Evidence, Exchange
from rolecall.http._httpx import httpx
from rolecall.http.connection import VERBATIM
from rolecall.http.gate import SAFE, TOKEN_PATH, About, Creation, Gate
from rolecall.http.layers import Layers, Way
from rolecall.http.link import sendable
from rolecall.http.presence import Presence
from rolecall.http.repeating import no_answer
from rolecall.http.transports import ENTRY, EXCHANGE, PATIENT, REPEATABLE
from rolecall.ledger import LedgerEntry
from rolecall.outcomes import TransientFailure
from rolecall.redaction import Secrets
from rolecall.target import Target

#: httpx logs whole URLs at INFO, and the specification's refresh call has a refresh token in its
#: query.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_SCHEMES = ("http://", "https://")
#: On whose behalf a request asks whether anybody is there at all; no answer to it is held against
#: anybody.
_PROBE = "probe"


class Client:
    """Sends the requests that the gate lets through to one target, and records every exchange."""

    def __init__(
        self,
        target: Target,
        evidence: Evidence,
        secrets: Secrets,
        gate: Gate,
        layers: Way | None = None,
    ) -> None:
        self.base_url = target.base_url
        self.layers: Way = layers or Layers(target, gate.ledger)
        self._recording = self.layers.outermost
        self._marks = target.mark_attacks
        self._evidence = evidence
        self._presence = Presence(self.base_url, self.layers, self._probe)
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
            path: begins with ``/`` and follows the target's base URL; or a whole URL, for hooks of
                the target that are not part of the API.
            token: sent as ``Authorization: Bearer``; none when empty.
            headers: added to the usual ones, or sent instead; one that is None is left out.
            attack: the requirement's id, if the request departs from the specification on purpose.
            about: what a request changes; the gate lets no change through without it.
            repeatable: whether it may be sent again when it is not known whether it was carried
                out; by default the safe methods are (RFC 9110 9.2.2).
            patient: wait as a 429 asks, and send again; otherwise it is the answer.

        Raises:
            TransientFailure: no complete answer came, for a reason that may pass.
            Unreachable: the target is gone; every later call says so at once.
            NotTested: nothing may be written.
            Inconclusive: it might change something that is not the run's own, so it was not sent.
            NotWrittenWhole: what it makes could not be written down, so it was not sent.
        """
        # Longer than 40 lines because its arguments are explained here.
        self._presence.check()
        if json is not None:
            content = jsonlib.dumps(json, separators=(",", ":")).encode()
        url = path if path.startswith(_SCHEMES) else self.base_url + sendable(path)
        usual = _usual_fields(token, attack if self._marks else "", has_content=content is not None)
        sent = {
            name: value for name, value in {**usual, **(headers or {})}.items() if value is not None
        }
        self.gate.admit(method, url, sent, about)
        trial = self.gate.admit_log_in(method, url, content or b"", attack)
        exchange = self._record(method, url, sent, caller, attack, content or b"")
        request = _request(
            exchange,
            headers=[
                (name.encode(), value.encode("utf-8", "replace")) for name, value in sent.items()
            ],
            content=content,
            extensions={
                REPEATABLE: method in SAFE if repeatable is None else repeatable,
                PATIENT: patient,
                ENTRY: _entry(about),
            },
        )
        try:
            await self._transmit(request, exchange)
        finally:
            if trial:
                self.gate.log_ins.answered(trial, exchange.status)
        return exchange

    @property
    def dead(self) -> Unreachable | None:
        """Why the target is taken for gone; None where it is not."""
        return self._presence.dead

    @dead.setter
    def dead(self, why: Unreachable | None) -> None:
        self._presence.dead = why

    async def send_raw(
        self,
        method: str,
        path: str,
        fields: Iterable[tuple[str, bytes]],
        *,
        caller: str = "nobody",
        attack: str,
        about: About = None,
    ) -> Exchange:
        """Send a request without a body, its header fields as given, on its own connection.

        The exchange has status 0 and an error if the target refused by closing the connection. An
        answer that broke off or cannot be read counts only if it began with a client error (4xx).

        Raises:
            TransientFailure, Unreachable: as for `send`.
        """
        self._presence.check()
        url = urlsplit(self.base_url + sendable(path))
        usual = {
            "host": url.netloc,
            "user-agent": "rolecall",
            **({"x-rolecall-attack": attack} if self._marks else {}),
            "connection": "close",
        }
        lines = [*((name, value.encode()) for name, value in usual.items()), *fields]
        self.gate.admit(method, url.geturl(), {name: "" for name, _ in lines}, about)
        begin = f"{method} {url._replace(scheme='', netloc='').geturl()} HTTP/1.1".encode()
        message = b"\r\n".join(
            [begin, *(b"%s: %s" % (name.encode(), value) for name, value in lines), b"", b""]
        )
        exchange = self._record(
            method, url.geturl(), {name: _shown(value) for name, value in lines}, caller, attack
        )
        extensions = {REPEATABLE: method in SAFE, PATIENT: True, VERBATIM: message}
        extensions[ENTRY] = _entry(about)
        await self._transmit(_request(exchange, extensions=extensions), exchange)
        return exchange

    def _record(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        caller: str,
        attack: str,
        content: bytes = b"",
    ) -> Exchange:
        """The record of a request that is about to leave.

        Raises:
            TransientFailure: its URL is too long to be sent.
        """
        exchange = self._evidence.record(
            method=method,
            url=url[:URL_LIMIT],
            request_headers=headers,
            request_body=content,
            caller=caller,
            attack=attack,
        )
        if len(url) > URL_LIMIT:
            exchange.error = (
                f"it was not sent: its URL has {len(url):,} characters, and none of "
                f"more than {URL_LIMIT:,} is sent"
            )
            raise TransientFailure(
                f"an answer to {exchange}", "the ids and links that the target gives"
            )
        return exchange

    async def _transmit(self, request: httpx.Request, exchange: Exchange) -> None:
        """Let a request pass all layers; what comes back is in ``exchange``."""
        self.secrets.learn_sent(exchange)
        asked = time.monotonic()
        try:
            await self._recording.handle_async_request(request)
        except httpx.TransportError as error:
            self._take(exchange)
            await self._presence.judge_silence(error, exchange)
            closed = isinstance(
                error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError
            )
            if (
                closed
                and VERBATIM in request.extensions
                and (exchange.begun is None or 400 <= exchange.begun < 500)
            ):
                # A server that refuses a request before it has read all of it closes with bytes
                # unread, and the reset that follows may overtake the end of its answer (RFC 9112
                # 9.6); what it said is in the status line.
                exchange.status = exchange.begun or 0
                return
            raise TransientFailure(
                f"an answer to {exchange}", "the connection to the target"
            ) from None
        self._take(exchange)
        self.last_status = exchange.status
        if exchange.status == 429 and request.extensions[PATIENT]:
            await self._judge_throttling(exchange, asked)
        await self._check_answered(exchange)
        plain = exchange.method == "GET" and request.extensions[REPEATABLE] and not exchange.attack
        if plain and exchange.url.startswith(f"{self.base_url}/"):
            self._presence.answered(exchange)

    async def _check_answered(self, exchange: Exchange) -> None:
        """Refuse an answer that says only that the target could not answer now.

        Raises:
            TransientFailure: it was away, or its answer was torn.
        """
        if exchange.url.startswith(self.base_url) and await self._presence.is_replaced(exchange):
            raise TransientFailure(f"an answer to {exchange}: {exchange.error}", "the target's log")
        if how := no_answer(exchange):
            said = f"an answer to {exchange}: the target, or what stands before it, {how}"
            raise TransientFailure(said, "the target's log")
        if exchange.ok and exchange.is_torn:
            raise TransientFailure(f"a body that is JSON: {exchange}", "RESPONSE-json")

    def _take(self, exchange: Exchange) -> None:
        """Learn the secrets of what came back, whole or in part, and count it."""
        self.secrets.learn_received(exchange)
        self._evidence.received(exchange, self.secrets.redact)

    async def _judge_throttling(self, exchange: Exchange, asked: float) -> NoReturn:
        """Tell a target that lets nothing through from one that throttled a request.

        Raises:
            TransientFailure: it throttled this one.
            Unreachable: it has answered nothing but 429 since ``asked``, another request as well.
        """
        await self._presence.judge_throttling(asked)
        asks = exchange.header("retry-after")
        missing = f"an answer to {exchange}: throttled {exchange.attempts} times" + (
            f", and asked to wait {asks!r}" if asks else ""
        )
        raise TransientFailure(missing, "the rate_limit of the target file")

    async def _probe(self) -> Exchange:
        """Ask for something that was answered before, in turn and recorded as every request is.

        Raises:
            httpx.TransportError: there is none.
        """
        known = self._presence.known
        url, headers = (
            (known.url, known.request_headers)
            if known
            else (f"{self.base_url}{TOKEN_PATH}", {"user-agent": "rolecall"})
        )
        exchange = self._record("GET", url, headers, known.caller if known else "nobody", _PROBE)
        fields = [
            (name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()
        ]
        request = _request(exchange, headers=fields, extensions={REPEATABLE: False, PATIENT: False})
        try:
            await self._recording.handle_async_request(request)
        finally:
            self._take(exchange)
        return exchange

    async def close(self) -> None:
        """Close all connections."""
        await self.layers.aclose()


def _usual_fields(token: str, attack: str, *, has_content: bool) -> dict[str, str]:
    """The header fields of a request, unless the test says otherwise."""
    fields = {"accept": "application/json", "user-agent": "rolecall"}
    if token:
        fields["authorization"] = f"Bearer {token}"
    if has_content:
        fields["content-type"] = "application/json"
    if attack:
        fields["x-rolecall-attack"] = attack
    return fields


def _entry(about: About) -> LedgerEntry | None:
    """The ledger's entry of what a request makes."""
    return about.entry if isinstance(about, Creation) else None


def _request(exchange: Exchange, **parts: Any) -> httpx.Request:
    """The request of an exchange.

    Raises:
        TransientFailure: its URL is not valid, as with an id or a link of the target in it.
    """
    extensions = {EXCHANGE: exchange, **parts.pop("extensions")}
    try:
        return httpx.Request(exchange.method, _url(exchange.url), extensions=extensions, **parts)
    except (httpx.InvalidURL, ValueError) as error:
        exchange.error = f"it was not sent: {error}"
        raise TransientFailure(
            f"an answer to {exchange}", "the ids and links that the target gives"
        ) from None


@lru_cache(maxsize=1024)
def _url(url: str) -> httpx.URL:
    """A URL, read once: a run asks for the same ones again and again."""
    return httpx.URL(url)


def _shown(value: bytes) -> str:
    """A header field as evidence."""
    text = value.decode("latin-1")
    return text if len(text) <= FIELD_SHOWN else f"{text[:32]}... ({len(text):,} characters)"
