"""Heads of answers that are mended before they are read, wherever they are cut."""

from __future__ import annotations

import httptools
import pytest

from rolecall.http.heads import mended

ANNOUNCED = b"HTTP/1.1 103 Early\r\nLink: <a>\r\n ; b\r\n\r\n"
ODD = {
    "folded": b"X: a\r\n\t b\r\nContent-Length: 8",
    "folded length": b"Content-Length: \r\n 8",
    "twice": b"Content-Length: 8\r\ncontent-length: 8",
    "twice in a field": b"Content-Length: 8, 8",
}


class Nothing:
    """A parser's callbacks that do nothing."""


def is_refused(data: bytes) -> bool:
    """Whether llhttp does not read this, the beginning of an answer."""
    try:
        httptools.HttpResponseParser(Nothing()).feed_data(data)
    except httptools.HttpParserError:
        return True
    return False


@pytest.mark.parametrize("before", [b"", ANNOUNCED], ids=["at once", "announced"])
@pytest.mark.parametrize("name", ODD)
def test_a_head_that_is_cut_anywhere_is_waited_for(name: str, before: bytes) -> None:
    """What has come of an odd head is never given up, and the whole of it can be read."""
    head = before + b"HTTP/1.1 200 OK\r\n" + ODD[name] + b"\r\n\r\n"

    refused = [head[:end] for end in range(len(head)) if is_refused(head[:end])]

    assert refused
    assert {mended(beginning) for beginning in refused} == {b""}
    assert (whole := mended(head))
    assert not is_refused(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 103 Early\r\n\r\nSSH-2.0-OpenSSH_9.2",
    ],
)
def test_what_is_no_http_is_refused_at_once(data: bytes) -> None:
    """Two lengths that differ, a line that is no field, and another protocol are not mended."""
    assert is_refused(data)
    assert mended(data) is None
