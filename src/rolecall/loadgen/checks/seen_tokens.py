"""Whether a token was seen before: a table of 64-bit fingerprints that does not grow.

The table has sets of four places. A fingerprint goes to the set that its lowest bits name, and
pushes the oldest of the four out. Of each place the lowest bits would therefore say nothing new;
they hold who the token belongs to, where it may be seen again by its owner.

*What is found.* A token that comes again after ``d`` others is still there if fewer than four of
them went to its set. In a table of ``n`` places that is, with x = 4 d / n, the Poisson probability
e^-x (1 + x + x^2/2 + x^3/6): of two million places (16 MB) 99.99 % after 100,000 tokens, 98 % after
half a million, 87 % after a million. A fault that repeats tokens does so more than once, and each
time is another chance.

*What is not found, but said to be.* Two different tokens are taken for one if 64 minus the owner's
bits are alike in one of four places: of two million places, once in 2^43 tokens; at 100,000 tokens
a second, once in three years.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from hashlib import blake2b

#: The bits of an owner that say which user it is; the others say what else it depends on.
USER_BITS = 2**9 - 1
#: Places of a table unless told otherwise; eight bytes each.
PLACES = 2**21
_WAYS = 4
_BYTES = array("Q").itemsize
_64_BITS = 2**64 - 1


def fingerprint(text: str) -> int:
    """64 bits of BLAKE2b: the same in every process, for any text (0.8 us for a JWT)."""
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold
        data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def _hashed(text: str) -> int:
    return hash(text) & _64_BITS


#: 64 bits of SipHash under a key of this process: a tenth of the time of `fingerprint`, and of no
#: use to any other process.
own_fingerprint = _hashed if sys.hash_info.width == 64 else fingerprint


class SeenTokens:
    """Fingerprints that were seen, up to a number.

    Args:
        places: how many, a power of two.
        tells: whether what is new is collected for `take`; otherwise it is never asked for.
    """

    def __init__(self, places: int = PLACES, *, tells: bool = False) -> None:
        if places < _WAYS or places & (places - 1):
            raise ValueError(f"the places have to be a power of two above 3, not {places}")
        self._mask = places // _WAYS - 1
        # every page of it is written to now, and none later
        self._table = array("Q", bytes(_BYTES * places))
        self._tells = tells
        self._new = array("Q")

    def add(self, fingerprint: int, owner: int = 0) -> bool:
        """Note a fingerprint (0.6 us).

        Args:
            owner: who may be given it again, as a number of 64 bits; up to `USER_BITS` for nobody.

        Returns:
            Whether that is in order: it was not seen before, or only with the same owner.
        """
        table, mask = self._table, self._mask
        at = (fingerprint & mask) * _WAYS
        if first := table[at]:  # a set fills from the front: what is empty is not looked at
            if first ^ fingerprint <= mask:
                return self._is_owned(first, owner)
            if second := table[at + 1]:
                if second ^ fingerprint <= mask:
                    return self._is_owned(second, owner)
                if third := table[at + 2]:
                    if third ^ fingerprint <= mask:
                        return self._is_owned(third, owner)
                    if (fourth := table[at + 3]) ^ fingerprint <= mask:
                        return self._is_owned(fourth, owner)
                    table[at + 3] = third
                table[at + 2] = second
            table[at + 1] = first
        table[at] = fingerprint & ~mask | owner & mask
        if self._tells:
            self._new.append(fingerprint)
            self._new.append(owner)
        return True

    def _is_owned(self, place: int, owner: int) -> bool:
        return place & self._mask == owner & self._mask and owner > USER_BITS

    def is_of_user(self, fingerprint: int, owner: int) -> bool:
        """Whether a fingerprint was seen before, of an owner with the same user."""
        place, user = self._place(fingerprint), self._mask & USER_BITS
        return place != 0 and place & user == owner & user

    def knows(self, fingerprint: int) -> bool:
        """Whether a fingerprint was seen before, of any owner (0.4 us)."""
        return self._place(fingerprint) != 0

    def _place(self, fingerprint: int) -> int:
        """What is noted of a fingerprint; 0 where nothing is."""
        table, mask = self._table, self._mask
        at = (fingerprint & mask) * _WAYS
        for way in range(at, at + _WAYS):
            place = table[way]
            if not place:  # as in `add`
                return 0
            if place ^ fingerprint <= mask:
                return place
        return 0

    def take(self) -> bytes:
        """The new ones: 16 bytes each, fingerprint and owner, little-endian."""
        new, self._new = self._new, array("Q")
        return as_bytes(new)

    def merge(self, delta: bytes) -> int:
        """Note what a worker has seen; how many of it others have seen before."""
        return sum(self.merge_by_user(delta))

    def merge_by_user(self, delta: bytes) -> tuple[int, int]:
        """The same, apart: what was seen before for the same user, and for another one."""
        again = [seen for seen in pairs(delta) if not self.add(*seen)]
        same = sum(self.is_of_user(fingerprint, owner) for fingerprint, owner in again)
        return same, len(again) - same


def as_bytes(numbers: array[int]) -> bytes:
    """Numbers of 64 bits for a message, the lower byte first."""
    return _little_endian(numbers).tobytes()


def pairs(delta: bytes) -> Iterator[tuple[int, int]]:
    """The numbers that `as_bytes` wrote, two by two."""
    numbers = array("Q")
    numbers.frombytes(delta)
    each = iter(_little_endian(numbers))
    return zip(each, each, strict=True)


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
