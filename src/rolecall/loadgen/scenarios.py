"""The scenarios by name, and the making of their clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

from rolecall.loadgen.checks.sessions import SessionGrant
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.deny_scenario import TimeToDenyScenario
from rolecall.loadgen.race_scenario import RefreshRaceScenario
from rolecall.loadgen.scenario import PROFILE, AroundScenario, RefreshingScenario, Scenario


class IssuanceScenario(Scenario):
    """Log-ins, one after the other, of every account in turn."""

    name = "issuance"

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        context.logins.take_turns()

    def step(self, due: float) -> None:
        """Log in."""
        grant = self.log_in(due)
        if grant is not None:
            self.try_now_and_then(grant)


class RefreshGetScenario(RefreshingScenario):
    """Chains of refreshes before expiry: each with the tokens that the one before it gave."""

    name = "refresh-get"

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Refresh; by POST if the access token may have expired meanwhile."""
        self.refresh("GET" if grant.is_fresh else "POST", grant, due)


class RefreshPostScenario(RefreshingScenario):
    """Chains of refreshes as they are made after expiry."""

    name = "refresh-post"

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Refresh."""
        self.refresh("POST", grant, due)


#: Steps between the beginnings of two clients; it has no divisor in common with a round.
_STRIDE = 5


class SessionScenario(RefreshingScenario):
    """A client's life: log in, read what the role may read, refresh before the end, go on."""

    name = "session"
    #: Reads between two refreshes; a session of 24 hours in a few seconds.
    _READS = 8

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        # each begins elsewhere in the round of two refreshes, else all would refresh together
        self._steps = next(context.numbers) * _STRIDE % (2 * (self._READS + 1))

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Read, or refresh by both paths in turn; by POST where the token may have expired."""
        self._steps += 1
        refreshes, reads = divmod(self._steps, self._READS + 1)
        if not grant.is_fresh:
            self.refresh("POST", grant, due)
        elif not reads:
            self.refresh("POST" if refreshes % 2 else "GET", grant, due)
        elif reads % 2:
            if self.show_profile(grant, due) is False:
                self.grant = None
        else:
            lists = self.context.lists(grant.account.role)
            self.read(lists[self._steps // 2 % len(lists)] if lists else PROFILE, grant, due)

    def read(self, operation: str, grant: SessionGrant, due: float) -> None:
        """Read a list; a client whose token is lawfully refused logs in anew."""
        context = self.context
        request = context.read(operation, grant)
        response = self.read_with(grant, operation, request, due)
        if response is None:
            return
        context.allowed(operation, grant, response, request)
        if response.status in context.lost_token and grant.may_be_refused:
            self.grant = None


class GuardedScenario(AroundScenario):
    """Any other scenario, while now and then a cell of the permission table is tried."""

    name = "guarded"
    #: Of so many steps one is a cell.
    _ONE_IN = 5

    @staticmethod
    def get_ready(context: ClientContext) -> None:
        """Find out which cells can be tried."""
        _ = context.sampling

    def __init__(self, context: ClientContext, inner: Scenario) -> None:
        super().__init__(context, inner)
        self._steps = 0

    def step(self, due: float) -> None:
        """A step of the other scenario, or a cell."""
        self._steps += 1
        if self._steps % self._ONE_IN:
            super().step(due)
            return
        guesses = self.context.sampling.guesses
        if guess := guesses.next():
            any_answer = (*self.context.dialect.issued, *guesses.refusals)
            self.call("POST", "issue (before a guess)", guesses.right, due, any_answer)
            due = perf_counter()
            given = self.call("POST", "without a good password", guess, due, guesses.refusals)
            if given is not None:
                guesses.look(guess, given)
            return
        probe = self.context.sampling.next()
        while probe is not None:
            answer = self.call("any", probe.row, probe.request, due, probe.expected, probe.use)
            due = perf_counter()
            probe = self.context.sampling.look(probe, answer) if answer is not None else None


SCENARIOS: Mapping[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        IssuanceScenario,
        RefreshGetScenario,
        RefreshPostScenario,
        RefreshRaceScenario,
        SessionScenario,
    )
}
#: Those that go beside another one (``--guarding``).
AROUND: Mapping[str, type[AroundScenario]] = {
    scenario.name: scenario for scenario in (GuardedScenario, TimeToDenyScenario)
}
MIXED = "mixed"
NAMES = (*SCENARIOS, *AROUND, MIXED)
#: What ``mixed`` is made of by default: a service whose clients come, read, and refresh as
#: often as they need to.
USUAL_WEIGHTS = {"issuance": 1, "refresh-get": 2, "refresh-post": 1, "session": 6}


def user_class_name(scenario: str) -> str:
    """The name of a scenario's user class in the locustfile: ``refresh-get`` is RefreshGet."""
    return scenario.title().replace("-", "")


def describe(scenario: str) -> str:
    """What a scenario does, in a sentence."""
    if scenario == MIXED:
        return "Clients of several scenarios, by --weights."
    return {**SCENARIOS, **AROUND}[scenario].__doc__ or ""


def maker(
    name: str,
    context: ClientContext,
    weights: Mapping[str, int],
    guarding: str = IssuanceScenario.name,
) -> Callable[[], Scenario]:
    """What makes the clients of a scenario; those of ``mixed`` are shared out by weight, evenly.

    What goes beside another scenario is prepared first, which takes some seconds: ``guarded`` finds
    out which cells can be tried.
    """
    if name in AROUND:
        around, inner = AROUND[name], maker(guarding, context, weights)
        around.get_ready(context)
        return lambda: around(context, inner())
    if name != MIXED:
        return lambda: SCENARIOS[name](context)
    total = sum(weights.values())
    owed = dict.fromkeys(weights, 0)

    def make() -> Scenario:
        for scenario, weight in weights.items():
            owed[scenario] += weight
        most = max(owed, key=lambda scenario: owed[scenario])
        owed[most] -= total
        return SCENARIOS[most](context)

    return make
