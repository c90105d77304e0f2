"""Redaction by known value: every secret that was ever sent or received, however it is written.

The same secret gets the same label within a run, so that a reader still sees which token went
where; a JWT keeps its header and claims and loses its signature. An id, a claim, a path or a word
of our own reports is public: where a server calls it a secret, it is masked there and nowhere else.
A secret that was turned round, or a part of one, is masked by a label that says so.

Longer than 400 lines because what is learnt and what is masked must agree on the same forms.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import secrets
import string
import sys
import threading
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from rolecall.bounds import WITHHELD
from rolecall.escapes import Level, levels
from rolecall.fragments import SEGMENT, SHORTEST_HALF, Fragment, fragments
from rolecall.jwts import BEGIN, is_jwt, jwts_in
from rolecall.needles import SHORTEST, Needles, TooMuch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rolecall.evidence import Exchange

# --- Bounds of what a target may make us remember; beyond them a member's name decides. ---------
MOST_PER_ANSWER = 256
MOST_PER_RUN = 10_000
MOST_CHARACTERS = 4_000_000  # of all secrets of a run
#: Characters of one secret; it is remembered in pieces of so many.
LONGEST, _PIECE = 65_536, 4096
#: Values that cannot be told from ordinary text, which are looked for by an expression.
MOST_PLAIN = 64
#: Bytes of a request in which its credentials are looked for: what is longer is a large body that
#: we made up.
_SENT = 65_536

_SHORTEST_RECEIVED = 8  # characters; what a server calls a token and is shorter is a word
_TOKEN_LENGTH = 16  # characters; what is shorter and stands alone is a word
_LONGEST_ID = 64  # characters
_MOST_IDS = 64  # that one answer with tokens tells of
_MOST_FOUND = 4096  # members of one body that are looked at
_LONGEST_WORD = 100  # characters; no word of ordinary text is longer
#: What a made-up value may have beside something public and still tell no secret.
_NOTHING = 5

_NAMES = (
    "(?:access_?|refresh_?|id_?|auth_?|session_?)?token|jwt|(?:new_?|old_?)?password|"
    "(?:client_?)?secret|api_?key"
)
#: A member of a body that holds a secret, with its value as it is written there, to the end or to
#: where the body was cut.
_MEMBER = re.compile(
    rf'"({_NAMES})"\s*+:\s*+"((?:[^"\\]|\\.)*+)'.encode(), re.IGNORECASE | re.DOTALL
)
#: The same in a query, a fragment or a cookie.
_PAIR = re.compile(rf"(?<![\w-])({_NAMES})=([^&;#,\s\"]++)", re.IGNORECASE)
_COOKIE = re.compile(r"^[^=;\s]+=([^;\s]+)")
#: What a secret is by the name of its member; by any other name it is a "token".
_KINDS = {
    "refreshtoken": "refresh-token",
    "password": "password",
    "newpassword": "password",
    "apikey": "key",
}
#: Who a token is about: never a secret.
_ID_NAMES = ("_id", "id", "user", "userId", "sub")
_ID = re.compile(rf'"(?:{"|".join(_ID_NAMES)})"\s*+:\s*+"?([\w@.:-]{{1,{_LONGEST_ID}}})'.encode())
#: The beginning of a token that looks like its user's id: 24 hexadecimal digits, a UUID, a number.
_FRONT = re.compile(
    r"^([0-9a-f]{24}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+)[.:|~_-]", re.IGNORECASE
)

#: A JWT without a signature, or cut before it: all that it says is public.
_UNSIGNED = re.compile(r"^eyJ[\w-]+\.[\w-]*\.?$")
#: The first characters of what may be JSON in base64url: of twelve bytes.
_MAY_BE_CLAIMS = re.compile(rf"(?={BEGIN}([\w-]{{13}}))", re.ASCII)

#: Where a value stands that cannot be told from ordinary text: behind the name of what it is and
#: signs, or in quotation marks.
_PASSWORD_PLACES = b"pass(?:word|wd|phrase|code)?|pwd|secret|credentials?"
_TOKEN_PLACES = b"token|jwt|key|secret|bearer|cookie|sid"
_SIGNS = rb"(?:\W{1,8}(?:value|\$\w{2,6}))?[^\w,]{1,1100}?"

#: What our own files and HTTP say anyway.
_ORDINARY = """
<password- <token- <refresh-token- <key- <signing-key- <cookie- unlearnt accessToken refreshToken
tokenType clientId apiKey
verdict exit_code reasons suite version specification dialect departures expiry_evidence selected
read_only started finished requests
counts cells requirements tests findings requirement statement outcome inconclusive conformant
not-conformant not-tested passed failed
error waived expected actual exchange credential operation observations left_behind advice
evidence seconds look_at rolecall
rolecall-suite testsuites testsuite testcase classname failure failures errors skipped message
system-out properties environment
creator entries startedDateTime request response method httpVersion headers queryString postData
mimeType cookies headersSize bodySize
content status statusText redirectURL timings receive cache statusDetails historyId testCaseId
fullName titlePath description labels
parameters attachments framework language package categories matchedStatuses messageRegex
undefined unauthorized forbidden
Authorization: Bearer Basic Content-Type: application/json; charset=utf-8 text/plain text/html
application/x-www-form-urlencoded
multipart/form-data Content-Length Content-Encoding Transfer-Encoding chunked gzip Cache-Control
no-store no-cache Set-Cookie Location
Connection keep-alive Retry-After WWW-Authenticate User-Agent Accept X-Rolecall-Attack HTTP/1.1
HTTP/1.0 localhost 127.0.0.1
http:// https:// example.org OPTIONS DELETE PATCH authentication
""".lower()
_KINDS_OF_LABELS = ("password", "token", "refresh-token", "key", "signing-key", "cookie")

_UNLEARNT = -1  # the owner of what is hidden for its place only
#: What a label says besides of a secret that is not there as it was.
_REVERSED, _PART = "reversed ", "part of "
#: Where something to be masked stands in a text: its begin and end, whose it is, and its form.
_Place = tuple[int, int, int, str]
#: A segment of a secret that was found: where, on which level of the text (none: as it is).
_Found = tuple[int, Fragment, Level | None]
#: Bytes by which a part is looked for further inside where others are like it.
_LOOKED_FURTHER = 256


class Secrets:
    """The secrets of one run and the text they are kept out of."""

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}  # a secret's number by its value
        self._labels: list[tuple[str, int]] = []  # of each number: the kind, and which of its kind
        self._counts: Counter[str] = Counter()
        self._nonce = ""
        self._needles = Needles()
        self._owner_of: dict[bytes, int] = {}
        self._reversed_of: dict[bytes, int] = {}
        self._fragments: dict[bytes, Fragment] = {}
        self._pieced: set[int] = set()
        self._plain: dict[str, int] = {}
        self._plain_places: list[re.Pattern[bytes]] = []
        self._ordinary = _ORDINARY
        #: Ids that servers have told, and what else is public for want of a secret in it: claims,
        #: and what stands before a signature.
        self._ids: set[str] = set()
        self._said: set[str] = set()
        self._longest_id = 0
        self._public_text: bytes | None = b""
        self._sent_before: set[str] = set()
        self._quota, self._room = MOST_PER_ANSWER, MOST_CHARACTERS
        self._is_flooded = False
        # learnt on the run's event loop, asked for on pytest's thread
        self._lock = threading.Lock()

    # --- What is a secret -----------------------------------------------------------------------

    def spare(self, *texts: str) -> None:
        """Take texts for public: what stands in them is hidden nowhere but where its place says
        that it is a secret.
        """
        self._ordinary = "\n".join((self._ordinary, *texts)).lower()

    def publish(self, id: str) -> None:
        """Note an id of the target's as public, even if it is about to be tried as a password."""
        self._publish(self._ids, (id,))

    def add(self, value: object, kind: str) -> None:
        """Remember a secret of this ``kind`` ("password", "token", "refresh-token", "key");
        non-strings are ignored.
        """
        if isinstance(value, str) and value and value not in self._owners:
            self._remember(value, kind, shortest_part=SHORTEST_HALF)

    def is_plain(self, value: str) -> bool:
        """Whether a secret cannot be told from ordinary text, and so is hidden only where it stands
        as a value of its own.
        """
        return value in self._plain

    def label_of(self, value: str) -> str:
        """The label of a secret; the value itself where it is none."""
        owner = self._owners.get(value)
        return value if owner is None else self._label(owner).decode()

    def shapes(self) -> dict[str, list[list[str]]]:
        """By label, the form of each token and key, of which tests make others: parts as
        ``[kind, text]``.

        A part is ``public`` (an id), as it is; ``like``: for each digit a 9, for each letter an a
        or A, in hexadecimal an f or F; or ``base64url``, with the number of bytes. Nothing is told
        of passwords.
        """
        longest: dict[int, str] = {}
        for value, owner in self._owners.items():
            if len(value) > len(longest.get(owner, "")):
                longest[owner] = value
        return {
            self._label(owner).decode(): _shape(value)
            for owner, value in longest.items()
            if self._labels[owner][0] in _SHAPED
        }

    @property
    def is_flooded(self) -> bool:
        """Whether a target sent more secrets, or longer ones, than are remembered."""
        return self._is_flooded

    def learn(self, exchange: Exchange) -> None:
        """Remember every secret that an exchange carries: credentials sent, and tokens received."""
        self.learn_sent(exchange)
        self.learn_received(exchange)

    def learn_sent(self, exchange: Exchange) -> None:
        """Remember the credentials of a request."""
        for name, value in exchange.request_headers.items():
            if name.lower() == "authorization":
                credential = value.partition(" ")[2].strip() or value
                # the scheme alone is not secret
                if credential != value or len(value) >= _TOKEN_LENGTH:
                    self._take_sent(credential, "token")
        found = (
            *_in_text(exchange.url.partition("?")[2]),
            *_in_body(exchange.request_body[:_SENT]),
        )
        for value, kind in found:
            self._take_sent(value, kind)

    def learn_received(self, exchange: Exchange) -> None:
        """Remember the tokens of an answer, and the ids in one that holds some."""
        self._quota = MOST_PER_ANSWER
        for name, value in exchange.headers:
            for secret, kind in _in_text(value):
                self._take_received(secret, kind)
            if (
                name.lower() == "set-cookie"
                and (cookie := _COOKIE.match(value))
                and len(cookie[1]) >= _TOKEN_LENGTH
            ):
                self._take_received(cookie[1], "cookie")
        if found := _in_body(exchange.body):
            self._publish(
                self._ids, (id.decode() for id in _ID.findall(exchange.body[:_SENT])[:_MOST_IDS])
            )
        self._is_flooded |= len(found) > _MOST_FOUND
        take = (
            self._take_received
            if 200 <= (exchange.status or exchange.begun or 0) < 300
            else self._take_from_refusal
        )
        for value, kind in found:
            take(value, kind)

    def _take_sent(self, value: str, kind: str) -> None:
        """A credential that was sent: one that we had, or altered, or made up. Then it may be
        something public, or a word.
        """
        if value in self._sent_before or value in self._owners:
            return
        self._sent_before.add(value)
        if (
            len(value) > LONGEST
            or self._is_known_in_disguise(value)
            or _UNSIGNED.match(value)
            or self._is_public(value)
        ):
            return
        if BEGIN in value and self._is_known_in(value) and (tokens := list(jwts_in(value))):
            # JWTs with something around them, which is evidence. Of each, what is secret is known
            # unless an answer was cut in it, or it is one that was altered.
            for token in tokens:
                if self._shows_some_of(token.rpartition(".")[2]):
                    self._remember(token, kind)
            return
        is_word = value.isalpha() and len(value) < _TOKEN_LENGTH
        self._remember(value, kind, is_plain=is_word, most_plain=MOST_PLAIN)

    def _take_from_refusal(self, value: str, kind: str) -> None:
        # else it says of a member what is wrong with it
        if len(value) >= _TOKEN_LENGTH and " " not in value:
            self._take_received(value, kind)

    def _take_received(self, value: str, kind: str) -> None:
        """What a server calls a secret: it has no say in what else is hidden, nor in how much."""
        if (
            not value
            or value in self._owners
            or self._is_of_an_id(value)
            or self._is_known_in_disguise(value)
        ):
            return
        if (
            not self._quota
            or len(self._labels) >= MOST_PER_RUN
            or len(value) > min(LONGEST, self._room)
        ):
            self._is_flooded = True
            return
        self._quota -= 1
        self._room -= len(value)
        is_word = len(value) < _SHORTEST_RECEIVED or any(map(str.isspace, value))
        if not self._remember(
            value, kind, is_plain=is_word, most_plain=MOST_PLAIN, shortest_part=SEGMENT
        ):
            self._is_flooded = True

    def _is_known_in_disguise(self, value: str) -> bool:
        """Whether a value is a known secret with escapes: it is found as that one."""
        return any(
            level.text.decode("utf-8", "replace") in self._owners for level in levels(_bytes(value))
        )

    def _is_of_an_id(self, value: str) -> bool:
        return value in self._ids or (
            len(value) < self._longest_id and any(value in id for id in self._ids)
        )

    def _shows_some_of(self, signature: str) -> bool:
        """Whether what is known hides a signature in part only, or not at all."""
        try:
            hidden = self._places(_bytes(signature), whole_only=True)
        except TooMuch:
            return True
        return len(signature) - sum(end - start for start, end, *_ in hidden) >= SHORTEST

    def _publish(self, public: set[str], values: Iterable[str]) -> None:
        values = {form for value in values for form in (value, unquote(value))}  # learnt as both
        new = {value for value in values if value not in self._owners} - public
        if new:
            public |= new
            self._public_text = None
            if public is self._ids:
                self._longest_id = max(self._longest_id, *map(len, new))

    def _is_public(self, value: str) -> bool:
        """Whether a made-up value begins or is part of something public, or is that with next to
        nothing added.
        """
        if _bytes(value) in self._all_public():
            return True
        ends = range(1, _NOTHING + 1)
        cut = {value[:-number] for number in ends} | {value[number:] for number in ends}
        return not cut.isdisjoint(self._ids) or not cut.isdisjoint(self._said)

    def _all_public(self) -> bytes:
        if self._public_text is None:
            self._public_text = _bytes("\n".join((*self._ids, *self._said)))
        return self._public_text

    # --- How it is remembered -------------------------------------------------------------------

    def _remember(
        self,
        value: str,
        kind: str,
        *,
        is_plain: bool = False,
        most_plain: int = sys.maxsize,
        shortest_part: int = 0,
    ) -> bool:
        """Whether it is remembered; a limit holds for those that look like ordinary text.

        Halves of it are secret as well from ``shortest_part`` bytes on; with 0, as for a value that
        we made up or altered, no part is.
        """
        secret = value
        if is_jwt(value):
            front, _, secret = value.rpartition(".")
            self._publish(self._said, (front,))
            self._publish_claims(front.partition(".")[2])
        elif id := _FRONT.match(value):
            self._publish(self._said, (id[1],))
        with self._lock:
            owner = self._owners.get(secret)
            if owner is None:
                is_plain = is_plain or self._is_ordinary(secret)
                if is_plain and len(self._plain) >= most_plain:
                    return False
                self._counts[kind] += 1
                self._labels.append((kind, self._counts[kind]))
                owner = len(self._labels) - 1
                self._keep_out_of_labels(secret)
                if is_plain:
                    self._add_plain(secret, owner)
                else:
                    self._add_needles(secret, owner)
                    self._add_disguises(secret, owner, shortest_part)
                self._owners[secret] = owner
            self._owners[value] = owner
        return True

    def _is_ordinary(self, value: str) -> bool:
        if len(value) > _LONGEST_WORD:
            return False
        forms = (value, *(level.text.decode("utf-8", "replace") for level in levels(_bytes(value))))
        return any(len(_bytes(form)) < SHORTEST or form.lower() in self._ordinary for form in forms)

    def _publish_claims(self, claims: str) -> None:
        try:
            document = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        except (ValueError, RecursionError):
            return
        if isinstance(document, dict):
            texts = {
                name: value for name, value in document.items() if isinstance(value, str) and value
            }
            ids = {
                value
                for name, value in texts.items()
                if name in _ID_NAMES and len(value) <= _LONGEST_ID
            }
            self._publish(self._ids, ids)
            self._publish(
                self._said, {value for value in texts.values() if len(value) >= SHORTEST} - ids
            )

    def _keep_out_of_labels(self, value: str) -> None:
        """A secret that reads like a label, or the end of one, would survive in it: from now on
        labels have capitals in them.
        """
        begin = value.rstrip(">").rstrip(string.digits)
        of_a_kind = (
            any(f"<{kind}-".endswith(begin) for kind in _KINDS_OF_LABELS)
            if begin
            else value.endswith(">")
        )
        while (of_a_kind and begin != value and not self._nonce) or (
            self._nonce and self._nonce in value
        ):
            self._nonce = "".join(secrets.choice(string.ascii_uppercase) for _ in range(4))

    def _add_needles(self, secret: str, owner: int) -> None:
        pieces = [secret]
        if len(secret) > _PIECE:
            size = -(-len(secret) // -(-len(secret) // _PIECE))
            pieces = [secret[begin : begin + size] for begin in range(0, len(secret), size)]
            self._pieced.add(owner)
        for piece in pieces:
            for needle in _spellings(piece):
                if len(needle) >= SHORTEST and needle not in self._owner_of:
                    self._owner_of[needle] = owner
                    self._needles.add(needle)

    def _add_disguises(self, secret: str, owner: int, shortest_part: int) -> None:
        """The secret turned round, and parts of it, but for what is ordinary text."""
        data = _bytes(secret)
        turned = secret[::-1]
        if len(data) <= _PIECE and turned.lower() not in self._ordinary:
            needle = _bytes(turned)
            if needle not in self._owner_of:
                self._reversed_of[needle] = owner
                self._needles.add(needle)
        front = _FRONT.match(secret)
        if not shortest_part or _holds_claims(secret):  # which stand in each token of their user
            return
        data = data[front.end() :] if front else data
        for end in fragments(data, owner, shortest_part):
            fragment = self._unlike_others(end)
            needle = fragment.segment
            if needle not in self._owner_of and needle not in self._fragments:
                self._fragments[needle] = fragment
                self._needles.add(needle)

    def _unlike_others(self, fragment: Fragment) -> Fragment:
        """The same, further inside where other secrets begin or end alike, so that it holds what
        tells them apart.
        """
        step = -1 if fragment.begin else 1
        left = min(fragment.begin or len(fragment.secret) - fragment.end, _LOOKED_FURTHER)
        while left and (other := self._fragments.get(fragment.segment)):
            while left and fragment.segment in other.secret:
                begin, end = fragment.begin + step, fragment.end + step
                fragment, left = replace(fragment, begin=begin, end=end), left - 1
        return fragment

    def _add_plain(self, secret: str, owner: int) -> None:
        self._plain = {**self._plain, secret: owner}
        passwords = [
            value for value, number in self._plain.items() if self._labels[number][0] == "password"
        ]
        others = [value for value in self._plain if value not in passwords]
        places = []
        for names, values in ((_PASSWORD_PLACES, passwords), (_TOKEN_PLACES, others)):
            if values:
                places.append(
                    re.compile(rb"(?i:%b)%b(%b)(?!\w)" % (names, _SIGNS, _any_of(values)))
                )
                places.append(
                    re.compile(rb'(?<=\[")(?i:%b)",\s{0,8}"(%b)(?=")' % (names, _any_of(values)))
                )
        strange = [
            value
            for value in self._plain
            if len(value) > 3 and not value.isalpha() and value.lower() not in self._ordinary
        ]
        if strange:
            places.append(re.compile(rb'(?<=")(%b)(?=\\?")' % _any_of(strange)))
        self._plain_places = places

    # --- What is kept free of them --------------------------------------------------------------

    def redact(self, text: str) -> str:
        """``text`` with every known secret replaced by its label."""
        data = _bytes(text)
        try:
            places = self._places(data)
        except TooMuch:
            return WITHHELD
        if not places:
            return text
        parts: list[bytes] = []
        done, last = 0, None
        for start, end, owner, form in places:
            parts.append(data[done:start])
            if not (owner == last and start == done and owner in self._pieced):
                parts.append(self._label(owner, form))
            done, last = end, owner
        return b"".join((*parts, data[done:])).decode("utf-8", "surrogatepass")

    def redacted(self, document: Any, members: frozenset[str] | None = None) -> Any:
        """A JSON document with its texts redacted: those under the given ``members``, or all of
        them; names are ours and stay.
        """
        if isinstance(document, dict):
            return {
                name: self.redacted(value, None if members and name in members else members)
                for name, value in document.items()
            }
        if isinstance(document, list | tuple):
            return [self.redacted(value, members) for value in document]
        return self.redact(document) if isinstance(document, str) and members is None else document

    def found_in(self, text: str) -> bool:
        """Whether any known secret, or a part of one, stands in ``text``, however it is written."""
        try:
            return bool(self._places(_bytes(text), known_only=True))
        except TooMuch:
            return True

    def _is_known_in(self, text: str) -> bool:
        """The same of whole secrets that stand there as they are."""
        try:
            return bool(self._places(_bytes(text), whole_only=True))
        except TooMuch:
            return True

    def stands_in(self, text: str) -> bool:
        """As `found_in`, for a long text that we have written ourselves, and so without reading
        escapes of others: quickly.
        """
        try:
            return any(True for _ in self._needles.find(_bytes(text)))
        except TooMuch:
            return True

    def _label(self, owner: int, form: str = "") -> bytes:
        if owner == _UNLEARNT:
            return b"<token>"
        kind, number = self._labels[owner]
        return f"<{form}{kind}-{self._nonce}{number}{self._nonce}>".encode()

    def _places(
        self, data: bytes, *, known_only: bool = False, whole_only: bool = False
    ) -> list[_Place]:
        """Where secrets stand in a text, in order: the leftmost, and of those the longest.

        Args:
            known_only: without what only its place tells to be a secret.
            whole_only: the same, and without what was turned round, and parts.

        Raises:
            TooMuch: it would take too long to find out.
        """
        segments: list[_Found] = []
        found: list[_Place] = []
        for level in (None, *levels(data)):
            text = level.text if level else data
            for start, needle in self._needles.find(text):
                if (owner := self._owner_of.get(needle)) is not None:
                    found.append((*_span(level, start, start + len(needle)), owner, ""))
                elif whole_only:
                    continue
                elif fragment := self._fragments.get(needle):
                    segments.append((start, fragment, level))
                else:
                    owner = self._reversed_of[needle]
                    found.append((*_span(level, start, start + len(needle)), owner, _REVERSED))
            if not (known_only or whole_only):
                found += [
                    (*_span(level, start, end), owner, "")
                    for start, end, owner in self._told_by_place(text)
                ]
        places = _leftmost(found)
        return sorted([*places, *self._parts(data, segments, places)]) if segments else places

    def _told_by_place(self, text: bytes) -> Iterator[tuple[int, int, int]]:
        """What only its place tells to be a secret."""
        for pattern in self._plain_places:
            for match in pattern.finditer(text):
                yield *match.span(1), self._plain[match[1].decode("utf-8", "surrogatepass")]
        if self._is_flooded:
            for match in _MEMBER.finditer(text):
                if len(match[2]) >= _SHORTEST_RECEIVED and b" " not in match[2]:
                    yield *match.span(2), _UNLEARNT

    def _parts(
        self, data: bytes, segments: Iterable[_Found], places: Sequence[_Place]
    ) -> Iterator[_Place]:
        """Parts of secrets outside of the places of whole ones, of which none overlaps another."""
        begins = [begin for begin, *_ in places]
        found = []
        for start, fragment, level in segments:
            begin, end = _span(level, start, start + fragment.end - fragment.begin)
            after = bisect_right(begins, begin)
            before = places[after - 1][1] if after else 0
            until = begins[after] if after < len(begins) else len(data)
            if before <= begin and end <= until:  # mostly it is a piece of a whole one
                found.append((begin, end, before, until, start, fragment, level))
        told: dict[bytes, bool] = {}
        done = 0
        for _, end, before, until, start, fragment, level in sorted(found, key=itemgetter(0, 1)):
            if end <= done:
                continue
            segment = fragment.segment
            if segment not in told:
                told[segment] = self._is_told(segment)
            if told[segment]:
                continue
            first, last = _span(level, *fragment.around(level.text if level else data, start))
            first, done = max(first, before, done), min(last, until)
            yield first, done, fragment.owner, _PART

    def _is_told(self, segment: bytes) -> bool:
        """Whether a segment of a secret stands in something public or ordinary."""
        # Of bytes: a segment may begin or end in the middle of a character.
        return (
            segment in self._all_public()
            or segment.decode("utf-8", "replace").lower() in self._ordinary
        )


def _span(level: Level | None, start: int, end: int) -> tuple[int, int]:
    """Where in a text something stands that was found in what one of its levels says."""
    return level.span(start, end) if level else (start, end)


def _leftmost(found: Iterable[_Place]) -> list[_Place]:
    """Places of which none overlaps another: the leftmost, and of those the longest."""
    places: list[_Place] = []
    done = 0
    for place in sorted(found, key=lambda place: (place[0], -place[1], place[3], -place[2])):
        if place[0] >= done:
            done = place[1]
            places.append(place)
    return places


def _in_text(text: str) -> list[tuple[str, str]]:
    """What a text without members calls a secret, with the kind of each."""
    found: list[tuple[str, str]] = []
    if "=" in text:
        found += ((unquote(written), _kind(name)) for name, written in _PAIR.findall(text))
    if BEGIN in text:
        found += ((token, "token") for token in jwts_in(text))
    return found


def _in_body(body: bytes) -> list[tuple[str, str]]:
    """The same of a body. Every writer of JSON escapes as it likes, some write JSON into JSON, and
    some bodies end in the middle.
    """
    found: list[tuple[str, str]] = []
    if not body:
        return found
    for data in (body, *(level.text for level in levels(body))):
        for match in _MEMBER.finditer(data):
            written = match[2].decode("utf-8", "replace")
            value = written
            if "\\" in written:
                with contextlib.suppress(ValueError):
                    value = json.loads(f'"{written}"', strict=False)
            found.append((value, _kind(match[1].decode())))
            if len(found) > _MOST_FOUND:
                return found
        if b"eyJ" in data:
            found += _in_text(data.decode("utf-8", "replace"))
    return found


def _holds_claims(secret: str) -> bool:
    """Whether claims stand in it (RFC 7519 3); a signature that holds their first letters by chance
    does not go on as text does.
    """
    for match in _MAY_BE_CLAIMS.finditer(secret):
        begin = base64.urlsafe_b64decode(BEGIN + match[1])
        if begin.isascii() and begin.decode().isprintable():
            return True
    return False


#: Kinds of secrets that tests make others of: their form is told.
_SHAPED = ("token", "refresh-token", "key", "cookie")


def _shape(value: str) -> list[list[str]]:
    if is_jwt(value):
        value = value.rpartition(".")[2]
        with contextlib.suppress(ValueError):
            data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == value:
                return [["base64url", str(len(data))]]
    front = _FRONT.match(value)
    public = front[1] if front else ""
    secret = value.removeprefix(public)
    small, large = ("f", "F") if not re.search(r"[g-zG-Z]", secret) else ("a", "A")
    like = re.sub("[0-9]", "9", re.sub("[A-Z]", large, re.sub("[a-z]", small, secret)))
    return [*([["public", public]] if public else []), ["like", like]]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _any_of(values: Iterable[str]) -> bytes:
    return b"|".join(re.escape(_bytes(value)) for value in sorted(values, key=len, reverse=True))


def _kind(member: str) -> str:
    return _KINDS.get(member.replace("_", "").lower(), "token")


def _spellings(value: str) -> set[bytes]:
    """The ways in which a secret stands in a text whose escapes are read: as it is, in hexadecimal,
    in base64 of any alignment.
    """
    raw = _bytes(value)
    plain = {raw, *(level.text for level in levels(raw))}
    plain |= {text.replace(b" ", b"+") for text in plain}
    # As our own files write it, whose escapes are not read again: in JSON, in JSON that is a text
    # of JSON, in XML.
    written = json.dumps(value)[1:-1]
    plain |= {
        written.encode(),
        json.dumps(written)[1:-1].encode(),
        _bytes(html.escape(value, quote=False)),
    }
    if not value.isascii():
        plain |= set(_misread(value))
    spellings = plain | {raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        # Embedded in a longer base64 text, a secret starts at any of three positions; its first and
        # last characters then also carry bits of the neighbours and are left off.
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(raw)) % 3 else 0)]
        spellings |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return spellings


def _misread(value: str) -> Iterator[bytes]:
    """A secret with characters beyond ASCII, written in one encoding and read in another."""
    for written, read in (
        ("utf-8", "latin-1"),
        ("latin-1", "utf-8"),
        ("utf-16-le", "utf-8"),
        ("utf-16-be", "utf-8"),
    ):
        try:
            data = value.encode(written)
        except UnicodeEncodeError:
            continue
        yield data.replace(b"\0", b"")
        yield _bytes(data.decode(read, "replace").replace("\0", ""))
