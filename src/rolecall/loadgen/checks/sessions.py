"""When a refusal is the server's fault: a state machine for each account, session and grant.

The specification says that the holder of the last refresh token can go on, and that a new access
token is let in. It leaves much to the server: whether a log-in ends the user's other sessions
(SEC-I18-first), what becomes of the old tokens at a refresh (AMB-08), what a second use of a
refresh token brings about (RFC 9700 4.14.2), how long a refresh token lives. A refusal proves a
fault only where nothing that the server was free to do explains it. So what is *possible* is
counted apart from what is *certain*:

* A request may have been carried out from the moment of its **sending** on. When it was answered,
  it is **over**: whatever it did, it did before. One without an answer (a lost connection, a
  timeout, 5xx, 408, 425) stays possible; `LATE` seconds later it counts as over, whether it was
  carried out or not. What was throttled (429, 423) or never left this machine did not happen.
* A **session** begins with the sending of its log-in. Each other log-in of the account that was not
  over by then, or was begun since, may have ended it. So may a refresh token of another session of
  the account that was presented twice: some servers take that for theft, and end all of the user's
  sessions.
* A **grant** (the tokens of one answer) is the last of its session until another refresh of that
  session is sent, or while one that was sent before it is not over: then its refresh token may be
  used up, and its access token revoked.
* A token lives for ``exp - iat`` seconds from when it was issued, and that was at the earliest when
  the first request was sent that may have got it. ``iat`` is in whole seconds (`GRAIN`), and clocks
  differ: for the last part of a lifetime (`MARGIN`) an access token is not certain to be let in. A
  refresh token has to live longer than its access token ("After an access token has already expired
  ..."), and nothing says how much longer: it is taken for certain for twice as long.

*What a good answer proves.* A session that was let in had not been ended by what was over when that
request was sent; so only what was not over by then, or was begun since, may have ended it. That
holds for refresh tokens after a refresh, and for access tokens after a refresh or a read. It is so
with servers that keep one session of a user, or five, or all, whichever they drop. Where it is
known that a log-in ends other sessions (``lone``) a good answer proves nothing: the end may lag
behind the log-in. And a session that has outlived the second use of another session's refresh
token, refused as such, has shown that this ends no other session here (`Harmless`).

Accounts that another process logs in as well (``shared``) give no certainty at all: its log-ins are
not seen here.
"""

from __future__ import annotations

from time import perf_counter
from typing import Literal, Protocol

from msgspec import Struct

from rolecall.loadgen.accounts import LoadAccount

#: Seconds after which a request that was never answered is not carried out any more: longer than
#: any proxy or queue waits.
LATE = 300.0
#: The part of a token's lifetime at whose end it is not certain to be alive.
MARGIN = 0.1
#: Seconds: what a token's lifetime may be shorter than its claims say, since they are in whole
#: ones.
GRAIN = 1.0

Path = Literal["GET", "POST"]


class Use(Protocol):
    """A request of a session: a log-in, a refresh, or one with an access token."""

    @property
    def may_be_refused(self) -> bool:
        """Whether there is a lawful reason why it may be refused now."""
        raise NotImplementedError

    def unanswered(self, *, left: bool) -> None:
        """Note that it got no answer; ``left`` tells whether it was sent at all."""


class Tally:
    """Requests of one kind: how many may have been carried out, and how many of these are over.

    Attributes:
        begun: sent, and not known to have had no effect.
        over: of these, answered; or lost so long ago that they are not carried out any more.
        done: of these, answered as done.
        lost: without an answer, and not over yet.
        settled: without an answer, and over.
    """

    begun = over = done = lost = settled = 0
    _lost_at = 0.0

    def begin(self) -> int:
        """Note that one is sent now; how many were over before it."""
        if self.lost:
            self.settle()
        self.begun += 1
        return self.over

    def settle(self) -> None:
        """Count lost requests as over once they are too old to be carried out."""
        if perf_counter() - self._lost_at > LATE:
            self.over += self.lost
            self.settled += self.lost
            self.lost = 0

    def end(self, *, done: bool = False) -> None:
        """Note that one was answered."""
        self.over += 1
        self.done += done

    def lose(self) -> None:
        """Note that one got no answer: it may be carried out at any time."""
        self.lost += 1
        self._lost_at = perf_counter()

    def undo(self) -> None:
        """Note that one did not happen."""
        self.begun -= 1


class Harmless:
    """What was seen to leave the other sessions of a user alone.

    Attributes:
        reuse: a refresh token that is presented a second time, and refused for that.
    """

    __slots__ = ("reuse",)

    def __init__(self) -> None:
        self.reuse = False


class Holder:
    """An account: its user, once that is known, and what may end its sessions.

    Attributes:
        mark: the bits of the fingerprint that say which user it is, in an owner of `seen_tokens`.
        prefix: what its refresh tokens begin with if they begin with the user's id.
        lone: whether a log-in is known to end the user's other sessions.
        shared: whether other processes log in as this account, too.
        unnamed: log-ins that are over and named no user.
        others: the other users whom log-ins of this account named, and how often (`owners`).
        told: wrong answers that are told, and not known to be this account's.
        refused: the status of the latest log-in that was refused before any was let in; 0 without.
    """

    __slots__ = (
        "account",
        "fingerprint",
        "harmless",
        "logins",
        "lone",
        "mark",
        "others",
        "prefix",
        "refused",
        "reuses",
        "shared",
        "told",
        "unnamed",
        "user",
    )

    def __init__(
        self, account: LoadAccount, harmless: Harmless, *, lone: bool = False, shared: bool = False
    ) -> None:
        self.account = account
        self.user = ""
        self.fingerprint = self.mark = 0
        self.prefix = "\0"
        self.lone = lone
        self.shared = shared
        self.unnamed = self.told = self.refused = 0
        self.others: dict[str, int] = {}
        self.logins = Tally()
        self.reuses = Tally()
        self.harmless = harmless

    @property
    def named(self) -> int:
        """How many of its log-ins were answered with a token, and so named a user."""
        return self.logins.over - self.logins.settled - self.unnamed


class LoginSession(Tally):
    """A log-in from its sending on; as a tally it counts the session's refreshes.

    Attributes:
        sent: when the log-in was sent (seconds of `time.perf_counter`).
    """

    #: What was over, of log-ins and of reuses, when the last request was sent.
    _sent_after: tuple[int, int] | None = None
    #: Reuses: all that were done when the last request was sent, all that were begun before the
    #: log-in was answered, its own, and those of its own that are not over.
    _done = _before = _own = _open = 0

    def __init__(
        self, holder: Holder
    ) -> None:  # as little as possible: there is one for each log-in
        self.holder = holder
        self.sent = perf_counter()
        logins = holder.logins
        if logins.lost:
            logins.settle()
        logins.begun += 1
        #: Log-ins and reuses that cannot end this session any more, as far as is known of its
        #: refresh token and of its access token.
        self._refresh = self._access = logins.over + 1, holder.reuses.over

    @property
    def may_be_refused(self) -> bool:
        """Whether a refusal of the log-in is lawful: it never is."""
        return False

    def unanswered(self, *, left: bool) -> None:
        """Note that the log-in got no answer; ``left`` tells whether it was sent at all."""
        self.holder.logins.lose() if left else self.holder.logins.undo()

    def opened(self) -> None:
        """Note that the log-in was answered as done."""
        holder = self.holder
        holder.logins.over += 1
        if holder.reuses.begun:
            self._before = holder.reuses.begun

    def use(self) -> None:
        """Note that a request of the session is sent now."""
        holder = self.holder
        self._sent_after = holder.logins.over, holder.reuses.over + self._open
        self._done = holder.reuses.done

    def let_in(self, *, refreshed: bool, read: bool) -> None:
        """Note a good answer, which showed a good refresh token, access token, or both."""
        holder = self.holder
        if refreshed and self._done > self._before + self._own:
            holder.harmless.reuse = True
        if not holder.lone and self._sent_after:
            if refreshed:
                self._refresh = self._sent_after
            if read or refreshed:  # a refresh gives a new one
                self._access = self._sent_after

    def is_ended(self, *, access: bool) -> bool:
        """Whether other requests of the account may have ended this session."""
        holder = self.holder
        logins, reuses = self._access if access else self._refresh
        return (
            holder.shared
            or holder.logins.begun > logins
            or (holder.reuses.begun > reuses and not holder.harmless.reuse)
        )

    def reuse(self) -> None:
        """Note that a refresh token is presented once more; `reused` is to follow."""
        self.holder.reuses.begin()
        self._own += 1
        self._open += 1
        self._refresh, self._access = (
            (logins, reuses + 1) for logins, reuses in (self._refresh, self._access)
        )

    def reused(self, *, answered: bool, refused: bool) -> None:
        """Note whether all was answered, and whether a second use was surely refused."""
        self._open -= 1
        self.holder.reuses.end(done=refused) if answered else self.holder.reuses.lose()


class SessionGrant(Struct, eq=False):
    """What an account holds after an answer with a token.

    A struct, since there is one for each answer, and a struct is made in half the time.

    Attributes:
        latest: how many refreshes of the session were begun, if there is none but those that led
            here.
        asked: when the first request was sent that may have got it (seconds of
            `time.perf_counter`).
        lifetime: of the access token, in seconds, by its own claims.
        sound: whether nothing was wrong with the answer. Do not go on with one that is not: it may
            be another user's.
        presented: when its refresh token first was, as far as is known; 0 if it was not.
    """

    token: str
    refresh_token: str
    user: str
    session: LoginSession
    latest: int
    asked: float
    lifetime: float
    refresh_fingerprint: int
    sound: bool
    presented: float = 0.0

    @property
    def account(self) -> LoadAccount:
        """The account that it was given to."""
        return self.session.holder.account

    @property
    def is_last(self) -> bool:
        """Whether no other refresh of the session can have come after the one that gave this."""
        return self.session.begun == self.latest

    @property
    def is_fresh(self) -> bool:
        """Whether the access token has certainly not expired by now."""
        return perf_counter() - self.asked < (self.lifetime - GRAIN) * (1 - MARGIN)

    @property
    def is_refreshable(self) -> bool:
        """Whether the refresh token has certainly not expired by now."""
        return perf_counter() - self.asked < (2 * self.lifetime - GRAIN) * (1 - MARGIN)

    @property
    def may_be_refused(self) -> bool:
        """Whether there is a lawful reason why the access token may not be let in now."""
        session = self.session
        return not (self.is_last and self.is_fresh and not session.is_ended(access=True))

    def unanswered(self, *, left: bool) -> None:
        """Note that a request got no answer, which changes nothing."""


class Refresh:
    """A refresh, from its sending on.

    Args:
        racing: whether the same refresh token is presented by others at the same moment, and
            `LoginSession.reuse` was told of it.
    """

    __slots__ = ("_is_first", "asked", "is_undone", "latest", "path", "previous")

    def __init__(self, previous: SessionGrant, path: Path, *, racing: bool = False) -> None:
        session = previous.session
        self.previous = previous
        self.path: Path = path
        self.is_undone = False  # whether it is known not to have happened
        # again, since the first time brought no answer; that one may yet come second
        if previous.presented and not racing:
            session.reuse()
            session.reused(answered=False, refused=False)
        session.use()
        self.latest = session.begin() + 1
        self._is_first = not previous.presented
        # A repeated refresh may be answered with what was issued at the first one.
        self.asked = previous.presented = previous.presented or perf_counter()

    @property
    def may_be_refused(self) -> bool:
        """Whether there is a lawful reason why this refresh may be refused now."""
        previous, session = self.previous, self.previous.session
        is_alone = session.begun == previous.latest + 1
        if not (is_alone and previous.is_refreshable) or session.is_ended(access=False):
            return True
        return self.path == "GET" and (not previous.is_fresh or session.is_ended(access=True))

    def unanswered(self, *, left: bool) -> None:
        """Note that it got no answer; ``left`` tells whether it was sent at all."""
        if left:
            self.previous.session.lose()
        else:
            self.previous.session.undo()
            self.is_undone = True
            if self._is_first:
                self.previous.presented = 0.0

    def granted(self) -> None:
        """Note that it was answered as done."""
        session = self.previous.session
        session.end()
        session.let_in(refreshed=True, read=self.path == "GET")
