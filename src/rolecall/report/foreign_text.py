"""Text of others in a page of ours: escaped, bounded, and with nothing in it that hides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from rolecall.wording import shortened

#: Characters of a text in a page.
LONGEST = 2_048
#: Lines of a list in a page; results.json has all of them.
LINES = 400
#: What changes the order of a text (Unicode UAX 9), or does not show at all; tabs and ends of lines
#: may stay.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """A text with the characters that hide as their numbers: ``⟨U+202E⟩``."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def short(text: str) -> str:
    """A text, or its beginning and how long it is."""
    return shortened(text, LONGEST)


def html(text: object, most: int = LONGEST) -> str:
    """A text for a page, be it content or the value of an attribute."""
    return escape(visible(shortened(f"{text}", most)))


def items(texts: Iterable[object]) -> str:
    """A list of texts, the first `LINES` of them."""
    every = list(texts)
    lines = "".join(f"<li>{html(text)}</li>" for text in every[:LINES])
    return f'<ul class="plain">{lines}</ul>{more(len(every) - LINES)}'


def more(left: int) -> str:
    """That so many more are elsewhere; nothing where there are none."""
    return f'<p class="small">{left:,} more in results.json</p>' if left > 0 else ""
