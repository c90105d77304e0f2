"""Each rule for answers with tokens: an answer that breaks it, and a legal one that does not.

Longer than 400 lines because every rule is tried with good and bad answers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks import invariants as checks
from rolecall.loadgen.checks import sessions
from rolecall.loadgen.checks.across_workers import AcrossWorkers
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.seen_tokens import PLACES
from rolecall.loadgen.checks.sessions import Path, SessionGrant
from rolecall.loadgen.checks.token_answer import jwt_segment, token_answer
from rolecall.loadgen.checks.violations import Violations, decide
from rolecall.loadgen.transport.wire import Response
from rolecall.reference.faults import FAULTS
from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.variants import VARIANTS
from rolecall.schema_validation import validation_errors
from rolecall.spec.ids import in_path
from tests.reference.asking import QUICK, Api, tell, with_api
from tests.reference.test_variants import ON_THE_WIRE
from tests.support.token_answers import (
    ADA,
    BEA,
    DAY,
    LOGIN,
    OTHER,
    USER,
    answer,
    claims,
    document,
    found,
    jwt,
    looking,
    segment,
)

#: It closes connections below the feet of a client: `test_http` and the self-test have it.
_OTHERS = {"closes-without-saying"}
LEGAL = [
    variant.name
    for variant in VARIANTS.values()
    if variant.kind == "legal" and variant.name not in _OTHERS
]


def asked(
    invariants: Invariants,
    response: Response,
    previous: SessionGrant | None = None,
    account: LoadAccount = ADA,
    path: Path = "POST",
) -> SessionGrant | None:
    """What a log-in, or a refresh, that is answered so gives."""
    if previous is None:
        return invariants.logged_in(invariants.log_in(account), response, LOGIN)
    return invariants.refreshed(invariants.refresh(previous, path), response, LOGIN)


def granted(
    invariants: Invariants,
    body: Any = None,
    previous: SessionGrant | None = None,
    account: LoadAccount = ADA,
) -> SessionGrant:
    """The grant of an answer that gives one."""
    grant = asked(invariants, answer(body), previous, account)
    assert grant is not None
    return grant


# --- Shape -------------------------------------------------------------------------------------

#: What may stand in a token answer in place of what should.
VALUES: list[Any] = [..., None, "", "x", "Bearer", "bearer", 0, 1.5, True, [], ["x"], {}, {"x": 1}]
MEMBERS = (
    "tokenType",
    "token",
    "refreshToken",
    "user",
    "scope",
    "organization",
    "expiresAt",
    "more",
)
CORPUS = [document(), None, [], [document()], "Bearer", 1, True, {}] + [
    document(**{member: value}) for member in MEMBERS for value in VALUES
]


def test_the_shape_is_that_of_the_schema() -> None:
    """The quick look at an answer and schemas/token.schema.json say the same of every document:
    good ones and bad ones.
    """
    verdicts = [token_answer(document) is not None for document in CORPUS]

    assert verdicts == [not validation_errors("token", document) for document in CORPUS]
    assert 20 < sum(verdicts) < len(verdicts) - 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<h1>Hello</h1>",
        json.dumps(document()).encode() + b"}",
        b"\xff",
        json.dumps(document()).encode()[:-1] + b',"more":"\xff"}',
        b"[" * 100_000,
        b'{"token":"x"}',
    ],
    ids=[
        "empty",
        "torn",
        "html",
        "more-behind",
        "no-text",
        "no-text-in-a-member",
        "deep",
        "a-member-alone",
    ],
)
def test_what_is_no_token_answer(body: bytes) -> None:
    """A success without a valid token answer is a violation, and gives no grant."""
    invariants = looking()

    assert asked(invariants, answer(body)) is None
    assert found(invariants) == {"shape": 1}


@pytest.mark.parametrize(
    "write",
    [
        lambda document: json.dumps(document, indent=2).encode() + b"\n",
        lambda document: b" \n" + json.dumps(document).encode(),
        lambda document: b"\xef\xbb\xbf" + json.dumps(document).encode(),
        lambda document: json.dumps(document).encode("utf-16"),
        lambda document: json.dumps(document | {"name": "\ud800"}).encode(),
        lambda document: json.dumps(document | {"name": "\u00fc"}, ensure_ascii=False).encode(),
        lambda document: json.dumps(
            dict(reversed(document.items())) | {"expiresAt": None}
        ).encode(),
    ],
    ids=[
        "indented",
        "space-in-front",
        "byte-order-mark",
        "utf-16",
        "half-a-pair",
        "umlaut",
        "other-order",
    ],
)
def test_json_may_be_written_in_many_ways(write: Callable[[Any], bytes]) -> None:
    """White space, encodings, escapes, order and further members do not matter."""
    invariants = looking()

    assert granted(invariants, write(document())).sound
    assert found(invariants) == {}


def test_statuses_are_those_of_the_dialect() -> None:
    """A token with another success status is a violation, unless a reading has that status."""
    invariants = looking()

    assert asked(invariants, answer(status=201))
    assert found(invariants) == {"status": 1}


#: Claims that are all there, and one that nobody asks for and is no text.
NO_TEXT_IN_A_CLAIM = (
    urlsafe_b64encode(json.dumps(claims()).encode()[:-1] + b',"more":"\xff"}').rstrip(b"=").decode()
)

# --- The JWT -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "94c70d470e391bdc16a8d8363b5d4891",
        jwt(claims(iat=...)),
        jwt(claims(exp=...)),
        jwt(claims(exp="tomorrow")),
        jwt(claims(exp=True)),
        jwt(claims(_id=...)),
        jwt(claims(_id=[7])),
        jwt(claims(), signature=""),
        jwt(claims(), header={"alg": "none"}),
        jwt(claims(), header={"alg": "NoNe"}),
        jwt(claims(), header={"typ": "JWT"}),
        jwt(claims(), header=["HS256"]),
        jwt(["claims"]),  # type: ignore[arg-type]  # wrong on purpose
        jwt(claims()).rpartition(".")[0],
        f"{jwt(claims())}.more",
        f"{jwt(claims())}=",
        f"{jwt(claims())} ",
        f"{jwt(claims())}\n",
        jwt(claims()).replace(".", "=.", 1),
        jwt(claims()).replace("c2lnbmF0dXJl", "c2ln!!F0dXJl"),
        jwt(claims()).replace("c2lnbmF0dXJl", "c2lnb"),
        jwt(claims(), signature="a+/b"),
        jwt(claims(), signature="%%%"),
        "!!".join(jwt(claims()).rsplit("I", 1)),
        jwt(claims(), header={"alg": [[]]}),
        jwt(claims(exp=10**400)),
        jwt(claims(), header={"alg": 256}),
        f"{segment({'alg': 'HS256'})}.\u00fc\u00fc.x",
        f"{segment({'alg': 'HS256'})}.A.x",
        f"\u00fc.{segment(claims())}.x",
        "\ud800.\ud800.\ud800",
        "..",
        f"{segment({'alg': 'HS256'})}.{NO_TEXT_IN_A_CLAIM}.c2ln",
    ],
)
def test_what_is_no_signed_jwt(token: str) -> None:
    """A token that is not a signed JWT with a user, iat and exp is a violation."""
    invariants = looking()

    assert asked(invariants, answer(document(token=token))) is None
    assert found(invariants) == {"jwt": 1}


def test_times_may_have_fractions() -> None:
    """A NumericDate with a fraction of a second is one (RFC 7519 2)."""
    invariants = looking()

    assert asked(invariants, answer(document(token=jwt(claims(iat=1_700_000_000.5)))))
    assert found(invariants) == {}


@pytest.mark.parametrize("length", range(12))
def test_a_part_of_any_length_is_read(length: int) -> None:
    """Base64url without padding is read at any length."""
    assert jwt_segment(segment("x" * length)) == "x" * length


def test_what_is_no_base64url_is_not_read() -> None:
    """One character that does not belong there, in any place of a part of any length, and it is
    none: padding above all.
    """
    for length in range(12):
        part = segment("x" * length)
        for place in range(len(part) + 1):
            for alien in "=+/ \n!.é":
                assert jwt_segment(part[:place] + alien + part[place:]) is None
        assert jwt_segment(part + "==") is None


def test_the_letters_of_base64url_are_read() -> None:
    """Where the encoded text has - and _, it is decoded as base64url."""
    assert jwt_segment("eyJhIjoiPz8_In0") == {"a": "???"}
    assert jwt_segment("eyJhIjoifn5-In0") == {"a": "~~~"}
    assert jwt_segment("eyJhIjoiPz8/In0") is jwt_segment("eyJhIjoifn5+In0") is None


# --- Whose it is -------------------------------------------------------------------------------


def test_a_login_gives_the_same_user_every_time() -> None:
    """An answer with another user than the account's known one is a violation."""
    invariants = looking()
    assert granted(invariants).sound
    assert granted(invariants).sound

    other = granted(invariants, document(OTHER))

    assert not other.sound
    assert found(invariants) == {"another-user": 1}


def test_two_accounts_are_two_users() -> None:
    """An account whose first answer is another account's user is noticed at once, though nothing
    was known of it.
    """
    invariants = looking()
    granted(invariants)

    granted(invariants, account=BEA)

    assert found(invariants) == {"another-user": 1}


def test_a_user_who_is_known_beforehand() -> None:
    """An account that says who its user is needs no first answer."""
    invariants = looking()

    granted(invariants, account=LoadAccount("ada@example.org", "x", "agent", user=OTHER))

    assert "another-user" in found(invariants)


def test_a_refresh_keeps_the_user() -> None:
    """A refresh that answers with another user's token is a violation of its own kind."""
    invariants = looking()
    first = granted(invariants)

    granted(invariants, document(OTHER, refreshToken=f"{USER}.1"), first)

    assert found(invariants) == {"refreshed-another-user": 1}


def test_answer_and_jwt_name_one_user() -> None:
    """An answer whose user is not the JWT's is a violation."""
    invariants = looking()
    granted(invariants)

    granted(invariants, document(OTHER, of=claims(), refreshToken=f"{USER}.1"))

    assert found(invariants) == {"user-mismatch": 1}


@pytest.mark.parametrize(
    ("refresh_token", "kind"),
    [
        (f"{USER}.0", ""),
        ("b3BhcXVl", ""),
        ("7.secret", ""),
        (jwt(claims("session-of-somebody-0001", grant_type="refresh_token")), ""),
        ("session-1.secret", ""),
        (jwt(claims(grant_type="refresh_token")), ""),
        (f"{OTHER}.0", "another-user"),
        (jwt(claims(OTHER, grant_type="refresh_token")), "another-user"),
        (f"{'0' * 24}.0", "another-user"),
    ],
    ids=[
        "own",
        "opaque",
        "short-id",
        "jwt-of-something",
        "in-two-parts",
        "jwt",
        "of-a-known-user",
        "jwt-of-another",
        "of-an-unknown-user",
    ],
)
def test_a_refresh_token_is_its_users_if_it_says_whose_it_is(refresh_token: str, kind: str) -> None:
    """A refresh token that begins with another user's id, or is a JWT of another user, is one;
    other forms say nothing.
    """
    invariants = looking()
    granted(invariants)
    granted(invariants, document(OTHER), account=BEA)

    granted(invariants, document(refreshToken=refresh_token))

    assert found(invariants) == ({kind: 1} if kind else {})


def test_ids_in_refresh_tokens_may_be_those_of_sessions() -> None:
    """Where refresh tokens never began with the user's id, what they begin with is something
    else's.
    """
    invariants = looking()

    for number in range(3):
        assert granted(invariants, document(refreshToken=f"{number:024x}.secret")).sound

    assert found(invariants) == {}


# --- What it says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "claimed"),
    [("agent", "agent"), ("guest agent", "guest agent"), ("agent", "guest agent")],
)
def test_the_scope_is_the_role_alone_or_with_the_lower_ones(scope: str, claimed: str) -> None:
    """The role's name, or all names up to it, in the answer and in the JWT, each in its own way."""
    invariants = looking()

    assert granted(invariants, document(of=claims(scope=claimed), scope=scope)).sound


@pytest.mark.parametrize(
    ("scope", "claimed"),
    [
        ("admin", "admin"),
        ("agent", "admin"),
        ("admin", "agent"),
        ("agent", ["agent"]),
        ("agent", None),
        ("agent", "agent bot"),
    ],
)
def test_another_scope_is_a_violation(scope: str, claimed: Any) -> None:
    """A scope that is not the role's, in either place, is a violation of issuance, and of
    refreshing when it comes then.
    """
    invariants = looking()
    first = granted(invariants)

    granted(invariants, document(of=claims(scope=claimed), scope=scope))
    granted(invariants, document(of=claims(scope=claimed), scope=scope), first)

    assert found(invariants) == {"scope": 1, "refreshed-scope": 1}


@pytest.mark.parametrize(
    ("lifetime", "kinds"),
    [
        (DAY, {}),
        (DAY - 60, {}),
        (DAY + 60, {}),
        (DAY - 61, {"lifetime": 1}),
        (1209600, {"lifetime": 1}),
    ],
)
def test_a_token_lives_24_hours(lifetime: int, kinds: dict[str, int]) -> None:
    """A lifetime that is off by more than a minute is a violation."""
    invariants = looking()

    granted(invariants, document(of=claims(exp=1_700_000_000 + lifetime)))

    assert found(invariants) == kinds


# --- What may come twice -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("iat", "exp"),
    [(0, 10**400), (10**400, 0), (-(10**4299), 10**4299)],
    ids=["exp", "iat", "both"],
)
def test_a_time_beyond_all_measure_is_none(iat: int, exp: int) -> None:
    """Numbers of hundreds of digits are JSON, and no instants: they break the promise, and not the
    run; no report repeats them.
    """
    invariants = looking()

    assert (
        asked(invariants, answer(json.dumps(document(USER, claims(iat=iat, exp=exp))).encode()))
        is None
    )
    assert found(invariants) == {"jwt": 1}
    assert len(invariants.violations.samples[0].message) < 60


def test_a_jti_comes_once() -> None:
    """Two log-ins with one jti are worth advice, though the tokens differ."""
    invariants = looking()

    granted(invariants, document(of=claims(jti="the same")))
    granted(
        invariants, document(of=claims(jti="the same", iat=1_700_000_001, exp=1_700_000_001 + DAY))
    )

    assert found(invariants) == {"session-repeated": 1}
    assert invariants.violations.total == 0


def test_a_user_may_have_one_jti_for_all_tokens() -> None:
    """Some servers give every token of a user the same jti, and revoke them by it: its sessions go
    on, and nothing is a violation, also where a second has one token.
    """
    invariants = looking()
    grant = granted(invariants, document(of=claims(jti="Ada's")))
    for second in (0, 0, 1, 2):
        token = claims(jti="Ada's", iat=1_700_000_000 + second, exp=1_700_000_000 + second + DAY)
        granted(invariants, document(of=token))
        grant = granted(invariants, document(of=token), grant)

    assert invariants.violations.total == 0
    assert grant.sound


def test_without_a_jti_a_second_has_one_token() -> None:
    """Two log-ins, or a log-in and a refresh, in one second give the same token rightly if it has
    no jti.
    """
    invariants = looking()
    first = granted(invariants, document(of=claims(jti=...)))

    granted(invariants, document(of=claims(jti=...)))
    granted(invariants, document(of=claims(jti=...)), first)

    assert found(invariants) == {}


def at_once(monkeypatch: pytest.MonkeyPatch, *moments: float) -> Callable[[], None]:
    """A clock that shows these moments in turn; what is returned goes on to the next."""
    left = list(moments)
    for module in (checks, sessions):
        monkeypatch.setattr(module, "perf_counter", lambda: left[0])
    return lambda: left.__delitem__(0)


def of_second(second: int, **changes: Any) -> dict[str, Any]:
    """A token without jti, issued in this second."""
    return claims(jti=..., iat=1_700_000_000 + second, exp=1_700_000_000 + second + DAY, **changes)


@pytest.mark.parametrize(
    ("refreshes", "kind"), [(False, "session-repeated"), (True, "token-repeated")]
)
@pytest.mark.parametrize(("later", "times"), [(0.9, 0), (3.0, 1), (3600.0, 1)])
def test_without_a_jti_a_token_is_not_given_out_later_again(
    later: float, times: int, refreshes: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the second in which it is asked for may be one that is known; one of a second long
    gone was not issued now (B17): "the new access token" of a refresh has to be, and that of a
    log-in is advised to be.
    """
    go_on = at_once(monkeypatch, 0.05, 0.05 + later)
    invariants = looking()
    first = granted(invariants, document(of=of_second(0)))
    go_on()

    granted(invariants, document(of=of_second(0)), first if refreshes else None)

    assert found(invariants) == ({kind: times} if times else {})


def test_what_is_left_of_a_token_that_a_log_in_gives_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It lives for as long as its exp says, and not for its lifetime from now on."""
    go_on = at_once(monkeypatch, 0.05, 3600.05)
    invariants = looking()
    body = of_second(0) | {"jti": "one"}
    granted(invariants, document(of=body))
    go_on()

    again = granted(invariants, document(of=body))

    assert again.sound
    assert DAY - 3602 <= again.lifetime <= DAY - 3598


def test_a_repeated_refresh_may_be_answered_late_as_the_first_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the first answer was lost, the second may hold what was issued at the first try."""
    go_on = at_once(monkeypatch, 0.05, 20.0)
    invariants = looking()
    first = granted(invariants, document(of=of_second(0)))
    invariants.refresh(first, "POST").unanswered(left=True)
    go_on()

    granted(invariants, document(of=of_second(0)), first)

    assert found(invariants) == {}


def test_servers_with_several_clocks_are_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of two machines is five seconds behind the other, it issues now what the other one
    has issued before.
    """
    go_on = at_once(monkeypatch, *(number / 2 + 0.05 for number in range(60)))
    invariants = looking()
    for number in range(59):
        granted(invariants, document(of=of_second(number // 2 - 5 * (number % 2))))
        go_on()

    assert found(invariants) == {}


def test_one_user_of_two_workers_accounts() -> None:
    """One user of two workers' accounts is found; one account of both workers is lawful (B17)."""
    violations = Violations()
    master = AcrossWorkers(violations, places=2**16)
    first, second, third = (looking(tells=True) for _ in range(3))

    granted(first)
    granted(second)
    master.merge(first.take())
    master.merge(second.take())
    assert violations.counts == {}

    granted(third, account=BEA)
    master.merge(third.take())
    assert violations.counts == {"another-user": 1}


def test_short_ids_are_met_by_coincidence() -> None:
    """Where ids are numbers, a refresh token that begins with a number names no user (B17)."""
    invariants = looking()
    accounts = [LoadAccount(f"user-{number}@example.org", "x", "agent") for number in range(1, 20)]
    fronts = (f"{session % 19 + 1}.secret-{session}" for session in itertools.count())
    for _ in range(3):
        for number, account in enumerate(accounts, 1):
            grant = granted(
                invariants, document(str(number), refreshToken=next(fronts)), account=account
            )
            granted(invariants, document(str(number), refreshToken=next(fronts)), grant)

    assert found(invariants) == {}


def test_a_token_of_two_users_is_a_violation_in_any_case() -> None:
    """Also a token without jti is never another user's."""
    invariants = looking()
    granted(invariants, document(of=claims(jti=...)))
    granted(invariants, document(OTHER), account=BEA)

    granted(invariants, document(OTHER, of=claims(jti=...)), account=BEA)

    assert found(invariants) == {"another-user": 1, "session-repeated": 1}


def test_a_refresh_gives_a_new_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old token again, where it has a jti, is a violation; also if the server does not rotate
    refresh tokens.
    """
    go_on = at_once(monkeypatch, 0.05, 3.05, 6.05)
    invariants = looking()
    body = document()
    first = granted(invariants, body)
    go_on()

    again = granted(invariants, body, first)
    go_on()
    granted(invariants, document(refreshToken=first.refresh_token, token=again.token), again)

    assert found(invariants) == {"token-repeated": 2}


def test_a_refresh_token_of_two_sessions_is_a_violation() -> None:
    """Two log-ins with one refresh token are a violation where it is two users', and worth advice
    where it is one's; the second session is not gone on with.
    """
    invariants = looking()

    granted(invariants, document(refreshToken="the same"))
    again = granted(invariants, document(refreshToken="the same"))
    granted(invariants, document(OTHER, refreshToken="the same"), account=BEA)

    assert not again.sound
    assert found(invariants) == {"session-repeated": 1, "refresh-token-repeated": 1}
    assert invariants.violations.total == 1


def test_a_server_need_not_rotate() -> None:
    """A refresh may answer with the refresh token that was sent, as often as it is sent."""
    invariants = looking()
    grant = granted(invariants)

    for _ in range(5):
        grant = granted(invariants, document(refreshToken=grant.refresh_token), grant)

    assert grant.sound
    assert found(invariants) == {}


def test_a_repeated_refresh_may_be_answered_as_the_first() -> None:
    """Refreshes with one token may get the same answer; refreshes with two may not."""
    invariants = looking()
    first, second, shared = granted(invariants), granted(invariants), document()

    granted(invariants, shared, first)
    granted(invariants, shared, first)
    assert found(invariants) == {}

    granted(invariants, shared, second)
    assert found(invariants) == {"session-repeated": 2}


def test_a_refresh_that_gives_the_refresh_token_of_another_user() -> None:
    """Also one that itself came from a refresh is known as another user's."""
    invariants = looking()
    first, other = granted(invariants), granted(invariants, document(OTHER), account=BEA)

    granted(invariants, document(refreshToken="the same"), first)
    granted(invariants, document(OTHER, refreshToken="the same"), other, account=BEA)

    assert found(invariants) == {"refresh-token-repeated": 1}


def test_what_two_workers_were_given() -> None:
    """The master finds tokens that two workers were given, but for lawful repetitions."""
    workers = [looking(tells=True) for _ in range(2)]
    violations = Violations()
    master = AcrossWorkers(violations, places=2**16)
    shared, same_second = document(), claims(jti=...)

    for worker in workers:
        granted(worker, shared)
        granted(worker, document(of=same_second))
        master.merge(worker.take())

    assert violations.counts == {"session-repeated": 2}
    assert all(sample.exchange for sample in violations.advice)


def test_a_refresh_token_that_two_workers_were_given_for_two_users() -> None:
    """The master tells that from one that the same user was given twice."""
    first, second = looking(tells=True), looking(tells=True)
    violations = Violations()
    master = AcrossWorkers(violations, places=2**16)

    granted(first, document(refreshToken="the same"))
    granted(second, document(OTHER, refreshToken="the same"), account=BEA)
    master.merge(first.take())
    master.merge(second.take())

    assert violations.counts == {"refresh-token-repeated": 1}


# --- What may be refused -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_whoever_holds_the_last_refresh_token_can_go_on(status: int) -> None:
    """A refusal of the last refresh token breaks the chain."""
    invariants = looking()

    assert asked(invariants, answer({}, status), granted(invariants)) is None
    assert found(invariants) == {"chain-broken": 1}


@pytest.mark.parametrize("status", [408, 423, 425, 429, 500, 502, 503, 504])
def test_overload_is_no_refusal(status: int) -> None:
    """A server that says that it is not up to it has refused nothing."""
    invariants = looking()
    grant = granted(invariants)

    asked(invariants, answer({}, status))
    asked(invariants, answer({}, status), grant)
    invariants.own_profile(granted(invariants), answer({}, status), LOGIN)

    assert found(invariants) == {}


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_what_somebody_before_the_server_says_is_no_refusal(status: int) -> None:
    """A web page, or a redirect, is a firewall's or a gateway's: nothing of it is held against the
    server, and the session goes on.
    """
    invariants = looking()
    grant = granted(invariants)
    page = Response(status, b"HTTP/1.1 0\r\ncontent-type: text/html", b"<h1>Blocked</h1>", True)

    asked(invariants, page)
    asked(invariants, page, grant)
    invariants.own_profile(granted(invariants), page, LOGIN)

    assert found(invariants) == {}


def test_another_login_under_way_is_no_refusal() -> None:
    """A server may take one log-in of a user at a time, and answer 409 to the others."""
    invariants = looking()
    granted(invariants)

    assert asked(invariants, answer({}, 409)) is None
    assert found(invariants) == {}


def test_a_login_that_never_worked_says_nothing_about_the_server() -> None:
    """A log-in may be refused only if it was never let in before."""
    invariants = looking()

    assert asked(invariants, answer({}, 401)) is None
    assert found(invariants) == {}
    granted(invariants)
    assert asked(invariants, answer({}, 401)) is None
    assert found(invariants) == {"login-refused": 1}


def test_an_account_that_was_never_let_in_is_named() -> None:
    """Its password may be wrong in the accounts' file, which is told with the status."""
    invariants = looking()
    assert invariants.refused == {}

    asked(invariants, answer({}, 401))
    (status,) = invariants.refused.values()
    granted(invariants)

    assert status == 401
    assert invariants.refused == {}


# --- What the token is good for ----------------------------------------------------------------


def test_a_token_shows_its_own_profile() -> None:
    """The own profile is as it should be; another user's, nobody's, what is no JSON and a refusal
    are violations, each of its kind.
    """
    invariants = looking()
    grant = granted(invariants)

    assert invariants.own_profile(grant, answer({"id": USER}), LOGIN)
    assert found(invariants) == {}
    assert not invariants.own_profile(grant, answer({"id": OTHER}), LOGIN)
    assert not invariants.own_profile(grant, answer([]), LOGIN)
    assert not invariants.own_profile(grant, answer(b"{"), LOGIN)
    assert not invariants.own_profile(grant, answer({}, 403), LOGIN)
    assert found(invariants) == {
        "profile-of-another": 1,
        "allowed-not-shown": 1,
        "body": 1,
        "token-dead": 1,
    }
    assert not invariants.own_profile(grant, answer({}, 403), LOGIN, judged=False)
    assert found(invariants)["token-dead"] == 1


def test_json_says_that_it_is() -> None:
    """A read that is answered with JSON of another Content-Type breaks RESPONSE-json."""
    invariants = looking()
    grant = granted(invariants)
    html, vendors = (
        Response(200, b"HTTP/1.1 200 OK\r\ncontent-type: " + kind, content, True)
        for kind, content in (
            (b"text/html", json.dumps({"id": USER}).encode()),
            (b"application/vnd.x+json; v=2", json.dumps({"id": USER}).encode()),
        )
    )

    assert invariants.own_profile(grant, vendors, LOGIN)
    assert found(invariants) == {}
    assert invariants.own_profile(grant, html, LOGIN)
    assert found(invariants) == {"body": 1}
    assert "text/html" in invariants.violations.samples[0].message


def test_what_is_missing_is_named_once() -> None:
    """A success that holds an error lacks all that a token answer has, each by its name."""
    invariants = looking()

    assert asked(invariants, answer({"error": {"message": "busy"}})) is None

    (sample,) = invariants.violations.samples
    assert sample.message.count("tokenType") == 1
    assert "refreshToken" in sample.message


# --- Whatever a server sends -------------------------------------------------------------------

DEEP = f"{'[' * 1000}{']' * 1000}"
#: What no server should send, and some do; as JSON.
ODD = [
    DEEP,
    f'{{"a":{DEEP}}}',
    "1" + "0" * 400,
    "-1",
    "1e308",
    "NaN",
    "-Infinity",
    "true",
    "null",
    "[null]",
    "{}",
    '""',
    '"."',
    '".."',
    '"a.b"',
    r'"\ud800"',
    r'"\u0000"',
    r'"\r\nx: y"',
    '"é"',
    f'"{"x" * 100_000}"',
]
HERE = "the place of what is odd"


def with_odd(of: dict[str, Any], odd: str) -> str:
    """A token whose claims, or whose header, hold something odd."""
    part = (
        urlsafe_b64encode(json.dumps(of).replace(json.dumps(HERE), odd).encode())
        .rstrip(b"=")
        .decode()
    )
    head, payload, signature = jwt(claims()).split(".")
    return f"{part}.{payload}.{signature}" if "alg" in of else f"{head}.{part}.{signature}"


@pytest.mark.parametrize("odd", ODD, ids=map(str, range(len(ODD))))
def test_nothing_that_a_server_sends_breaks_the_checks(odd: str) -> None:
    """In whatever place of an answer or a token something odd stands, it is a violation, or nothing
    (B6).
    """
    invariants = looking()
    grant = granted(invariants)
    bodies = [json.dumps(document() | {member: HERE}) for member in MEMBERS]
    bodies += [
        json.dumps(document(token=with_odd(claims(**{name: HERE}), odd)))
        for name in ("_id", "scope", "jti", "iat", "exp")
    ]
    bodies += [
        json.dumps(document(token=with_odd({"alg": HERE}, odd))),
        json.dumps(HERE),
        json.dumps({"id": HERE}),
    ]
    for body in bodies:
        for status in (200, 201, 401):
            response = answer(body.replace(json.dumps(HERE), odd).encode(), status)
            given = [asked(invariants, response), asked(invariants, response, grant)]
            invariants.own_profile(grant, response, LOGIN)
            assert all(grant is None or grant.token.encode() for grant in given)
    for sample in invariants.violations.samples:
        json.dumps(sample.pack()).encode()
        f"{sample.message}{sample.exchange}".encode()


# --- Real servers ------------------------------------------------------------------------------


def received(response: httpx.Response) -> Response:
    """An answer as our own client would have it."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {response.headers.get('content-type', '')}"
    return Response(response.status_code, head.encode(), response.content, True)


async def a_busy_day(
    api: Api, invariants: Invariants, refreshed: list[int], rests: float = 0.0
) -> None:
    """Every account logs in twice at once, looks at itself, goes on by both kinds of refresh, and
    races for one token.

    Args:
        rests: the seconds between a look and a refresh.
    """

    async def chain(name: str) -> None:
        credentials = api.server.accounts[name]
        account = LoadAccount(credentials.email, credentials.password or "", name.rstrip("2"))
        session = invariants.log_in(account)
        grant = invariants.logged_in(session, received(await api.login(name)), LOGIN)
        for turn in range(4):
            if grant is None:
                return
            path = f"/v2/users/{in_path(grant.user)}"
            grant.session.use()
            invariants.own_profile(grant, received(await api.ask("GET", path, grant.token)), LOGIN)
            await asyncio.sleep(rests)
            refresh = invariants.refresh(grant, "POST" if turn % 2 else "GET")
            if turn % 2:
                new = await api.post_refresh(grant.refresh_token, account.email)
            else:
                new = await api.get_refresh(grant.token, grant.refresh_token)
            refreshed.append(new.status_code)
            grant = invariants.refreshed(refresh, received(new), LOGIN)
        if grant is not None:
            refreshes = [invariants.refresh(grant, "POST", racing=True) for _ in range(3)]
            racers = [api.post_refresh(grant.refresh_token, account.email) for _ in refreshes]
            for refresh, racer in zip(refreshes, await asyncio.gather(*racers), strict=True):
                invariants.refreshed(refresh, received(racer), LOGIN, judged=False)

    await asyncio.gather(*(chain(name) for name in [*api.server.accounts] * 2))


def day_with(
    settings: Settings, *, over_a_socket: bool = False, rests: float = 0.0
) -> tuple[dict[str, int], int]:
    """What is found on a busy day, advice too, and the number of its refreshes."""
    invariants = looking()
    refreshed: list[int] = []

    async def story(api: Api) -> None:
        await a_busy_day(api, invariants, refreshed, rests)

    if over_a_socket:
        with running(settings) as one:
            tell(one.server, story, base_url=one.base_url, timeout=5)
    else:
        with_api(settings, story)
    return found(invariants), len(refreshed)


@pytest.mark.parametrize("name", ["baseline", *LEGAL])
def test_no_legal_server_is_accused(name: str) -> None:
    """No lawful server is accused under load."""
    variants = () if name == "baseline" else (name,)

    violations, refreshes = day_with(
        Settings(scrypt_n=QUICK, variants=variants), over_a_socket=name in ON_THE_WIRE
    )

    assert decide(violations) == {}
    assert refreshes > 5


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("login-202", "status"),
        ("login-without-scope", "shape"),
        ("token-type-is-jwt", "shape"),
        ("opaque-access-token", "jwt"),
        ("jwt-without-iat", "jwt"),
        ("user-of-another", "user-mismatch"),
        ("scope-of-answer-differs", "scope"),
        ("lifetime-14-days", "lifetime"),
        ("same-token-for-every-login", "session-repeated"),
        ("get-refresh-omits-refresh-token", "shape"),
        ("refresh-gives-another-user", "refreshed-another-user"),
        ("refresh-widens-scope", "refreshed-scope"),
        ("refresh-gives-same-access-token", "token-repeated"),
        ("refresh-gives-dead-access-token", "token-dead"),
        ("refresh-gives-dead-refresh-token", "chain-broken"),
        ("chain-of-three", "chain-broken"),
    ],
)
def test_faults_of_the_catalogue_are_seen_under_load_too(fault: str, kind: str) -> None:
    """What the suite finds in an answer, these rules find as well: they are the same."""
    assert fault in FAULTS
    rests = 2.1 if kind == "token-repeated" else 0.0  # a second may have one token

    assert kind in day_with(Settings(scrypt_n=QUICK, faults=(fault,)), rests=rests)[0]


def test_the_usual_table_is_no_larger_than_it_says() -> None:
    """A worker remembers two million tokens and as many refresh tokens, 16 MB each."""
    assert PLACES == 2_097_152
