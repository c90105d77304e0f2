"""The mutations of the suite, each of which must turn a case of the self-test red.

Longer than 400 lines because it is a catalogue: each mutation stands whole in one place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import cache, partial
from typing import Any

from rolecall.harness import plugin, results
from rolecall.harness.collection import requirement_of
from rolecall.harness.scheduler import ScheduledTest
from rolecall.jwt_forging import signed_by
from rolecall.outcomes import Finding, Outcome, TransientFailure
from rolecall.selftest.cases import Case
from rolecall.selftest.mutation import (
    Mutation,
    Sight,
    constant,
    constant_later,
    function,
    member,
    nothing,
    nothing_later,
)
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Dialect
from rolecall.toolkit import (
    controls,
    effect_judge,
    expectations,
    expiry,
    observed_cells,
    passwords,
    rights,
    token_judge,
    victims,
)
from rolecall.toolkit.attacker import Attacker, TargetKey
from rolecall.toolkit.consistency import ConsistencyWait
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.moves import Moved
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.token_judge import TokenJudge
from rolecall.toolkit.world import World

# --- All tests of one requirement ---------------------------------------------------------------

#: Requirements that are proven by what the tests of others were answered: those have to be run as
#: well.
_RESTS_ON = {
    "SCOPE-cascade": "PERM",
    "SEC-I14": "PERM-list",
}


def selects(requirement: str) -> str:
    """The part of the suite that proves a requirement."""
    of_all_responses = "PERM-list" if requirement.startswith("RESPONSE-") else None
    rests_on = _RESTS_ON.get(requirement, of_all_responses)
    return f"{requirement} or {rests_on}" if rests_on else requirement


def _unchecked(requirement: str) -> Callable[[], None]:
    """Let the tests of a requirement pass whatever they find."""

    def patch() -> None:
        # to break it is what this is about
        scheduled_of = plugin.ConformancePlugin._scheduled  # noqa: SLF001

        def scheduled(suite: Any, item: Any) -> ScheduledTest:
            made = scheduled_of(suite, item)
            if requirement_of(item) == requirement:
                made.call = partial(_without_findings, made.call)
            return made

        setattr(plugin.ConformancePlugin, "_scheduled", scheduled)  # noqa: B010  # as types forbid

    return patch


async def _without_findings(call: Callable[[], Any]) -> None:
    try:
        await call()
    except AssertionError:
        return


def _unchecked_requirements() -> Iterable[Mutation]:
    for id, entry in load_specification().requirements.items():
        if entry.decides:
            breaks = f"Whatever the tests of {id} find, they pass."
            yield Mutation(f"unchecked-{id}", breaks, _unchecked(id), requirement=id)


# --- Probes: servers at which something must stay undecided ------------------------------------


def _probe(name: str, *faults: str) -> Case:
    switches = tuple(word for fault in faults for word in ("--fault", fault))
    return Case(name, "probe", description=f"At once: {', '.join(faults)}.", switches=switches)


_UPDATE = "test_a_refused_write_does_nothing[update-contact-guest-token]"
NOBODY_CAN = Sight(
    _probe("no-role-updates-contacts", "flip-update-contact-bot", "flip-update-contact-admin"),
    "PERM-update-contact and guest and token",
    ((_UPDATE, "inconclusive"), ("PERM-update-contact", "inconclusive")),
)
_LIST = "test_a_refused_read_shows_nothing[list-contacts-guest-token]"
DEAD_CREDENTIAL = Sight(
    _probe("guests-may-do-nothing", "flip-fetch-user-self-guest", "flip-fetch-conversation-guest"),
    "PERM-list-contacts and guest and token",
    ((_LIST, "inconclusive"),),
)
NO_REFRESH = Sight(
    _probe("no-refresh-by-post", "post-refresh-needs-bearer"),
    "REFRESH-client",
    (("REFRESH-client", "inconclusive"),),
)
NO_DOOR = Sight(
    _probe("no-door-to-try", "flip-fetch-user-self-admin", "flip-list-services-admin"),
    "SEC-J03",
    (("SEC-J03", "inconclusive"),),
)
OPEN_ANYWAY = Sight("flip-list-users-guest", "PERM-list-users or SEC-A11")
REFERENCE = _probe("reference-in-part")
READ_ONLY = Sight(
    REFERENCE,
    "AUTH-required",
    (("AUTH-required", "not-tested"), ("verdict", "inconclusive")),
    options=("--read-only",),
)
WITHOUT_EXPIRY = Sight(
    REFERENCE,
    "",
    (("EXPIRY-403", "not-tested"), ("ISSUE-status", "passed"), ("verdict", "inconclusive")),
    without="expiry",
)
ALL_BUT_ONE = Sight(
    REFERENCE,
    "not list-users-guest-token",
    (("PERM-list-users", "passed"), ("verdict", "part-passed")),
)
WRONG_KEY = Sight(
    REFERENCE,
    "SEC-T05",
    (("SEC-T05", "not-tested"),),
    target='\n[expiry]\nsigning_key_env = "PATH"\n',
    without="expiry",
)
EMPTY_LISTS = Sight(
    Case("empty-lists-by-dialect", "probe", switches=("--fault", "denied-200-empty-list")),
    "SEC-A10 or SEC-A11 or PERM-list-users or SCOPE-cascade",
    (("SEC-A10", "passed"), ("SEC-A11", "passed"), ("PERM-list-users", "passed")),
    target='\n[dialect]\ndenied_list = "empty"\n',
)

# --- The machinery ------------------------------------------------------------------------------


def _judgements() -> Iterable[Mutation]:
    """What an answer means for one who may, or may not."""
    # Longer than 40 lines because it lists mutations.
    yield Mutation(
        "denials-unchecked",
        "A denied call may be answered in any way.",
        member(Judge, "expect_denied", nothing_later),
        (Sight("denied-401", "PERM-list-organizations"), Sight("anonymous-reads", "AUTH-required")),
    )
    yield Mutation(
        "any-refusal-will-do",
        "A denial may have any status from 400 on.",
        member(
            Dialect,
            "denies_as_specified",
            lambda self, operation, exchange, anonymous=False: exchange.status >= 400,
        ),
        (Sight("denied-404", "PERM-list-organizations"),),
    )
    yield Mutation(
        "empty-lists-allow",
        "A dialect's empty list is not taken for a denial where a test rests on one.",
        member(Dialect, "_denies_by_showing_nothing", constant(False)),
        (EMPTY_LISTS,),
    )
    yield Mutation(
        "leaks-unchecked",
        "A refusal may show what it refuses.",
        member(Judge, "_expect_no_leak", nothing),
        (Sight("denied-403-with-resource", "PERM-list-organizations and guest"),),
    )
    yield Mutation(
        "controls-skipped",
        "A refusal counts though no role was seen to succeed with the same request.",
        member(Judge, "control", nothing_later),
        (NOBODY_CAN,),
    )
    yield Mutation(
        "life-unchecked",
        "A refusal counts though the credential may be dead.",
        member(World, "alive", nothing_later),
        (DEAD_CREDENTIAL,),
    )
    yield Mutation(
        "successes-unchecked",
        "An allowed call may be answered in any way, if it has its effect.",
        member(Judge, "expect_allowed", nothing_later),
        (Sight("created-202", "PERM-create-organization"),),
    )
    yield Mutation(
        "reads-unseen",
        "An allowed read need not show the thing.",
        member(Judge, "shows", constant_later(True)),
        (
            Sight("list-is-empty", "PERM-list-organizations"),
            Sight("fetch-answers-another", "PERM-fetch-organization"),
        ),
    )
    yield Mutation(
        "key-rights-unchecked",
        "Keys of several scopes may have any rights.",
        member(Judge, "expect_rights", nothing_later),
        (Sight("key-several-scopes-are-admin", "KEY-union"),),
    )
    yield Mutation(
        "rights-above-unseen",
        "A key may do what only higher roles may.",
        function(rights.expect_no_rights_above, nothing_later),
        (Sight("key-above-its-maker", "SEC-K01"),),
    )
    yield Mutation(
        "unearned-rights-unseen",
        "A user without a role may do whatever its token opens.",
        function(rights.expect_at_most, nothing_later),
        (Sight("no-role-may-all", "SEC-E14"),),
    )
    yield Mutation(
        "new-rights-unseen",
        "What a new token opens after a change of role is not looked at.",
        member(Moved, "_expect_rights", nothing_later),
        (Sight("role-cached-until-restart", "SEC-R17"),),
    )
    yield Mutation(
        "kept-passwords-unseen",
        "No member of an answer holds what is kept of a password.",
        function(passwords.hashes_in, constant(iter(()))),
        (Sight("users-of-lists-show-the-hash", "SEC-I20 or PERM-list"),),
    )
    yield Mutation(
        "cascade-never-breaks",
        "No operation is one that a higher role was refused.",
        member(observed_cells.CredentialCells, "breaks", constant([])),
        (Sight("agent-without-lower-scopes", "SCOPE-cascade or PERM"),),
    )


def _observations() -> Iterable[Mutation]:
    """What became of a write."""
    # Longer than 40 lines because it lists mutations.
    yield Mutation(
        "effects-unchecked",
        "A write that is refused may be carried out.",
        member(Judge, "expect_no_effect", nothing_later),
        (
            Sight("denied-update-applies", "PERM-update-organization"),
            Sight("anonymous-write-applies", "AUTH-required"),
        ),
    )
    yield Mutation(
        "creates-not-looked-for",
        "What was created is in no list.",
        member(World, "find", constant_later(None)),
        (Sight("denied-create-applies", "PERM-create-organization"),),
    )
    yield Mutation(
        "updates-never-seen",
        "No document holds what was written into it.",
        member(Judge, "reads_back", constant(False)),
        (
            Sight("denied-update-applies", "PERM-update-organization and guest"),
            Sight("baseline", "PERM-update-form"),
        ),
    )
    yield Mutation(
        "updates-always-seen",
        "Every document holds what was written into it.",
        member(Judge, "reads_back", constant(True)),
        (
            Sight("update-does-nothing", "PERM-update-organization and admin"),
            Sight("baseline", "PERM-update-form"),
        ),
    )
    yield Mutation(
        "nothing-is-ever-gone",
        "What was deleted is still seen.",
        member(World, "observe", constant_later({"id": "there"})),
        (
            Sight("denied-delete-applies", "PERM-delete-organization and guest"),
            Sight("baseline", "PERM-delete-form"),
        ),
    )
    yield Mutation(
        "everything-is-gone",
        "What was not deleted is not seen.",
        member(World, "observe", constant_later(None)),
        (
            Sight("delete-does-nothing", "PERM-delete-organization and admin"),
            Sight("baseline", "PERM-delete-form"),
        ),
    )
    yield Mutation(
        "looked-at-once",
        "It is looked at once, and not a little later, whether a refused write was carried out.",
        member(effect_judge, "SETTLING", 0.0),
        (Sight("denied-delete-applies-later", "PERM-delete-organization and guest"),),
    )
    yield Mutation(
        "not-looked-for-at-the-end",
        "What was refused is not looked for once more at the end of the run.",
        member(Judge, "expect_none_later", nothing_later),
        (Sight("denied-create-applies-a-second-later"),),
    )
    yield Mutation(
        "no-patience",
        "A list that lags is looked at once and no more.",
        member(ConsistencyWait, "until", _looked_at_once),
        (Sight("lists-lag", "PERM-list-forms"),),
    )
    yield Mutation(
        "first-page-only",
        "Of a list that comes in pages only the first one is read.",
        member(World, "_next", constant("")),
        (Sight("list-limit-10", "PERM-list or PERM-create"),),
    )


async def _looked_at_once(
    patience: ConsistencyWait, look: Callable[[], Awaitable[bool]], since: float
) -> bool:
    return await look()


def _traces() -> Iterable[Mutation]:
    """What refused writes have left on a thing."""
    yield Mutation(
        "traces-unseen",
        "A thing may be changed, marked or hidden by writes that were refused.",
        function(victims.expect_untouched, nothing_later),
        (
            Sight("denied-delete-marks", "PERM-delete-organization"),
            Sight("create-writes-over", "SEC-E07"),
        ),
    )


def _token_judgements() -> Iterable[Mutation]:
    """What an answer of the token endpoint means."""
    # Longer than 40 lines because it lists mutations.
    checks = {
        "expect_issued": (
            "Good credentials may be answered with any status.",
            "login-202",
            "ISSUE-status",
        ),
        "expect_token_answer": (
            "A token answer may have any shape.",
            "login-without-scope",
            "ISSUE-fields",
        ),
        "expect_refreshed": (
            "A refresh may be answered in any way.",
            "get-refresh-omits-scope",
            "REFRESH-get",
        ),
        "expect_lifetime": ("A token may live for any time.", "lifetime-14-days", "ISSUE-lifetime"),
        "expect_works": (
            "A token may be good for nothing.",
            "refresh-gives-dead-access-token",
            "REFRESH-new-token",
        ),
        "expect_no_token": (
            "A refusal may hold a token, and be none.",
            "any-password",
            "ISSUE-refused",
        ),
        "expect_let_in": (
            "A token may be refused before its end.",
            "dies-after-an-hour",
            "EXPIRY-not-before",
        ),
        "expect_expired": (
            "An expired token may be answered in any way.",
            "expired-401",
            "EXPIRY-403",
        ),
        "expect_not_let_in": (
            "A credential that is not a token may be let in.",
            "refresh-token-as-bearer",
            "no_bearer and fetch-user-self",
        ),
    }
    for name, (breaks, fault, select) in checks.items():
        check = nothing_later if name == "expect_works" else nothing
        yield Mutation(
            f"{name}-dropped", breaks, member(TokenJudge, name, check), (Sight(fault, select),)
        )
    yield Mutation(
        "tokens-anywhere-unseen",
        "A token in a refusal is seen where tokens stand, and nowhere else.",
        member(token_judge, "_without_echo", constant("")),
        (Sight("refusals-mention-a-token", "ISSUE-refused"),),
    )
    yield Mutation(
        "refresh-controls-skipped",
        "A refresh that is refused counts though none was seen to succeed.",
        member(TokenJudge, "control_refresh", _drop),
        (NO_REFRESH,),
    )


async def _drop(self: TokenJudge, refresh: Any) -> None:
    """Let a coroutine go without awaiting it."""
    refresh.close()


def _attacks() -> Iterable[Mutation]:
    """What an attack may get at most."""
    # Longer than 40 lines because it lists mutations.
    checks: list[tuple[Callable[..., Any], str, str, str]] = [
        (
            expectations.expect_no_crash,
            "A server error is as good as a refusal.",
            "bad-json-crashes",
            "SEC-I09",
        ),
        (
            expectations.expect_no_grant,
            "An answer to a request that is not a log-in may hold a token.",
            "put-issues-tokens",
            "SEC-I16",
        ),
        (
            expectations.expect_no_more_than,
            "What is asked for besides may be granted.",
            "login-grants-scope-of-body",
            "SEC-I12",
        ),
        (
            expectations.expect_hidden,
            "A way around a denial may show the thing.",
            "trailing-slash-unguarded",
            "SEC-A11",
        ),
        (
            expectations.expect_refused,
            "A way around a denial may lead somewhere.",
            "head-unguarded",
            "SEC-A10",
        ),
    ]
    for check, breaks, fault, select in checks:
        yield Mutation(
            f"{check.__name__}-dropped", breaks, function(check, nothing), (Sight(fault, select),)
        )
    yield Mutation(
        "lifetimes-alike",
        "A token that was asked for may live for any time.",
        function(expectations.lifetime, constant(0.0)),
        (Sight("login-grants-lifetime-of-body", "SEC-I12"),),
    )
    yield Mutation(
        "usual-way-unchecked",
        "A way around a denial is judged though the usual way is open.",
        function(controls.expect_denied_as_usual, nothing_later),
        (OPEN_ANYWAY,),
    )
    yield Mutation(
        "check_rejected-dropped",
        "A forged token may open any door.",
        member(Attacker, "check_rejected", nothing),
        (Sight("accepts-alg-none", "SEC-J01"),),
    )
    yield Mutation(
        "judge_denied-dropped",
        "A token may open what its role does not.",
        member(Attacker, "judge_denied", nothing),
        (Sight("trusts-user-headers", "SEC-H09"),),
    )
    yield Mutation(
        "doors-unchecked",
        "A door counts though the real token was not seen to open it.",
        member(Dialect, "allows", constant(True)),
        (NO_DOOR,),
    )
    yield Mutation(
        "key-unchecked",
        "A token that the given key has signed is tried though such tokens are not let in.",
        member(Attacker, "target_key", _any_key),
        (WRONG_KEY,),
    )


async def _any_key(self: Attacker) -> Any:
    secret = self._world.target.expiry.signing_key.encode()  # to break it is what this is about
    return TargetKey("HS256", signed_by("HS256", secret), secret)


def _verdicts() -> Iterable[Mutation]:
    """From outcomes to a verdict."""
    # Longer than 40 lines because it lists mutations.
    ranks = results._WORST_FIRST  # noqa: SLF001  # to break it is what this is about
    yield Mutation(
        "not-tested-passes",
        "A requirement has passed if any of its tests has, whatever was not tested.",
        member(results, "_WORST_FIRST", _behind_passed(ranks, Outcome.NOT_TESTED)),
        (READ_ONLY,),
    )
    yield Mutation(
        "inconclusive-is-not-tested",
        "A test that lacks a piece of evidence is overlooked.",
        member(
            results,
            "_WORST_FIRST",
            tuple(rank for rank in ranks if rank is not Outcome.INCONCLUSIVE),
        ),
        (NOBODY_CAN,),
    )
    yield Mutation(
        "everything-is-excused",
        "A test that was not tested for any reason is excused.",
        member(
            results, "is_excused", lambda result, capability: result.outcome is Outcome.NOT_TESTED
        ),
        (WITHOUT_EXPIRY,),
    )
    yield Mutation(
        "a-part-is-the-whole",
        "A run of which a part was selected is judged like a whole one.",
        _judged_as_a_whole,
        (ALL_BUT_ONE,),
    )
    yield Mutation(
        "findings-dropped",
        "Failed tests are no findings.",
        function(results.findings, constant([])),
        (Sight("list-is-empty", "PERM-list-organizations"),),
    )
    yield Mutation(
        "trouble-accuses",
        "Passing trouble is held against the target.",
        _trouble_accuses,
        (Sight("resets-now-and-then", "PERM and contact"),),
    )
    yield Mutation(
        "nothing-was-answered",
        "The answers of the run are overlooked.",
        member(Responses, "of", constant([])),
        (Sight("dates-as-numbers", selects("RESPONSE-schema")),),
    )
    yield Mutation(
        "early-ends-unseen",
        "Tokens in their last minute are not looked at.",
        member(expiry.Expiry, "almost", constant_later([])),
        (Sight("dies-after-an-hour", "EXPIRY-not-before"),),
    )


def _behind_passed(ranks: tuple[Outcome, ...], which: Outcome) -> tuple[Outcome, ...]:
    rest = [rank for rank in ranks if rank is not which]
    rest.insert(rest.index(Outcome.PASSED) + 1, which)
    return tuple(rest)


def _judged_as_a_whole() -> None:
    judged = results.judge

    def blind(spec: Any, tests: Any, selected: bool, left: Any, aborted: str) -> results.Verdict:
        return judged(spec, tests, False, left, aborted)  # the name is in the signature

    function(judged, blind)()


def _trouble_accuses() -> None:
    def accuse(self: TransientFailure, missing: str, look_at: str = "") -> None:
        raise Finding("an answer", missing)

    setattr(TransientFailure, "__init__", accuse)  # noqa: B010  # as types forbid


@cache
def catalogue() -> dict[str, Mutation]:
    """Every mutation by its name."""
    families = (
        _judgements,
        _observations,
        _traces,
        _token_judgements,
        _attacks,
        _verdicts,
        _unchecked_requirements,
    )
    return {mutation.name: mutation for family in families for mutation in family()}
