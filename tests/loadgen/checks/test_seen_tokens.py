"""Seen tokens are known again as far back as promised, in memory that does not grow."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tracemalloc

import pytest

from rolecall.loadgen.checks.seen_tokens import (
    PLACES,
    SeenTokens,
    fingerprint,
    own_fingerprint,
)

DICE = random.Random(4)


def numbers(count: int) -> list[int]:
    """Fingerprints of chance."""
    return [DICE.getrandbits(64) for _ in range(count)]


def detection(distance: float, places: int = PLACES) -> float:
    """The probability that a token is known again after ``distance`` others: fewer than four of
    them went to its set.
    """
    x = distance * 4 / places
    return math.exp(-x) * math.fsum(x**k / math.factorial(k) for k in range(4))


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """Workers on other machines know a token by the same number, whatever their hash seed is."""
    script = (
        "from rolecall.loadgen.checks.seen_tokens import fingerprint; print(fingerprint('a token'))"
    )

    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert said == {str(fingerprint("a token"))}


@pytest.mark.parametrize("text", ["", "a", "\u00fc", "\ud800", "x" * 100_000])
def test_every_text_has_a_fingerprint(text: str) -> None:
    """Any text of JSON has a fingerprint of 64 bits; a longer text has another one."""
    for function in (fingerprint, own_fingerprint):
        assert 0 <= function(text) < 2**64
        assert function(text) == function("".join(text)) != function(f"{text}x")


def test_what_comes_again_is_known() -> None:
    """A fingerprint is in order once, and not a second time."""
    seen, several = SeenTokens(2**16), numbers(500)

    assert all(seen.add(number) for number in several)
    assert not any(seen.add(number) for number in several)


def test_what_belongs_to_its_owner_may_come_again() -> None:
    """With the same owner a fingerprint is in order as often as it likes; with another, or none, or
    none at first, it is not.
    """
    seen, owner, other = SeenTokens(2**12), *numbers(2)
    owned, free = numbers(2)

    assert seen.add(owned, owner)
    assert seen.add(owned, owner)
    assert not seen.add(owned, other)
    assert not seen.add(owned)
    assert seen.add(free)
    assert not seen.add(free, owner)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 1.0, 2.0])
def test_how_far_back_is_as_promised(share: float) -> None:
    """The part of the fingerprints that are known again at a distance is the one that the
    module's docstring says.
    """
    places = 2**15
    distance, sample = int(share * places), 500
    seen, several = SeenTokens(places), numbers(2 * places)

    for number in several:
        seen.add(number)
    known = sum(not seen.add(number) for number in several[-distance - sample : -distance])

    assert known / sample == pytest.approx(detection(distance + sample, places), abs=0.08)


def test_what_is_promised_of_the_usual_table() -> None:
    """The figures of the documentation: 16 MB remember 100,000 tokens nearly always, a million
    mostly.
    """
    assert detection(100_000) > 0.9999
    assert detection(500_000) == pytest.approx(0.98, abs=0.005)
    assert detection(1_000_000) == pytest.approx(0.87, abs=0.01)
    assert PLACES * 8 == 16 * 2**20


def test_nobody_is_accused_for_nothing() -> None:
    """Among a hundred thousand different fingerprints none is taken for another, even in a small
    table.
    """
    seen = SeenTokens(2**12)

    assert all(seen.add(number) for number in numbers(100_000))


@pytest.mark.long
def test_memory_does_not_grow() -> None:
    """Ten thousand or a hundred thousand fingerprints: the table is the same, and so is what Python
    holds.
    """
    seen = SeenTokens(2**12)
    several = numbers(100_000)
    tracemalloc.start()
    try:
        for number in several[:10_000]:
            seen.add(number)
        before, _ = tracemalloc.get_traced_memory()
        for number in several[10_000:]:
            seen.add(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 10_000


def test_what_is_known_is_known_whoever_owns_it() -> None:
    """To ask changes nothing, and the owner does not matter."""
    seen = SeenTokens(2**12)
    first, second, owner = numbers(3)
    seen.add(first, owner)

    assert seen.knows(first)
    assert not seen.knows(second)
    assert seen.add(second)


@pytest.mark.parametrize("places", [0, 3, 2**10 + 4])
def test_a_table_has_a_round_number_of_places(places: int) -> None:
    """A size that would put fingerprints nowhere is refused."""
    with pytest.raises(ValueError, match="power of two"):
        SeenTokens(places)


def test_the_master_finds_what_two_workers_were_given() -> None:
    """Each worker says what was new to it, once; what both had is found, unless both had it for the
    same owner.
    """
    first, second, master = (
        SeenTokens(2**12, tells=True),
        SeenTokens(2**12, tells=True),
        SeenTokens(2**12),
    )
    mine, yours, both, owner = numbers(4)
    for number in (mine, both, both):
        first.add(number)
    first.add(owner, 7 << 9)
    second.add(yours)
    second.add(both)
    second.add(owner, 7 << 9)

    assert master.merge(first.take()) == 0
    assert master.merge(second.take()) == 1
    assert first.take() == second.take() == b""
    first.add(yours, 7 << 9)
    assert master.merge(first.take()) == 1


def test_a_worker_on_its_own_collects_nothing() -> None:
    """Without a master nothing is kept to be told."""
    seen = SeenTokens(2**12)
    seen.add(1)

    assert seen.take() == b""
