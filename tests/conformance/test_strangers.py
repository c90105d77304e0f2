"""Which strange characters in a signature may be passed over, in memory."""

from __future__ import annotations

from base64 import b64decode

import pytest

from conformance.test_strange_tokens import NOT_PASSED_OVER, STRANGERS


@pytest.mark.parametrize("name", [name for name in STRANGERS if name != "escaped-line-break"])
def test_a_signature_is_right_without_what_its_reader_passes_over(name: str) -> None:
    """A lenient reader of base64 finds the same bytes with the stranger as without, be it as it is
    or the space that stands for it (RFC 9110 5.5): who lets such a token in has verified it.
    """
    signature = b"c2lnbmF0dXJl"

    assert b64decode(signature[:5] + STRANGERS[name] + signature[5:]) == b64decode(signature)
    assert not NOT_PASSED_OVER.search(STRANGERS[name])


def test_letters_are_not_passed_over() -> None:
    """Letters of base64url's own make another signature."""
    assert NOT_PASSED_OVER.search(STRANGERS["escaped-line-break"])
