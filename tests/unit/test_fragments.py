"""Parts of secrets: which segments are looked for, and how far a part goes."""

from __future__ import annotations

import pytest

from rolecall.fragments import LONGEST, SEGMENT, SHORTEST_HALF, Fragment, fragments

SECRET = bytes(range(0x21, 0x7F))  # each byte once


def found(part: bytes, secret: bytes, shortest: int = SEGMENT) -> bool:
    """Whether a part holds a segment of the secret."""
    return any(fragment.segment in part for fragment in fragments(secret, 1, shortest))


@pytest.mark.parametrize("length", [30, 31, 43, 80, 94])
def test_both_pieces_of_a_secret_hold_a_segment(length: int) -> None:
    """Wherever a secret is cut in two, a piece of fifteen bytes or more holds one whole."""
    secret = SECRET[:length]

    for cut in range(length + 1):
        assert found(secret[:cut], secret) == (cut >= SEGMENT)
        assert found(secret[cut:], secret) == (length - cut >= SEGMENT)


@pytest.mark.parametrize("length", [16, 17, 29])
def test_halves_of_short_secrets(length: int) -> None:
    """Of a secret of the target file the halves are looked for from eight bytes on; of what a
    server gave out, from fifteen.
    """
    secret = b"aB1!cD2-eF3.gH4_iJ5,kL6+mN7*oP8"[:length]
    half = length // 2

    assert found(secret[:half], secret, SHORTEST_HALF)
    assert found(secret[-half:], secret, SHORTEST_HALF)
    assert list(fragments(secret, 1)) == []


def test_a_half_that_is_a_word_is_none() -> None:
    """A half that is made of words may stand in any text; mixed characters do not."""
    for half in (b"administ", b"Password", b"password-of", b"staging2024"):
        assert not found(
            half, half + b"-7Hq2xW!"[: len(half)].ljust(len(half), b"9"), SHORTEST_HALF
        )
    for half in (b"aDMinIst", b"aDm1nist", b"XY6Z5BGG"):
        assert found(half, half + b"RatOr-pw", SHORTEST_HALF)


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        SECRET[:15],
        b"two words that are text, forty characters",
        SECRET * 6,
        b"sunshinesunshine",
    ],
    ids=["empty", "short", "text", "very long", "a word"],
)
def test_what_has_no_parts(secret: bytes) -> None:
    """Words, texts and whole documents have no parts that are secret."""
    assert len(SECRET * 6) > LONGEST
    assert list(fragments(secret, 1, SHORTEST_HALF)) == []


def test_a_part_goes_on_as_far_as_the_text_does() -> None:
    """Around a segment the part is as long as text and secret are alike."""
    fragment = Fragment(1, SECRET, 30, 45)

    assert fragment.around(b"..." + SECRET[20:60] + b"..", 13) == (3, 43)
    assert fragment.around(SECRET[30:45], 0) == (0, 15)
    assert fragment.around(SECRET, 30) == (0, len(SECRET))
