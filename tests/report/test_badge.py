"""``badge.svg``: a picture that is XML and loads nothing, whatever the target is called."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from rolecall.report import badge
from tests.support.results import results

SVG = "{http://www.w3.org/2000/svg}"


def texts(document: str) -> list[str]:
    """What the picture says."""
    return [element.text or "" for element in ElementTree.fromstring(document).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("verdict", "failed", "said"),
    [
        ("conformant", 0, "conformant"),
        ("not-conformant", 3, "3 failed"),
        ("inconclusive", 0, "inconclusive"),
        ("part-passed", 0, "part passed"),
    ],
)
def test_it_says_the_verdict(verdict: str, failed: int, said: str) -> None:
    """The verdict stands on the badge, and how many requirements failed."""
    document = results(verdict=verdict)
    document["counts"]["requirements"] = {"failed": failed}

    assert texts(badge.write(document)) == ["rolecall", said]


def test_each_verdict_has_a_colour_of_its_own() -> None:
    """No two verdicts look alike."""
    verdicts = ("conformant", "part-passed", "not-conformant", "inconclusive")
    colours = {
        badge.write(results(verdict=verdict)).split('fill="')[2].split('"')[0]
        for verdict in verdicts
    }

    assert len(colours) == len(verdicts)


def test_the_name_of_a_target_is_text() -> None:
    """A name with tags and control characters leaves a picture that is XML and has no script."""
    document = results(target={"name": "</title><script>\x00\x1b", "base_url": "http://t"})

    tree = ElementTree.fromstring(badge.write(document))

    assert [element.tag for element in tree.iter(f"{SVG}script")] == []
    title = tree.find(f"{SVG}title")
    assert title is not None
    assert title.text == "rolecall: conformant: </title><script>, 2026-11-26"


def test_it_loads_nothing() -> None:
    """The only address in the picture is the name of its format."""
    text = badge.write(results())

    assert text.count("http") == 1
    assert "url(#" in text
