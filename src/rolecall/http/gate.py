"""The gate below everything that sends: only the run's own things may be changed.

The argument, in one place (docs/safety.md tells it to operators). A request may change something
when its method is not safe (RFC 9110 9.2.1), or when it says that it means another method. Such a
request leaves only

- to the token endpoint, where it concerns sessions, which the run opens itself;
- to make something: its ledger entry is written, and where it is made inside of something else,
  that is the run's own;
- about one thing, whose id stands in the path, and which the run made; or is a user that is
  borrowed at this moment; or has an id of which it was seen that nothing else answers to it;
- to the clock hook that the target file names, with its ledger entry written;

and none of them in a read-only run, but for log-ins, and for creations by callers who may not where
the target file allows to try them. Whose a thing is, the target alone cannot say:
a create may be answered with somebody else's id. An id is the run's own when the answer shows the
name that the run gave, and when the target had not shown that id, for that kind of thing, before
the create left, nor as the user of one of the accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from rolecall.http.login_budget import LogInBudget, LoginTrial
from rolecall.ledger import CLOCK, Ledger, LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested
from rolecall.target import Account

#: Methods that ask for nothing to be changed (RFC 9110 9.2.1).
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
TOKEN_PATH = "/v2/auth/token"  # noqa: S105  # where log-ins and refreshes go
#: What a read-only run may send.
_READ_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})
#: Header fields in which some servers look for the method that is really meant, and the parameter
#: that others know.
_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_OVERRIDE = "_method"


@dataclass(frozen=True)
class Thing:
    """What a request is about: one thing, by its kind and id. ``in_path``: whether the path names
    it.
    """

    resource: str
    id: str
    in_path: bool = True

    def __str__(self) -> str:
        return f"{self.resource} {self.id or '(id unknown)'}"


@dataclass(frozen=True)
class Creation:
    """What a request is about: something new, under its ledger entry; ``inside`` is what it becomes
    a part of, if anything; ``denied`` says that the caller may not, by the permission table.
    """

    entry: LedgerEntry
    inside: Thing | None = None
    denied: bool = False


About = Thing | Creation | None


class Withheld(Inconclusive):
    """The gate held a request back: it may be about something that is not the run's own."""


class Gate:
    """Knows what is the run's own, and refuses what is not.

    Args:
        ledger: what the run made.
        base_url: the target's; paths begin behind it.
        accounts: those of the target file, each of which has a budget of log-ins.
        clock_url: the hook that moves the target's clock; empty when there is none.
        read_only: let nothing through that may change a thing.
        tries_denied: but for a creation by a caller who may not, and the deletion of what came of
            it.
        may_make: whether the target file allows that things of a kind are made.
    """

    def __init__(
        self,
        ledger: Ledger,
        base_url: str,
        accounts: Iterable[Account] = (),
        *,
        clock_url: str = "",
        read_only: bool = False,
        tries_denied: bool = False,
        may_make: Callable[[str], bool] = lambda resource: True,
    ) -> None:
        self.ledger = ledger
        self.log_ins = LogInBudget(accounts)
        self.read_only = read_only
        self.tries_denied = tries_denied
        self.may_make = may_make
        self._base_url = base_url
        self._clock_url = clock_url
        self._protected: set[tuple[str, str]] = set()
        self._seen: dict[tuple[str, str], float] = {}
        self._borrowed: Counter[tuple[str, str]] = Counter()
        self._nothing: set[tuple[str, str]] = set()

    # --- What is whose --------------------------------------------------------------------------

    def protect(self, resource: str, id: str) -> None:
        """Note that a thing was there before the run: an account's user. It is never the run's own,
        whatever the target says.
        """
        if id:
            self._protected.add((resource, id))

    def is_protected(self, resource: str, id: str) -> bool:
        """Whether this thing was there before the run, and is one of the accounts' users."""
        return (resource, id) in self._protected

    def saw(self, resource: str, id: str, moment: float) -> None:
        """The target has shown a thing with this id at this moment (monotonic seconds)."""
        if id and (resource, id) not in self._seen and self.ledger.of(resource, id) is None:
            self._seen[resource, id] = moment

    def is_others(self, resource: str, id: str, before: float) -> bool:
        """Whether a thing was there before this moment (monotonic seconds), and is none that the
        run made.

        What was seen in the same tick of the clock was there before: on Windows a tick of Python
        3.12 and older takes 16 ms.
        """
        seen = self._seen.get((resource, id))
        return self.is_protected(resource, id) or (seen is not None and seen <= before)

    def own(self, entry: LedgerEntry, id: str) -> None:
        """Note the id of a thing of which it is certain that the run made it."""
        self._seen.pop((entry.resource, id), None)
        self.ledger.created(entry, id)

    def owns(self, thing: Thing) -> bool:
        """Whether the run made this thing, and has not deleted it yet."""
        if self.is_protected(thing.resource, thing.id):
            return False
        entry = self.ledger.of(thing.resource, thing.id)
        return entry is not None and not entry.gone

    def answers_to_nothing(self, thing: Thing) -> None:
        """Note that only the run's own things can have this id: it is made up, or respelled."""
        self._nothing.add((thing.resource, thing.id))

    @contextmanager
    def borrowing(self, resource: str, id: str) -> Iterator[None]:
        """Inside the block a thing that the run did not make may be changed; the borrower puts it
        back.
        """
        self._borrowed[resource, id] += 1
        try:
            yield
        finally:
            self._borrowed[resource, id] -= 1

    # --- What may leave -------------------------------------------------------------------------

    def admit(self, method: str, url: str, headers: Mapping[str, str], about: About) -> None:
        """Let a request pass, or say why not.

        Raises:
            NotTested: the run is read-only, or the target file forbids to make such a thing.
            Withheld: it might change something of which it is not certain that the run made it.
        """
        parts = urlsplit(url)
        is_token_endpoint = self._is_token_endpoint(url)
        overrides = means_another_method(parts.query, headers)
        is_log_in = method == "POST" and is_token_endpoint
        if self.read_only and (
            overrides or not (method in _READ_ONLY or is_log_in or self._is_tried(method, about))
        ):
            raise NotTested(f"--read-only: {method} {parts.path} may write")
        if is_token_endpoint or (method in SAFE and not overrides):
            return
        what = f"{method} {parts.path}"
        is_clock = isinstance(about, Creation) and about.entry.resource == CLOCK
        if not (url == self._clock_url if is_clock else url.startswith(f"{self._base_url}/")):
            raise Withheld(
                f"a reason to send {what} elsewhere than to the target", "the target file"
            )
        if isinstance(about, Creation):
            self._admit_creation(what, about)
        else:
            self._admit_change(what, f"{parts.path}?{parts.query}", about)

    def _is_tried(self, method: str, about: About) -> bool:
        """Whether this belongs to what a read-only run may try all the same."""
        if not self.tries_denied or about is None:
            return False
        return (
            about.denied if isinstance(about, Creation) else method == "DELETE" and self.owns(about)
        )

    def admit_log_in(self, method: str, url: str, content: bytes, attack: str) -> LoginTrial | None:
        """Take a log-in to one of the accounts from its budget; None where the request is none.

        Raises:
            NotTested: the budget is used up.
        """
        is_log_in = method in ("POST", "GET") and self._is_token_endpoint(url)
        return self.log_ins.admit(url, content, attack) if is_log_in else None

    def _is_token_endpoint(self, url: str) -> bool:
        return url.partition("?")[0] == f"{self._base_url}{TOKEN_PATH}"

    def _admit_creation(self, what: str, creation: Creation) -> None:
        self.expect_may_make(creation.entry.resource, creation.inside)
        if not self.ledger.is_open(creation.entry):
            raise Withheld(f"an entry in the ledger for {what}", "the ledger of the run")
        if creation.inside and not self.owns(creation.inside):
            raise Withheld(
                f"a {creation.inside.resource} of the run's own to make a "
                f"{creation.entry.resource} in"
            )

    def expect_may_make(self, resource: str, inside: Thing | None = None) -> None:
        """Such a thing may be made; if it is made inside of another, that is the run's own, or can
        be.

        Raises:
            NotTested: the target file forbids it.
        """
        if not self.may_make(resource):
            raise NotTested(f"[fixtures.{resource}] create = false: a {resource} would be made")
        if inside and not self.may_make(inside.resource) and not self.owns(inside):
            raise NotTested(
                f"[fixtures.{inside.resource}] create = false: a {resource} would be made in a "
                f"{inside.resource} that was there before"
            )

    def _admit_change(self, what: str, rest: str, thing: Thing | None) -> None:
        if thing is None or not thing.id:
            raise Withheld(
                f"the id of the thing that {what} is about", "the answer that should have told it"
            )
        key = (thing.resource, thing.id)
        if not (self.owns(thing) or self._borrowed[key] > 0 or key in self._nothing):
            raise Withheld(
                f"certainty that {thing} was made by this run: {what} was not sent",
                "the answer to its creation",
            )
        if thing.in_path and not names(rest, thing.id):
            raise Withheld(
                f"the id of {thing} in the path: {what} was not sent",
                "[operations] in the target file",
            )


def means_another_method(query: str, headers: Mapping[str, str]) -> bool:
    """Whether a header field or a parameter of a request names another method than its own."""
    return any(name.lower() in _OVERRIDES for name in headers) or any(
        name == _OVERRIDE for name, _ in parse_qsl(query, keep_blank_values=True)
    )


def names(path: str, id: str) -> bool:
    """Whether an id stands in a path as a whole segment, or in its query as a whole value."""
    path, _, query = path.partition("?")
    return id in [
        unquote(segment, errors="surrogateescape") for segment in path.split("/")
    ] or id in [value for _, value in parse_qsl(query, keep_blank_values=True)]
