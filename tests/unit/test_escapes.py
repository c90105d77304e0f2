"""Escapes, needles and JWTs, which redaction rests on, each in linear time."""

from __future__ import annotations

import itertools

import pytest

from rolecall import needles
from rolecall.escapes import DEPTH, levels
from rolecall.jwts import is_jwt, jwts_in
from rolecall.needles import MOST_TINY, SHORTEST, Needles, TooMuch

# --- Escapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb"\u0041\u00e9", "Aé"),
        (rb"\ud83d\ude00!", "😀!"),
        (rb"\x41", "A"),
        (rb"\b\f\n\r\t", "\b\f\n\r\t"),
        (rb"\/\\\"\'", "/\\\"'"),
        (b"%41%C3%A9", "Aé"),
        (b"&amp;&#65;&#x41;&#X41;&eacute;", "&AAAé"),
        (b"A\0B\0", "AB"),
        (rb"& ; %4 \q \u00", None),
        (b"plain", None),
        (b"", None),
    ],
)
def test_escapes_are_read_as_their_writers_mean_them(written: bytes, meant: str | None) -> None:
    """JSON, URLs, HTML and UTF-16 are read; anything else stays as it is."""
    assert [level.text.decode() for level in levels(written)][:1] == (
        [] if meant is None else [meant]
    )


def test_half_a_character_stays_half_a_one() -> None:
    """What no encoding can write is read all the same (RFC 8259 7)."""
    (level,) = levels(rb"\ud83d!")

    assert level.text == "\ud83d!".encode("utf-8", "surrogatepass")


def test_escapes_of_escapes_are_read_in_turn() -> None:
    """Each level is what the one before says; there are no more than four."""
    text = b"A"
    for _ in range(DEPTH + 1):
        text = text.replace(b"%", b"%25").replace(b"A", b"%41")

    assert [level.text for level in levels(text)] == [b"%25252541", b"%252541", b"%2541", b"%41"]


def test_a_piece_stands_where_it_was_written() -> None:
    """What was read is found again in the text, and escapes count whole."""
    # Longer than 40 lines because it lists pieces and what they are.
    text = b"ab%41cd%42%43ef"
    (level,) = levels(text)
    assert level.text == b"abAcdBCef"

    def written(piece: bytes) -> bytes:
        start = level.text.index(piece)
        begin, end = level.span(start, start + len(piece))
        return text[begin:end]

    assert [
        written(piece)
        for piece in (
            b"a",
            b"b",
            b"A",
            b"bA",
            b"Ac",
            b"cd",
            b"dB",
            b"BC",
            b"C",
            b"Ce",
            b"f",
            b"abAcdBCef",
        )
    ] == [
        b"a",
        b"b",
        b"%41",
        b"b%41",
        b"%41c",
        b"cd",
        b"d%42",
        b"%42%43",
        b"%43",
        b"%43e",
        b"f",
        text,
    ]


def test_a_character_of_several_bytes_counts_whole() -> None:
    """A piece that begins or ends within what one escape stands for is all of that escape."""
    text = rb"x\u00e9y"
    (level,) = levels(text)

    assert level.span(1, 2) == (1, 7)
    assert level.span(2, 3) == (1, 7)
    assert level.span(2, 4) == (1, 8)


def test_a_piece_of_the_second_level_stands_in_the_text() -> None:
    """A piece of the second level is found in the text through all levels at once."""
    text = b"(%2541%2542)"
    *_, last = levels(text)

    assert last.text == b"(AB)"
    assert last.span(1, 2) == (1, 6)
    assert last.span(0, 4) == (0, 12)
    assert last.span(3, 4) == (11, 12)


# --- Needles -----------------------------------------------------------------------------------


def found(known: list[bytes], text: bytes) -> list[tuple[int, bytes]]:
    """Where which needles stand, in order."""
    searched = Needles()
    for needle in known:
        searched.add(needle)
    return sorted(searched.find(text))


@pytest.mark.parametrize("length", [6, 7, 8, 14, 15, 16, 30])
def test_a_needle_is_found_wherever_it_stands(length: int) -> None:
    """At every offset, at the very beginning and at the very end."""
    needle = bytes(range(ord("A"), ord("A") + length))

    for before, after in itertools.product(range(9), (0, 1, 8)):
        assert found([needle], b"-" * before + needle + b"-" * after) == [(before, needle)]


@pytest.mark.parametrize("length", [6, 8, 15])
def test_a_needle_is_found_as_often_as_it_stands(length: int) -> None:
    """Twice side by side, and once more."""
    needle = bytes(range(ord("A"), ord("A") + length))

    assert found([needle], needle + needle + b"--" + needle) == [
        (0, needle),
        (length, needle),
        (2 * length + 2, needle),
    ]


def test_what_is_nearly_a_needle_is_none() -> None:
    """A byte more or less, at either end, or another within."""
    needle = b"ABCDEFGHIJKLMNOP"

    assert (
        found([needle], needle[1:] + b"-" + needle[:-1] + b"-" + needle.replace(b"H", b"h")) == []
    )


def test_needles_may_overlap_and_begin_alike() -> None:
    """Needles that overlap or begin alike are each found."""
    known = [b"ABCDEFGHIJKLMNOP", b"ABCDEFGHIJKLMNOPQ", b"IJKLMNOPQRSTUVWX", b"ABCDEFG", b"DEFGHI"]

    assert found(known, b"(ABCDEFGHIJKLMNOPQRSTUVWX)") == [
        (1, b"ABCDEFG"),
        (1, b"ABCDEFGHIJKLMNOP"),
        (1, b"ABCDEFGHIJKLMNOPQ"),
        (4, b"DEFGHI"),
        (9, b"IJKLMNOPQRSTUVWX"),
    ]


def test_what_is_too_short_is_not_looked_for() -> None:
    """Five bytes may stand in any text; six are looked for, of so many needles."""
    known = [b"%05d" % number for number in range(3)] + [
        b"%06d" % number for number in range(MOST_TINY + 1)
    ]
    text = b" ".join(known)

    assert SHORTEST == 6
    assert len(found(known, text)) == MOST_TINY
    assert found(known, b"000064") == []
    assert found(known, b"000063") == [(0, b"000063")]


def test_many_needles_that_are_alike_cost_a_bounded_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a text is like so many needles that looking would take too long, it is given up."""
    monkeypatch.setattr(needles, "_COMPARISONS", 10)
    known = [b"A" * 8 + b"%08d" % number + b"A" * 8 for number in range(50)]

    assert found(known, b"A" * 7) == []
    with pytest.raises(TooMuch):
        found(known, b"A" * 400)


def test_so_many_comparisons_and_one_for_each_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A needle that stands once takes one comparison: an effort that is just enough finds it, one
    less gives up.
    """
    needle = b"ABCDEFGHIJKLMNOP"

    monkeypatch.setattr(needles, "_COMPARISONS", 1 - len(needle))
    assert found([needle], needle) == [(0, needle)]
    monkeypatch.setattr(needles, "_COMPARISONS", -len(needle))
    with pytest.raises(TooMuch):
        found([needle], needle)


@pytest.mark.parametrize("front", [True, False])
def test_a_crowd_is_told_by_its_other_end(front: bool) -> None:
    """Many needles with one end in common are looked for by the other: an ordinary text is not held
    against all of them.
    """
    common = b"the-same-for-all"
    known = [
        common + b"%016d" % number if front else b"%016d" % number + common for number in range(300)
    ]
    searched = Needles()
    for needle in known:
        searched.add(needle)

    words = max(len(known) for known in searched._long._known.values())
    assert words < 150
    assert sorted(searched.find(b"(" + known[7] + b")")) == [(1, known[7])]


# --- JWTs --------------------------------------------------------------------------------------

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJfaWQiOiI1In0.c2lnbmF0dXJlLW9m"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (TOKEN, [TOKEN]),
        (f"x{TOKEN}, {TOKEN}.", [TOKEN, TOKEN]),
        (f"www.example.{TOKEN}.eyJ", [TOKEN]),
        (TOKEN[:-1], []),  # fifteen characters of signature
        (TOKEN.replace("eyJhbGciOiJIUzI1NiJ9", "eyJ"), []),  # a header with nothing in it
        (
            TOKEN.replace("eyJhbGciOiJIUzI1NiJ9", "eyJh"),
            [TOKEN.replace("eyJhbGciOiJIUzI1NiJ9", "eyJh")],
        ),
        (TOKEN.replace("eyJfaWQiOiI1In0", ""), []),
        ("eyJ", []),
        ("a.b.c", []),
        (f"{TOKEN}.{TOKEN}", [TOKEN, TOKEN]),
    ],
)
def test_jwts_in_a_text(text: str, tokens: list[str]) -> None:
    """What looks like a signed one, from left to right, with a signature of sixteen characters at
    the least.
    """
    assert list(jwts_in(text)) == tokens


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(TOKEN, True), ("eyJa.b.c", True), (f"{TOKEN} ", False), ("eyJa.b.", False), ("a.b.c", False)],
)
def test_a_text_that_is_a_jwt(text: str, is_one: bool) -> None:
    """The whole text, however short its signature is."""
    assert is_jwt(text) == is_one
