"""``badge.svg``: the verdict in one small picture that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

_LABEL = "rolecall"
#: White text on each has a contrast of 4.5 or more (WCAG 2.2, 1.4.3).
_COLOURS = {
    "conformant": "#2e7d32",
    "part-passed": "#1565c0",
    "not-conformant": "#c62828",
    "inconclusive": "#8d6100",
}
_LETTER, _PADDING, _HEIGHT = 6.6, 7.0, 20  # pixels, at a size of 11

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}" role="img" \
aria-label="{label}: {said}">
<title>{title}</title>
<clipPath id="round"><rect width="{width:g}" height="{height}" rx="3"/></clipPath>
<g clip-path="url(#round)">
<rect width="{left:g}" height="{height}" fill="#424242"/>
<rect x="{left:g}" width="{right:g}" height="{height}" fill="{colour}"/>
</g>
<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">
<text x="{padding:g}" y="14" textLength="{label_length:g}">{label}</text>
<text x="{said_at:g}" y="14" textLength="{said_length:g}">{said}</text>
</g>
</svg>
"""


def write(results: Mapping[str, Any]) -> str:
    """The text of the file; its title names the target and the day."""
    said = _said(results)
    left, right = (len(text) * _LETTER + 2 * _PADDING for text in (_LABEL, said))
    title = f"{_LABEL}: {said}: {results['target']['name']}, {results['finished'][:10]}"
    return _SVG.format(
        width=left + right,
        height=_HEIGHT,
        left=left,
        right=right,
        padding=_PADDING,
        label=_LABEL,
        label_length=len(_LABEL) * _LETTER,
        said=said,
        said_at=left + _PADDING,
        said_length=len(said) * _LETTER,
        title=_text(title),
        colour=_COLOURS.get(results["verdict"], _COLOURS["inconclusive"]),
    )


def _said(results: Mapping[str, Any]) -> str:
    """The verdict, and how many requirements failed."""
    failed = results["counts"]["requirements"]["failed"]
    if results["verdict"] != "not-conformant":
        return str(results["verdict"]).replace("-", " ")
    return f"{failed} failed" if failed else "not conformant"


def _text(text: str) -> str:
    """A text of XML 1.0: characters that it cannot hold are left out."""
    return escape("".join(character for character in text if character.isprintable()))
