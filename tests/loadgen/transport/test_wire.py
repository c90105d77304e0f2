"""Requests are written as bytes, and answers are read alike however they are cut up.

Longer than 400 lines because every lawful and unlawful form of an answer has a test.
"""

from __future__ import annotations

import gzip
import time
import zlib
from dataclasses import dataclass

import pytest

from rolecall.bounds import BODY_LIMIT, HEAD_LIMIT
from rolecall.errors import UsageError
from rolecall.loadgen.transport import wire
from rolecall.loadgen.transport.outgoing import Origin, request
from rolecall.loadgen.transport.wire import (
    Parser,
    Response,
    WireError,
    whole,
)

ORIGIN = Origin.of("http://127.0.0.1:8080")


def parsed(*pieces: bytes, head_only: bool = False, end: bool = False) -> Response | None:
    """What a parser makes of these pieces."""
    parser = Parser(head_only=head_only)
    for piece in pieces[:-1]:
        assert parser.feed(piece) is None
    response = parser.feed(pieces[-1])
    return parser.eof() if end and response is None else response


class TestOrigin:
    """The base URL of a target, taken apart."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            pytest.param(
                "http://example.org",
                Origin("http", "example.org", 80, "", "example.org"),
                id="name",
            ),
            pytest.param(
                "https://example.org/",
                Origin("https", "example.org", 443, "", "example.org"),
                id="https",
            ),
            pytest.param(
                "https://example.org:443/api/",
                Origin("https", "example.org", 443, "/api", "example.org"),
                id="prefix",
            ),
            pytest.param(
                "http://127.0.0.1:8080",
                Origin("http", "127.0.0.1", 8080, "", "127.0.0.1:8080"),
                id="port",
            ),
            pytest.param(
                "http://[::1]:8080", Origin("http", "::1", 8080, "", "[::1]:8080"), id="IPv6"
            ),
            pytest.param(
                "https://[::1]", Origin("https", "::1", 443, "", "[::1]"), id="IPv6-usual-port"
            ),
            pytest.param(
                "http://bücher.example",
                Origin("http", "xn--bcher-kva.example", 80, "", "xn--bcher-kva.example"),
                id="IDN",
            ),
            pytest.param(
                "http://Faß.example",
                Origin("http", "xn--fa-hia.example", 80, "", "xn--fa-hia.example"),
                id="IDNA-2008",
            ),
        ],
    )
    def test_of(self, url: str, expected: Origin) -> None:
        """Scheme, host, port, prefix and Host field are those of the URL."""
        assert expected == Origin.of(url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "example.org",
            "ftp://example.org",
            "http://",
            "http://:80",
            "http://example.org:0",
            "http://example.org:port",
            "http://example.org:65536",
            "http://[::1",
            "http://[nonsense]",
            "http://example.org/?q=1",
            "http://example.org/#top",
            "http://example.org/with space",
            "http://ex\u00adample..org",
        ],
    )
    def test_refuses(self, url: str) -> None:
        """What no server can have as its URL is refused in one sentence."""
        with pytest.raises(UsageError, match="is not a URL a server can have"):
            Origin.of(url)

    def test_repeats_no_password(self) -> None:
        """A password in the URL is refused, and not repeated."""
        with pytest.raises(UsageError) as caught:
            Origin.of("http://user:hunter2@example.org")

        assert "hunter2" not in str(caught.value)


class TestRequest:
    """A prepared request."""

    def test_with_body(self) -> None:
        """A request is its line, the usual fields, one's own, and the body."""
        written = request(
            ORIGIN, "POST", "/v2/auth/token", {"Content-Type": "application/json"}, b"{}"
        )

        assert (
            b"POST /v2/auth/token HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: "
            b"application/json\r\nuser-agent: rolecall\r\n"
            b"content-length: 2\r\ncontent-type: application/json\r\n\r\n{}" == written
        )

    def test_without_body(self) -> None:
        """A GET has no Content-Length, a POST without a body says so."""
        assert b"content-length" not in request(ORIGIN, "GET", "/v2/users")
        assert b"\r\ncontent-length: 0\r\n" in request(ORIGIN, "POST", "/v2/users")

    def test_prefix(self) -> None:
        """The path of the base URL goes before the API's."""
        assert request(Origin.of("http://example.org/api"), "GET", "/v2/users?limit=2").startswith(
            b"GET /api/v2/users?limit=2 HTTP/1.1\r\n"
        )

    def test_own_field_instead(self) -> None:
        """A field of one's own takes the place of the usual one."""
        written = request(ORIGIN, "GET", "/", {"Accept": "text/html"})

        assert 1 == written.lower().count(b"accept:")
        assert b"\r\naccept: text/html\r\n" in written

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            pytest.param("GET", "/secret\r\nx: y", {}, id="path"),
            pytest.param("GET", "/secret with space", {}, id="space"),
            pytest.param("GET", "/secr\u00e9t", {}, id="not-ascii"),
            pytest.param("GET", "secret", {}, id="relative"),
            pytest.param("GET /secret", "/", {}, id="method"),
            pytest.param("GET", "/", {"authorization": "Bearer secret\r\nx: y"}, id="value"),
            pytest.param("GET", "/", {"authorization": "Bearer secret\n"}, id="line-feed"),
            pytest.param("GET", "/", {"authorization": "Bearer secret\0"}, id="NUL"),
            pytest.param("GET", "/", {"authorization": "Bearer secret\u20ac"}, id="not-latin-1"),
            pytest.param("GET", "/", {"x: secret\r\ny": "z"}, id="name"),
            pytest.param("GET", "/", {"": "secret"}, id="no-name"),
        ],
    )
    def test_refuses(self, method: str, path: str, headers: dict[str, str]) -> None:
        """What would end a line early is refused, without being repeated: it may be a token."""
        with pytest.raises(ValueError, match="cannot stand") as caught:
            request(ORIGIN, method, path, headers)

        assert "secret" not in str(caught.value)


@dataclass(frozen=True)
class Legal:
    """An answer, and what is to be made of it; ``end``: the end of the connection belongs to it."""

    data: bytes
    status: int = 200
    body: bytes = b""
    keep_alive: bool = True
    head_only: bool = False
    end: bool = False


LEGAL = {
    "length": Legal(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body=b"hello"),
    "length-0": Legal(b"HTTP/1.1 401 Unauthorized\r\ncontent-length:0\r\n\r\n", 401),
    "length-twice": Legal(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2, 2\r\n\r\nhi", body=b"hi"
    ),
    "empty-line-in-body": Legal(
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", body=b"\r\n\r\n\r\n\r\n"
    ),
    "no-reason": Legal(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    "empty-reason": Legal(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    "unknown-status": Legal(b"HTTP/1.1 799 \xff\r\nContent-Length: 0\r\n\r\n", 799),
    "close": Legal(
        b"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 2\r\n\r\nhi",
        body=b"hi",
        keep_alive=False,
    ),
    "to-the-end": Legal(
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end", body=b"until the end", keep_alive=False, end=True
    ),
    "nothing-to-the-end": Legal(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", keep_alive=False, end=True
    ),
    "1.0": Legal(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", body=b"hi", keep_alive=False),
    "1.0-keep-alive": Legal(
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", body=b"hi"
    ),
    "1.0-chunked": Legal(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        keep_alive=False,
    ),
    "chunked": Legal(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00a \r\n, "
        b"world\r\n!\r\n0\r\n\r\n",
        body=b"hello, world\r\n!",
    ),
    "chunked-with-trailers": Legal(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: "
        b"chunked\r\n\r\n1;name=value;x\r\n!\r\n000;last\r\nDigest: x\r\nx-y:\r\n\r\n",
        body=b"!",
    ),
    "100": Legal(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi",
        201,
        b"hi",
    ),
    "103-twice": Legal(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2
        + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    ),
    "204": Legal(b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "204-with-length": Legal(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204),
    "304": Legal(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", 304),
    "HEAD": Legal(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", head_only=True),
    "HEAD-chunked": Legal(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head_only=True),
    "chunked-and-nothing": Legal(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked,\r\nTransfer-Encoding: "
        b",\r\n\r\n1\r\n!\r\n0\r\n\r\n",
        body=b"!",
    ),
    "nothing-and-close": Legal(
        b"HTTP/1.1 200 OK\r\nConnection: ,, close ,\r\nContent-Length: 2\r\n\r\nhi",
        body=b"hi",
        keep_alive=False,
    ),
    "folded-trailer": Legal(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\nx: a\r\n "
        b"b\r\n\t\r\ny: c\r\n\r\n",
        body=b"!",
    ),
    "folded": Legal(
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length:\r\n 2\r\n\r\nhi", body=b"hi"
    ),
}


HELLO = b"hello, world\r\n" * 20


def coded(coding: str, body: bytes) -> bytes:
    """An answer in a content coding."""
    return (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
        % (coding.encode(), len(body))
        + body
    )


def raw_deflate(body: bytes) -> bytes:
    """What some servers call deflate (RFC 9110 8.4.1.2)."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


LEGAL |= {
    "gzip": Legal(coded("gzip", gzip.compress(HELLO)), body=HELLO),
    "x-gzip": Legal(coded(" , X-GZip", gzip.compress(HELLO)), body=HELLO),
    "gzip-of-two-members": Legal(
        coded("gzip", gzip.compress(b"a") + gzip.compress(b"b")), body=b"ab"
    ),
    "gzip-with-padding": Legal(coded("gzip", gzip.compress(HELLO) + b"more"), body=HELLO),
    "coding-of-none": Legal(coded("none", HELLO), body=HELLO),
    "gzip-of-nothing": Legal(coded("gzip", b"")),
    "gzip-not-modified": Legal(b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: br\r\n\r\n", 304),
    "gzip-chunked": Legal(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(gzip.compress(HELLO)), gzip.compress(HELLO)),
        body=HELLO,
    ),
    "gzip-HEAD": Legal(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n", head_only=True
    ),
    "deflate": Legal(coded("deflate", zlib.compress(HELLO)), body=HELLO),
    "deflate-raw": Legal(coded("deflate", raw_deflate(HELLO)), body=HELLO),
    "identity": Legal(coded("identity", b"hi"), body=b"hi"),
}


def answers(*, head_only: bool = True, end: bool = True) -> pytest.MarkDecorator:
    """A test of every legal answer, or of all but those to HEAD, or those that end with the
    connection.
    """
    chosen = {
        name: legal
        for name, legal in LEGAL.items()
        if legal.head_only <= head_only and legal.end <= end
    }
    return pytest.mark.parametrize("legal", chosen.values(), ids=chosen)


class TestLegalAnswers:
    """Every way in which an answer may end (RFC 9112 6.3)."""

    @answers()
    def test_cut_up(self, legal: Legal) -> None:
        """It is the same answer whole, cut in two at every byte, and byte by byte."""
        data = legal.data
        cuts = [(data[:at], data[at:]) for at in range(1, len(data))]
        for pieces in ((data,), tuple(bytes([byte]) for byte in data), *cuts):
            response = parsed(*pieces, head_only=legal.head_only, end=legal.end)

            assert response
            assert (legal.status, legal.body) == (response.status, response.body)
            assert legal.keep_alive == response.keep_alive

    @answers(head_only=False)
    def test_fast_path(self, legal: Legal) -> None:
        """Read in one piece, it is the same answer, or left to the parser; also once its head is
        known.
        """
        for _ in range(2):
            response = whole(legal.data)

            assert response is None or (legal.status, legal.body, legal.keep_alive) == (
                response.status,
                response.body,
                response.keep_alive,
            )

    @answers()
    def test_not_complete(self, legal: Legal) -> None:
        """A connection that closes before the last byte gives no answer."""
        for at in range(len(legal.data) if not legal.end else legal.data.index(b"\r\n\r\n") + 3):
            parser = Parser(head_only=legal.head_only)
            if at:
                assert parser.feed(legal.data[:at]) is None
            with pytest.raises(WireError) as caught:
                parser.eof()

            assert "closed" == caught.value.kind

    @answers(end=False)
    def test_surplus(self, legal: Legal) -> None:
        """Bytes after the answer do not belong to it, and spoil the connection."""
        response = parsed(
            legal.data + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", head_only=legal.head_only
        )

        assert response
        assert (legal.status, legal.body) == (response.status, response.body)
        assert not response.keep_alive


class TestFastPath:
    """An answer that came in one piece."""

    def test_is_taken(self) -> None:
        """An answer with a length is read without a parser."""
        response = whole(LEGAL["length"].data)

        assert response
        assert (200, b"hello", True) == (response.status, response.body, response.keep_alive)
        assert b"HTTP/1.1 200 OK\r\nContent-Length: 5" == response.head

    def test_leaves_the_rest(self) -> None:
        """What is not exactly one answer is left to the parser."""
        for data in (
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            LEGAL["length"].data + b"!",
            LEGAL["100"].data,
        ):
            assert whole(data) is None

    def test_refuses_garbage(self) -> None:
        """The fast path refuses a head that is not HTTP."""
        with pytest.raises(WireError) as caught:
            whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\nX: y\r\n\r\nhello")

        assert "garbage" == caught.value.kind

    def test_remembers_few_heads(self) -> None:
        """However many different heads a server sends, few of them are kept, and no long ones."""
        for number in range(5000):
            assert whole(
                b"HTTP/1.1 200 OK\r\nX-Request-Id: %d\r\nContent-Length: 0\r\n\r\n" % number
            )
        assert whole(b"HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 0\r\n\r\n" % (b"x" * 5000))

        assert 1000 > len(wire._known)
        assert 2048 >= max(map(len, wire._known))


class TestHeader:
    """A field of an answer."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (b"retry-after", b"3"),
            (b"Set-Cookie", b"a=b"),
            (b"X-Last", b""),
            (b"x-folded", b"a b"),
            (b"after", None),
            (b"200 OK", None),
        ],
    )
    def test_header(self, name: bytes, expected: bytes | None) -> None:
        """The first field of that name, in any case, without white space; None without any."""
        head = (
            b"HTTP/1.1 200 OK\r\nRETRY-after: \t3 \r\nset-cookie:a=b\r\nset-cookie: "
            b"c=d\r\nX-Folded: a\r\n\t b\r\nX-Last:"
        )
        response = parsed(head + b"\r\nContent-Length: 0\r\n\r\n")
        last = Response(200, head, b"", True)

        assert response
        assert expected == response.header(name)
        assert expected == last.header(name)


def chunked(rest: bytes) -> bytes:
    """The beginning of a chunked answer, and what comes after it."""
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + rest


GARBAGE = {
    "tls": b"\x15\x03\x03\x00\x02\x02\x28",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "html": b"<!DOCTYPE html>\r\n\r\n",
    "nothing-but-lines": b"\r\n\r\n",
    "leading-line": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "no-status": b"HTTP/1.1 OK\r\n\r\n",
    "status-099": b"HTTP/1.1 099 Low\r\n\r\n",
    "status-2000": b"HTTP/1.1 2000 High\r\n\r\n",
    "reason-with-line-feed": b"HTTP/1.1 200 O\nK\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "field-without-colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "field-without-name": b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "space-before-colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    "bare-CR": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    "length-negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length-signed": b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n!",
    "length-hex": b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n!",
    "length-empty": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "length-many-digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "lengths-differ": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n!",
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: "
    b"chunked\r\n\r\n",
    "gzip-chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked-twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
    b"chunked\r\n\r\n",
    "chunk-no-number": chunked(b"five\r\nhello\r\n0\r\n\r\n"),
    "chunk-negative": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk-empty": chunked(b"\r\n\r\n"),
    "chunk-longer": chunked(b"5\r\nhello!\r\n0\r\n\r\n"),
    "chunk-17-digits": chunked(b"0" * 17 + b"\r\n\r\n"),
    "trailer": chunked(b"0\r\nnonsense\r\n\r\n"),
    "trailer-folded-from-nothing": chunked(b"0\r\n x: y\r\n\r\n"),
    "length-and-nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 1,\r\n\r\n!",
    "transfer-nothing": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: ,\r\n\r\n",
    "line-feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "line-feeds-in-chunks": chunked(b"2\nhi\n0\n\n"),
    "line-feeds-in-trailers": chunked(b"0\r\nx: y\n\n"),
    "carriage-returns": b"HTTP/1.1 200 OK\rContent-Length: 2\r\rhi",
    "NUL-in-a-line-without-end": b"HTTP/1.1 200 \0",
    "gzip-that-is-none": coded("gzip", b"hello"),
    "gzip-cut-short": coded("gzip", gzip.compress(HELLO)[:-9]),
    "gzip-of-many-members": coded("gzip", gzip.compress(b"") * 1001),
    "deflate-that-is-none": coded("deflate", b"hello"),
}


class TestNoAnswers:
    """Bytes that are not an answer, each with exactly one fault."""

    @pytest.mark.parametrize(
        "data", [pytest.param(data, id=name) for name, data in GARBAGE.items()]
    )
    def test_garbage(self, data: bytes) -> None:
        """It is refused before the server has said more, whole, cut in two at every byte, and byte
        by byte.
        """
        cuts = [(data[:at], data[at:]) for at in range(1, min(len(data), 200))]
        for pieces in ((data,), tuple(bytes([byte]) for byte in data), *cuts):
            parser = Parser()
            with pytest.raises(WireError) as caught:
                for piece in pieces:
                    assert parser.feed(piece) is None

            assert "garbage" == caught.value.kind

    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * HEAD_LIMIT], id="head"),
            pytest.param(
                [b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_LIMIT + b"\r\n\r\n"], id="head-at-once"
            ),
            pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n"] * HEAD_LIMIT, id="announcements"),
            pytest.param(
                [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1)], id="length"
            ),
            pytest.param([b"HTTP/1.1 200 OK\r\n\r\n", *[b" " * 65536] * 129], id="to-the-end"),
            pytest.param([chunked(b"%x\r\n" % (BODY_LIMIT + 1))], id="chunk"),
            pytest.param(
                [chunked(b""), *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 129], id="chunks"
            ),
            pytest.param([chunked(b"1;" + b"x" * 5000)], id="chunk-extension"),
            pytest.param([chunked(b"0\r\n"), *[b"x: y\r\n"] * HEAD_LIMIT], id="trailers"),
            pytest.param([chunked(b"0\r\nx: y\r\n"), *[b" y\r\n"] * HEAD_LIMIT], id="folds"),
            pytest.param(
                [chunked(b""), *[b"1;" + b"x" * 4000 + b"\r\n!\r\n"] * 300], id="chunk-extensions"
            ),
            pytest.param(
                [b"HTTP/1.1 200 OK\r\nConnection: " + b"," * 60_000 + b"\r\n\r\n"],
                id="empty-elements",
            ),
            pytest.param([coded("gzip", gzip.compress(bytes(BODY_LIMIT + 1)))], id="gzip"),
            pytest.param(
                [coded("gzip", gzip.compress(bytes(BODY_LIMIT)) + gzip.compress(b"!"))],
                id="gzip-in-members",
            ),
            pytest.param([coded("deflate", zlib.compress(bytes(100_000_000)))], id="deflate"),
        ],
    )
    def test_too_large(self, pieces: list[bytes]) -> None:
        """What goes on for too long is refused at the limit, however it is sent."""
        parser = Parser()
        with pytest.raises(WireError) as caught:
            for piece in pieces:
                assert parser.feed(piece) is None

        assert "too-large" == caught.value.kind

    @pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "br, gzip", "token"])
    def test_a_coding_that_is_not_understood(self, coding: str) -> None:
        """It is told from what a server does wrong, is not tried, however it is stacked, and is not
        repeated.
        """
        with pytest.raises(WireError) as caught:
            parsed(coded(coding, gzip.compress(gzip.compress(HELLO))))

        assert "coding" == caught.value.kind
        assert "token" not in str(caught.value)

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param(b"X: a" + b" " * 60_000 + b"b", id="spaces"),
            pytest.param(b"X: a" + b" " * 60_000 + b"\0", id="spaces-and-NUL"),
            pytest.param(b"X: a" + b"\t" * 60_000 + b"\r\n b", id="spaces-and-fold"),
            pytest.param(b"X: a" + b"\r\n " * 20_000, id="folds"),
            pytest.param(b"\r\n".join([b"a:"] * 15_000), id="fields"),
            pytest.param(b"a" * 60_000, id="name"),
        ],
    )
    def test_a_head_costs_what_its_length_does(self, lines: bytes) -> None:
        """Whatever a head is made of, to read it and to look for a field in it takes moments of
        this process's time, not seconds.
        """
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines
        before = time.process_time()
        for _ in range(3):
            Response(200, head, b"", True).header(b"retry-after")
            try:
                parsed(head + b"\r\n\r\n")
            except WireError as error:
                assert "garbage" == error.kind

        assert time.process_time() - before < 1

    def test_at_the_limit(self) -> None:
        """A body of exactly the limit is an answer."""
        response = parsed(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_LIMIT, b" " * BODY_LIMIT
        )

        assert response
        assert BODY_LIMIT == len(response.body)

    def test_closed_without_an_answer(self) -> None:
        """The end before the first byte is told from the end in the middle."""
        with pytest.raises(WireError, match="without an answer"):
            Parser().eof()
        parser = Parser()
        parser.feed(b"HTT")
        with pytest.raises(WireError, match="in the middle"):
            parser.eof()

    def test_repeats_nothing(self) -> None:
        """No message holds a byte of the answer: it may be a token."""
        for data in GARBAGE.values():
            with pytest.raises(WireError) as caught:
                Parser().feed(data.replace(b"nonsense", b"hunter2").replace(b"X: ", b"X: hunter2"))

            assert "hunter2" not in str(caught.value)
