"""Parts of sentences, as every message and report has them."""

from __future__ import annotations

import pytest

from rolecall.errors import Interrupted, suggest
from rolecall.wording import counted, first_few, shortened


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 tests"), (1, "1 test"), (2, "2 tests"), (1200, "1,200 tests")]
)
def test_a_number_of_things_is_in_the_singular_or_the_plural(number: int, said: str) -> None:
    """One thing has no s, and thousands are set apart."""
    assert said == counted(number, "test")


def test_the_first_few_names_say_how_many_others_there_are() -> None:
    """As many names as asked for are shown, and no more are counted than are left out."""
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_a_long_text_is_shortened_and_says_its_length() -> None:
    """A text of the longest length stays whole."""
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "abc ... (4 characters)"


def test_a_hint_names_the_nearest_word_or_says_where_to_look() -> None:
    """Where no word is near, a long list of words may be left out."""
    assert suggest("guset", ["guest", "bot"], "See --help.") == "Did you mean 'guest'?"
    assert suggest("x", ["guest", "bot"], "See --help.") == "See --help."
    assert suggest("x", ["guest", "bot"]) == "Known: guest, bot."


def test_one_thing_that_was_left_is_one_thing() -> None:
    """A run that was interrupted late says how many things it left."""
    assert "; 1 thing left on the target" in str(Interrupted("runs/1", 1))
