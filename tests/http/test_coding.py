"""Compressed bodies: what is read, within which bound, and what is said of the rest."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from rolecall.bounds import BODY_LIMIT, MEMBER_LIMIT
from rolecall.fields import elements
from rolecall.http.coding import Undecodable, decoded

TEXT = b'{"a": 1}' * 100
BARE = zlib.compressobj(wbits=-15)
RAW_DEFLATE = BARE.compress(TEXT) + BARE.flush()


@pytest.mark.parametrize(
    ("field", "body"),
    [
        pytest.param("gzip", gzip.compress(TEXT), id="gzip"),
        pytest.param("X-GZIP", gzip.compress(TEXT), id="its old name, in any case"),
        pytest.param(
            "gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]), id="two members"
        ),
        pytest.param("gzip", gzip.compress(TEXT) + bytes(512), id="padding"),
        pytest.param("deflate", zlib.compress(TEXT), id="deflate"),
        pytest.param("deflate", RAW_DEFLATE, id="deflate without its header"),
        pytest.param("identity, gzip,", gzip.compress(TEXT), id="no coding beside it"),
        pytest.param("utf-8", TEXT, id="no coding"),
    ],
)
def test_what_is_read(field: str, body: bytes) -> None:
    """A body in one coding that any client reads is read (RFC 9110 8.4.1, RFC 1952 2.2)."""
    assert decoded(body, elements([field])) == TEXT


@pytest.mark.parametrize(
    ("field", "body", "says", "so_far"),
    [
        pytest.param("gzip", gzip.compress(TEXT)[:-9], "cut off", TEXT, id="cut off"),
        pytest.param(
            "gzip",
            gzip.compress(TEXT) + gzip.compress(TEXT)[:-9],
            "cut off",
            TEXT * 2,
            id="second member cut off",
        ),
        pytest.param("deflate", zlib.compress(TEXT)[:-2], "cut off", TEXT, id="deflate cut off"),
        pytest.param("gzip", b"\x1f\x8b no gzip", "cannot be decoded", b"", id="no gzip"),
        pytest.param(
            "gzip",
            gzip.compress(TEXT)[:-8] + bytes(8),
            "cannot be decoded",
            b"",
            id="wrong checksum",
        ),
        pytest.param("deflate", b"no deflate", "cannot be decoded", b"", id="no deflate"),
        pytest.param("br", b"whatever", "encoded with br", b"", id="br"),
        pytest.param("zstd", b"whatever", "encoded with zstd", b"", id="zstd"),
        pytest.param(
            "gzip, gzip", gzip.compress(gzip.compress(TEXT)), "more than once", b"", id="stacked"
        ),
        pytest.param(
            "gzip", gzip.compress(b"") * (MEMBER_LIMIT + 1), "members", b"", id="many members"
        ),
    ],
)
def test_what_is_not(field: str, body: bytes, says: str, so_far: bytes) -> None:
    """What cannot be read to its end is said in a sentence, and what could be is kept."""
    with pytest.raises(Undecodable, match=says) as caught:
        decoded(body, elements([field]))

    assert caught.value.decoded == so_far


@pytest.mark.parametrize("members", [1, 3])
def test_a_bomb(members: int) -> None:
    """No more than the limit is ever unfolded, in one member or in many: it takes the memory and
    the time of eight megabytes.
    """
    bomb = gzip.compress(bytes(48 * 1024 * 1024 // members), 1) * members
    before = time.process_time()

    with pytest.raises(Undecodable, match=f"larger than {BODY_LIMIT:,} bytes") as caught:
        decoded(bomb, ["gzip"])

    assert len(caught.value.decoded) == BODY_LIMIT + 1
    assert time.process_time() - before < 0.5
