"""The record of a run: every request and its response, in the order they were sent."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rolecall.bounds import (
    DOCUMENTS_LIMIT,
    JSON_DEPTH,
    JSON_VALUES,
    KEPT,
    LEAST,
    PATH_SHOWN,
    RUN_LIMIT,
    WITHHELD,
)
from rolecall.envelopes import Document
from rolecall.memory import Memory
from rolecall.outcomes import Inconclusive
from rolecall.wording import iso_time

#: The exchanges of the test now running in this task; shared set-up belongs to the test that
#: awaited it first.
_current: ContextVar[TestEvidence | None] = ContextVar("current", default=None)

_NO_JSON, _TOO_LARGE = object(), object()  # in place of a document; None is one
#: Characters that a body is redacted beyond those that are kept: no known secret is longer, so none
#: is cut in half.
_MARGIN = 64 * 1024
#: Exchanges that are kept whole however little room there is: tests are still looking at them.
_NEWEST = 32


@dataclass(slots=True, eq=False)
class Exchange:
    """One recorded request and its response.

    ``attempts`` counts how often it was sent until it was answered (429 and 503 are tried again
    where that is safe). ``status`` is 0 and ``error`` says why when no complete response came. If
    one had begun, ``begun`` is its status (0 where it broke off before that was known), and
    ``headers`` and ``body`` hold what came of it; otherwise ``begun`` is None. ``length`` is that
    of the body in bytes, of which ``body`` is the beginning where ``cut`` says so. ``failure`` is
    the kind of the ``error``, as the HTTP library calls it. ``test`` is the one that it was sent
    for, or first sent for; empty before and after all tests; that test went on in the event loop's
    ``turn``, at ``resumed``. Times are seconds; ``queued`` (when it was to be sent first),
    ``started`` and ``finished`` are on the monotonic clock, ``at`` is wall-clock time, the last
    three of the last time that it was sent.
    """

    number: int
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes
    caller: str
    attack: str = ""
    attempts: int = 1
    at: float = field(default_factory=time.time)
    queued: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.monotonic)
    finished: float = 0.0
    status: int = 0
    begun: int | None = None
    http_version: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    cut: str = ""
    error: str = ""
    failure: str = ""
    test: str = ""
    turn: int = 0
    resumed: float = 0.0
    _length: int = field(default=0, repr=False)
    _json: Document | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Method, path without its query (a refresh token may be in it), caller and status."""
        answer = f"{self.status}" if self.status else self.error
        path = urlsplit(self.url).path
        if len(path) > PATH_SHOWN:
            path = f"{path[:PATH_SHOWN]}... ({len(path):,} characters)"
        return f"{self.method} {path} as {self.caller} -> {answer} (exchange {self.number})"

    @property
    def ok(self) -> bool:
        """Whether the response is a success (2xx)."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        """The first response header of this name (any case), or an empty string."""
        return next(iter(self.header_lines(name)), "")

    def header_lines(self, name: str) -> list[str]:
        """The values of all response headers of this name (any case), in order (RFC 9110 5.3)."""
        lowered = name.lower()
        return [value for key, value in self.headers if key.lower() == lowered]

    @property
    def json(self) -> Any:
        """The response body as JSON, or None when it is not JSON as RFC 8259 has it: in UTF-8, and
        without NaN.

        Raises:
            Inconclusive: the body was kept in part, or has more values or levels than are looked
                at.
        """
        document = self._document().value
        return None if document is _NO_JSON else document

    @property
    def is_torn(self) -> bool:
        """Whether the response says that its body is JSON, but it is torn or malformed."""
        return (
            bool(self.body)
            and "json" in self.header("content-type").lower()
            and self._document().value is _NO_JSON
        )

    @property
    def is_json(self) -> bool:
        """Whether the body is a JSON text, be it ``null``."""
        return self._document().value is not _NO_JSON

    def _document(self) -> Document:
        document = self._json
        if document is None:
            self._expect_whole()
            document = self._json = Document(_read(self.body))
            _documents.keep(self)
        if document.value is _TOO_LARGE:
            missing = f"JSON of no more than {JSON_VALUES:,} values and {JSON_DEPTH} levels: {self}"
            raise Inconclusive(missing, "the size of the target's answers (docs/safety.md)")
        return document

    @property
    def document(self) -> dict[str, Any]:
        """The object that the body is about; raises as `json`."""
        return self._document().thing

    @property
    def listed(self) -> list[Any] | None:
        """The array that the body is about; raises as `json`."""
        return self._document().things

    @property
    def text(self) -> str:
        """The response body as text; bytes that are no UTF-8 are replaced.

        Raises:
            Inconclusive: the body was kept in part.
        """
        self._expect_whole()
        return self.body.decode("utf-8", "replace")

    def _expect_whole(self) -> None:
        if self.cut:
            raise Inconclusive(
                f"the whole body of {self}: {self.cut}",
                "the size of the target's answers (docs/safety.md)",
            )

    @property
    def length(self) -> int:
        """The length of the body in bytes, of which ``body`` may be the beginning."""
        return self._length or len(self.body)

    def shown(self, redact: Callable[[str], str]) -> str:
        """The beginning of the body as text for a report: redacted, no half of a secret at its end,
        no longer than `KEPT`.
        """
        return _beginning(self.body, KEPT, redact)

    def shorten(self, kept: int, redact: Callable[[str], str]) -> None:
        """Keep no more than the beginning of the body."""
        if len(self.body) > kept:
            self._length, self._json = self.length, None
            self.body = _beginning(self.body, kept, redact).encode("utf-8", "replace")
            self.cut = (
                f"{len(self.body):,} of its {self.length:,} bytes are kept, since all "
                f"answers together have passed {RUN_LIMIT:,}"
            )

    @property
    def when(self) -> str:
        """The time of sending, ISO 8601 in UTC with milliseconds."""
        return iso_time(self.at)


@dataclass
class TestEvidence:
    """The evidence of one test: its exchanges in order, and by name those that are cited;
    ``subject`` is what it was about, as `about` has it; ``waited`` are the seconds for which it
    waited in vain for what was written; ``is_last`` where it is of expiry, ``is_over`` at its end.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    named: dict[str, Exchange] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    subject: dict[str, str] = field(default_factory=dict)
    waited: float = 0.0
    level: str = "must"
    is_last: bool = False
    is_over: bool = False
    test: str = ""
    memory: Memory = field(default_factory=Memory)

    __test__ = False  # a name that pytest would otherwise collect


class Evidence:
    """All exchanges of a run; the oldest of them are kept in part once all answers together are
    larger than `RUN_LIMIT`.
    """

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._size = 0  # bytes of all answers
        # by what may be left of them, oldest first
        self._waiting: dict[int, deque[Exchange]] = {KEPT: deque(), LEAST: deque()}

    def record(self, **facts: Any) -> Exchange:
        """Start the record of one exchange; its response is filled in when it has come."""
        test = current_test().test
        exchange = Exchange(number=len(self.exchanges) + 1, test=test, **facts)
        self.exchanges.append(exchange)
        cite(exchange)
        return exchange

    def received(self, exchange: Exchange, redact: Callable[[str], str]) -> None:
        """Count an answer, and make room for it."""
        self._size += len(exchange.body) + sum(
            len(name) + len(value) for name, value in exchange.headers
        )
        for kept, waiting in self._waiting.items():
            if len(exchange.body) > kept:
                waiting.append(exchange)
            while self._size > RUN_LIMIT and len(waiting) > _NEWEST:
                oldest = waiting.popleft()
                self._size -= len(oldest.body)
                oldest.shorten(kept, redact)
                self._size += len(oldest.body)

    @staticmethod
    @contextmanager
    def collect(test: str = "", memory: Memory | None = None) -> Iterator[TestEvidence]:
        """The exchanges that are sent, or cited, inside the block, for this test or the outer."""
        outer = current_test()
        pieces = TestEvidence(test=test or outer.test, memory=memory or outer.memory)
        token = _current.set(pieces)
        try:
            yield pieces
        finally:
            pieces.is_over = True
            _current.reset(token)


class _Documents:
    """The documents of the bodies that were read last, up to a limit; the newest in any case."""

    def __init__(self) -> None:
        self._read: deque[tuple[Exchange, int]] = deque()
        self._size = 0

    def keep(self, exchange: Exchange) -> None:
        """Keep the document of an exchange, and forget those that there is no room for any more."""
        size = len(exchange.body)
        self._read.append((exchange, size))
        self._size += size
        while self._size > DOCUMENTS_LIMIT and len(self._read) > 1:
            oldest, size = self._read.popleft()
            self._size -= size
            oldest._json = None  # noqa: SLF001  # read anew when somebody asks again


_documents = _Documents()


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError("not JSON (RFC 8259 6)", name, 0)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _read(body: bytes) -> Any:
    """A body's document, or `_NO_JSON`, or `_TOO_LARGE`; a torn body is not JSON, however deep it
    is.
    """
    opened, closed = (body.count(b"["), body.count(b"{")), (body.count(b"]"), body.count(b"}"))
    if sum(opened) + body.count(b",") > JSON_VALUES:
        return _TOO_LARGE
    try:
        document = _whole(_DECODER.decode(body.decode("utf-8-sig")), body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return _NO_JSON
    except (RecursionError, ValueError):  # of levels, and of a whole number's digits
        return _TOO_LARGE if opened == closed else _NO_JSON
    return _TOO_LARGE if sum(opened) > JSON_DEPTH and _depth(document) > JSON_DEPTH else document


def _depth(document: Any) -> int:
    """How many arrays and objects are nested, counted level by level, until there are too many."""
    depth, level = 0, [document]
    while level and depth <= JSON_DEPTH:
        depth += 1
        inner = (
            member
            for outer in level
            for member in (outer.values() if isinstance(outer, dict) else outer)
        )
        level = [member for member in inner if isinstance(member, dict | list)]
    return depth


def _whole(document: Any, body: bytes) -> Any:
    """A document without lone surrogates, which no encoding can write (RFC 8259 8.2)."""
    if not re.search(rb"\\u[dD][89a-fA-F]", body):
        return document
    return json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))


def _beginning(body: bytes, kept: int, redact: Callable[[str], str]) -> str:
    """The beginning of a body as redacted text; what is beyond the margin may be half a secret, and
    is left out.
    """
    text = redact(body[: kept + _MARGIN].decode("utf-8", "replace"))
    if len(body) > kept + _MARGIN and text != WITHHELD:
        text = text[:-_MARGIN]
    return text[:kept]


def current_test() -> TestEvidence:
    """The evidence of the test now running; outside of tests it is lost."""
    return _current.get() or TestEvidence()


def cite(exchange: Exchange, piece: str = "") -> Exchange:
    """Add an exchange to the evidence of the test now running, under the name of its part."""
    test = current_test()
    if exchange not in test.exchanges:
        test.exchanges.append(exchange)
    if piece:
        test.named[piece] = exchange
    return exchange


def cite_look(pages: Sequence[Exchange], piece: str) -> None:
    """Count the answers of one look as one piece, in place of an earlier look: the first under the
    name of the piece, the others with their number behind it.
    """
    named = current_test().named
    for name in [name for name in named if piece and name.split(" ")[0] == piece]:
        del named[name]
    for number, page in enumerate(pages, 1):
        cite(page, piece and (piece if number == 1 else f"{piece} {number}"))


def about(**subject: str) -> None:
    """Write down what the test now running is about, so that its evidence can be judged once more:
    ``thing`` is the id of the thing, ``name`` its name, ``mark`` what a write would leave.
    """
    current_test().subject.update(subject)


def note(text: str) -> None:
    """Write something down beside the evidence of the test now running."""
    current_test().notes.append(text)


def waited_in_vain(seconds: float) -> None:
    """The test now running has waited so long for what did not come."""
    test = current_test()
    test.waited = max(test.waited, seconds)


def memory() -> Memory:
    """What the test now running has learnt beside its exchanges; outside of tests it is lost."""
    return current_test().memory


def recalled(what: str, learn: Callable[[], Any]) -> Any:
    """Learn something that stands in no exchange, as text or JSON; in a replay, what was learnt
    then.
    """
    return memory().recall(what, learn)
