"""Races: several clients refresh with one token at the same time; which outcomes are lawful.

A race is one refresh token with all the calls that present it: when each was invoked and when it
returned, what came of it, and whether what was given out worked afterwards. The specification says
that the new tokens "should be used" and not what becomes of the old one (AMB-08). So a server has a
*policy*, its own but always the same: for how long after its first use a refresh token goes on
being good.

* not at all: exactly one call wins (rotation, RFC 9700 4.14.2);
* for ever: all win, whether they are given new refresh tokens or the old one again;
* for a while: calls within a grace window win, later ones are refused.

A history is explained by a policy if every call can be given an instant between its invocation and
its return at which, carried out one after the other, the calls have their outcomes:
linearizability, of a register so simple that it comes down to comparing the extremes. A call
without an answer (or with a 5xx) may have been carried out at any time from its invocation on, or
never. A call that was throttled was not carried out. One policy must explain all races of a run:
a server does not change its mind.

Two of ten simultaneous calls that win are explained by a window of some milliseconds. No server
declares one shorter than `LEAST_WINDOW`, so shorter ones explain nothing: it is how a check of a
token that is not atomic with its use looks from outside, and how processes look that tell each
other of a use a moment late. No sentence of the specification says that a refresh token is good
once, or equally often at all times (SEC-R11, of level hardening). So a **mixture** is advice, and
decides nothing.

What decides is what takes from a user what the specification promises. *Somebody has to win*: "we
can create new access tokens by using the refresh token". Where all were refused, and the refresh
token is good afterwards, nothing is lost, and that is a mixture as well; where it is not, a good
refresh token never brought anything. *Nobody is given another user's tokens.*

*By GET* a refresh presents the access token as well, and a server may revoke that when the first of
them has won (AMB-08). So a refusal by GET says that there was a first use, and not that a window
had an end.

*Winners have to be alive*: the tokens of a refresh "should be used in future API calls". But a
server may take a second use for theft and end the token family (RFC 9700 4.14.2): then what the
winner was given dies with it, rightly, also where more than one had won until then. So a dead
winner is excused where that can have happened: a call was refused, or may have been. It is not
where none was. And a server may revoke the session's older access tokens at each refresh: a
dead access token is excused where another winner's is alive, or may be. A call without an answer
may have come late, or last, and so excuses both.

*One call has to win*, unless a call without an answer may have. *No call gets another user's
tokens*, under any policy.

What was done to the account besides, a log-in above all, may have ended the session during a race
(`sessions`). Of such a race, which is not ``certain``, refusals and dead tokens say nothing; what
was granted still does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from rolecall.loadgen.checks.sessions import Path
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.transport.wire import Response

#: Seconds; the shortest grace window that is taken for a server's intention.
LEAST_WINDOW = 1.0
#: Statuses of a server that is not up to it just now, which may have been carried out, and of one
#: that turned the request away.
_PASSING, _TURNED_AWAY = frozenset({408, 425}), frozenset({423, 429})

CallOutcome = Literal["granted", "refused", "unknown", "throttled"]


def outcome_of(status: int | None) -> CallOutcome:
    """What an answer's status says of the refresh; None stands for no answer."""
    if status is None or status >= 500 or status in _PASSING:
        return "unknown"
    if status in _TURNED_AWAY:
        return "throttled"
    return "granted" if 200 <= status < 300 else "refused"


def outcome_of_answer(answer: Response) -> CallOutcome:
    """The same of an answer: a refusal that is a web page, or a redirect, says as little as 5xx. It
    is of somebody before the server, such as a firewall that has had enough of one address.
    """
    outcome = outcome_of(answer.status)
    return "unknown" if outcome == "refused" and answer.is_foreign else outcome


@dataclass(frozen=True)
class RaceCall:
    """One refresh of a race; times in seconds of one clock.

    Attributes:
        user: whose tokens it was given, empty if it was not.
        token_works: whether the access token was let in after the race; None if that was not found
            out.
        refresh_token_works: the same of the refresh token. One that several calls were given is
            tried once, for all of them.
    """

    invoked: float
    returned: float
    outcome: CallOutcome
    user: str = ""
    token_works: bool | None = None
    refresh_token_works: bool | None = None

    @property
    def is_dead(self) -> bool:
        """Whether something that it was given does not work."""
        return self.token_works is False or self.refresh_token_works is False


@dataclass(frozen=True)
class Race:
    """A refresh token of ``user``, and all calls that presented it.

    Attributes:
        path: how it was presented: by GET, with an access token, or by POST.
        certain: whether nothing else can have ended the session, nor its tokens have expired.
        is_good_after: whether the refresh token was good after a race that nobody won; None where
            that is not known.
    """

    user: str
    calls: tuple[RaceCall, ...]
    path: Path = "POST"
    certain: bool = True
    is_good_after: bool | None = None

    def having(self, *outcomes: CallOutcome) -> list[RaceCall]:
        """The calls with one of these outcomes."""
        return [call for call in self.calls if call.outcome in outcomes]

    def __str__(self) -> str:
        """The history, a line for each call in the order of their invocations."""
        start = min((call.invoked for call in self.calls), default=0.0)
        lines = (
            f"{1000 * (call.invoked - start):9.2f} to {1000 * (call.returned - start):9.2f}  "
            f"{_described(call, self)}"
            for call in sorted(self.calls, key=lambda call: call.invoked)
        )
        what = (
            f"refreshes by {self.path} with one token of user {self.user}, in milliseconds "
            "from the first"
        )
        return "\n".join(
            (
                f"{what}{'' if self.certain else '; the session may have been ended meanwhile'}:",
                *lines,
            )
        )


def _described(call: RaceCall, race: Race) -> str:
    works = {True: "works", False: "is dead"}
    words: list[str] = [call.outcome]
    if call.user and call.user != race.user:
        words.append(f"tokens of user {call.user}")
    for what, state in (
        ("access token", call.token_works),
        ("refresh token", call.refresh_token_works),
    ):
        if state is not None:
            words.append(f"{what} {works[state]}")
    return ", ".join(words)


@dataclass(frozen=True)
class Policies:
    """The policies that explain something: a single use, and windows of so many seconds."""

    single_use: bool = True
    shortest: float = LEAST_WINDOW
    longest: float = inf

    def __bool__(self) -> bool:
        return self.single_use or self.has_window

    @property
    def has_window(self) -> bool:
        """Whether there is a window among them, be it for ever."""
        return self.shortest <= self.longest

    def __and__(self, other: Policies) -> Policies:
        return Policies(
            self.single_use and other.single_use,
            max(self.shortest, other.shortest),
            min(self.longest, other.longest),
        )

    def __str__(self) -> str:
        windows = []
        if self.has_window:
            windows.append(
                "all win"
                if self.longest == inf
                else f"a grace window of at most {self.longest:.1f} s"
            )
        return " or ".join(["one winner"] * self.single_use + windows) or "no policy"


def explanations(race: Race) -> Policies:
    """The policies that explain a race."""
    granted, unknown = race.having("granted"), race.having("unknown")
    refused = race.having("refused") if race.certain else []
    # the earliest that a first use can have been
    first = min((call.invoked for call in granted + unknown), default=inf)
    # the latest that the first refusal can have been
    heard = min((call.returned for call in refused), default=inf)
    if not refused:
        return Policies(len(granted) <= 1, max(LEAST_WINDOW, _spread(granted)))
    if first > heard or any(call.invoked > heard for call in granted):
        # refused before anybody can have used it, and granted to somebody afterwards
        return Policies(False, longest=-inf)
    longest = inf if race.path == "GET" else heard - first
    return Policies(len(granted) <= 1, max(LEAST_WINDOW, _spread(granted)), longest)


def _spread(granted: list[RaceCall]) -> float:
    """Seconds that were surely between the first and the last of these."""
    if not granted:
        return 0.0
    return max(call.invoked for call in granted) - min(call.returned for call in granted)


def wrong(race: Race, explained: Policies) -> Iterator[tuple[str, str]]:
    """What is wrong with a race that these policies explain, as kind and message."""
    granted, refused = race.having("granted"), race.having("refused")
    strangers = {call.user for call in granted if call.user not in ("", race.user)}
    if strangers:
        yield (
            "race-other-user",
            (
                f"a race for a token of user {race.user} handed out tokens of user "
                f"{', '.join(sorted(strangers))}"
            ),
        )
    if is_lost(race, explained):
        if race.is_good_after is False:
            after, kind = "and so was a later one", "race-without-winner"
        else:
            after, kind = "and a later one was granted", "race-mixture"
            if race.is_good_after is None:
                after = "and a later one had no answer that tells more"
        yield kind, f"all {len(refused)} refreshes with one good token were refused, {after}"
    elif not explained:
        yield (
            "race-mixture",
            f"{len(granted)} of {len(race.calls)} won, and no policy explains which",
        )
    # Another user's tokens may well be dead in the hands of this one.
    dead = [call for call in granted if call.is_dead and call.user in ("", race.user)]
    if not all(_is_excused(call, race) for call in dead):
        yield (
            "race-winner-dead",
            f"{len(dead)} of {len(granted)} winners were given what does not work",
        )


def is_lost(race: Race, explained: Policies) -> bool:
    """Whether everybody was refused what was good, and nobody can have had it."""
    return bool(race.having("refused")) and not race.having("granted") and not explained


def _is_excused(dead: RaceCall, race: Race) -> bool:
    """Whether a winner's tokens may be dead: ended with their family, or by a later refresh."""
    if not race.certain or race.having("unknown"):
        return True
    if dead.refresh_token_works is not True and race.having("refused"):
        return True  # a call came too late, as a thief would
    is_access_token_alone = dead.refresh_token_works is not False
    return is_access_token_alone and any(
        call.token_works is not False for call in race.having("granted")
    )


class Races:
    """Judges races as they come, and keeps of all of them what one policy for all has to explain.

    Attributes:
        policies: what explains every race up to now, of those that can be explained at all.
        races: how many there were, by the number of winners.
    """

    def __init__(self, violations: Violations) -> None:
        self.policies = Policies()
        self.races: Counter[int] = Counter()
        self._violations = violations
        self._witnesses: dict[str, str] = {}  # what narrowed the policies, and how
        self._untold: Counter[int] = Counter()
        self._is_split = False  # whether workers were found to contradict each other

    def judge(self, race: Race) -> None:
        """Look at one race, and report what is wrong with it."""
        winners = len(race.having("granted"))
        self.races[winners] += 1
        self._untold[winners] += 1
        explained = explanations(race)
        for kind, message in wrong(race, explained):
            self._violations.report(kind, message, history=str(race))
        if explained and not self._narrow(explained, str(race)):
            message = f"this race was decided by {explained}, others by {self.policies}"
            self._violations.report("race-mixture", message, history=self._against(str(race)))

    def _narrow(self, explained: Policies, history: str) -> bool:
        """Keep the policies that explain this as well; False, and no change, without any."""
        both = self.policies & explained
        if not both:
            return False
        for field in ("single_use", "shortest", "longest"):
            if getattr(both, field) != getattr(self.policies, field):
                self._witnesses[field] = history
        self.policies = both
        return True

    def _against(self, history: str) -> str:
        return "\n\n".join((history, "and before that", *dict.fromkeys(self._witnesses.values())))

    def take(self) -> dict[str, Any]:
        """The policies left, with their witnesses, and the races since the last call."""
        races, self._untold = self._untold, Counter()
        return {
            "policies": [self.policies.single_use, self.policies.shortest, self.policies.longest],
            "witnesses": dict(self._witnesses),
            "races": list(races.items()),
        }

    def merge(self, delta: Mapping[str, Any]) -> None:
        """Add what a worker has told; a contradiction between workers is reported once."""
        self.races.update(dict(delta["races"]))
        theirs = Policies(*delta["policies"])
        history = "\n\n".join(dict.fromkeys(delta["witnesses"].values()))
        if not self._narrow(theirs, history) and not self._is_split:
            self._is_split = True
            message = f"races of one worker were decided by {theirs}, others by {self.policies}"
            self._violations.report("race-mixture", message, history=self._against(history))
