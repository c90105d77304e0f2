"""The cases of the token tests, in memory, and the faults that they find on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.test_issuance import LONG
from conformance.test_refresh_conditions import CALLS, EXPIRED_CALLS, RefreshCall, calls, halves
from rolecall.spec.loading import load_specification
from rolecall.toolkit.marks import requirement
from rolecall.toolkit.neighbours import NEIGHBOURS, parts_of
from rolecall.toolkit.refresh_tokens import PART, altered_beginning, altered_end
from tests.conftest import Reference
from tests.support.command import rolecall
from tests.support.servers import serving

SPEC = load_specification()
EMAIL = "rolecall.run.7.create.user@example.org"

# --- Near misses --------------------------------------------------------------------------------


def test_a_near_miss_is_another_address() -> None:
    """What is less than an e-mail, and each neighbour of it, is another e-mail, also to a server
    that does not look at case.
    """
    parts = parts_of(EMAIL)

    assert parts.pop("email") == EMAIL
    others = {*parts.values(), *(neighbour(EMAIL) for neighbour in NEIGHBOURS.values())}
    assert len(others) == len(parts) + len(NEIGHBOURS)
    assert EMAIL not in {other.lower() for other in others}


#: Refresh tokens in all forms that are known, and the user whom they belong to.
TOKENS = {
    "of-the-page": (
        "599e1fcd9da1c72645c95886.28167e54e423275c0d948ce2efcaa481d4ab229ea53800502c26",
        "599e1fcd9da1c72645c95886",
    ),
    "without-dot": (
        "599e1fcd9da1c72645c9588628167e54e423275c0d948ce2efcaa481d4ab229ea5380050",
        "599e1fcd9da1c72645c95886",
    ),
    "selector-and-verifier": ("0a1b2c3d4e5f6071.28167e54e423275c0d948ce2efcaa481", "7"),
    "opaque": ("Zk3vQm81LxPq_0-TTyhbW2", "7"),
    "uuid": ("2d4a6c1e-93b7-4f52-8a10-7c3d5e9f1b24", "7"),
    "jwt": (
        "eyJhbGciOiJIUzI1NiJ9.eyJfaWQiOiI1OTllIn0.q83vEjRWeJCrze8SNFZ4kAq83vEjRWeJCrze8SNFZ4k",
        "599e",
    ),
}


@pytest.mark.parametrize("form", TOKENS)
def test_an_altered_token_is_another_of_the_same_form(form: str) -> None:
    """A token that is altered at one end has the same length, and all the rest of it."""
    token, _ = TOKENS[form]
    front, dot, secret = token.rpartition(".")

    end, beginning = altered_end(token), altered_beginning(token)

    assert len(end) == len(beginning) == len(token)
    assert end != token
    assert end[:-PART] == token[:-PART]
    assert beginning != token
    assert beginning.startswith(front + dot)
    assert beginning.endswith(secret[PART:])


@pytest.mark.parametrize("form", TOKENS)
def test_halves_make_the_whole(form: str) -> None:
    """A refresh token is what stands in front and the secret; two users' halves make neither of
    theirs.
    """
    token, user = TOKENS[form]
    other = altered_beginning(altered_end("x" + token[1:]))

    front, secret = halves(token, user)

    assert front + secret == token
    assert front
    assert secret
    assert front + halves(other, user)[1] not in (token, other)


def test_a_long_password_is_longer_than_where_some_stop() -> None:
    """Of the lengths that are tried one is beyond each place at which servers are known to stop:
    72, 128, 255 characters.
    """
    assert [
        next(length for length in sorted(LONG) if length > limit) for limit in (72, 128, 255)
    ] == [80, 130, 260]


# --- Two conditions ----------------------------------------------------------------------------


def broken(call: RefreshCall) -> set[str]:
    """The rules that a call breaks, by what stands in it; a bearer of the own user is good here."""
    rules = {"altered": {"REFRESH-whole-token"}, "unknown": {"REFRESH-unknown-token"}}.get(
        call.token, set()
    )
    if call.method == "post":
        return rules | (set() if call.client == "own" else {"REFRESH-client"})
    if call.bearer in ("", "damaged"):
        return rules | {"REFRESH-get-bearer"}
    return rules | (set() if call.bearer == "own" else {"REFRESH-get-foreign"})


@pytest.mark.parametrize("name", CALLS)
def test_a_call_breaks_just_the_rule_that_it_names(name: str) -> None:
    """A finding is named by the rule that is broken: each call breaks one, and is unusual in
    something else.
    """
    call = CALLS[name]

    assert broken(call) == {call.rule}
    assert (
        call.client
        if call.method == "get" and call.bearer not in ("highest", "damaged")
        else call.bearer
    )


@pytest.mark.parametrize("name", EXPIRED_CALLS)
def test_an_expired_call_breaks_one_rule_beside_its_bearer(name: str) -> None:
    """With the own bearer expired a GET breaks that rule alone, and a POST, which needs none, the
    one that it names.
    """
    call = EXPIRED_CALLS[name]

    assert call.bearer == "own"
    assert broken(call) == ({call.rule} if call.method == "post" else set())


def test_every_rule_is_broken_under_every_way_that_has_it() -> None:
    """The table is pairwise: each rule of refresh under GET and POST as far as it is one there,
    each kind of bearer with a POST.
    """
    table = [*CALLS.values(), *EXPIRED_CALLS.values()]

    for rule in ("REFRESH-whole-token", "REFRESH-unknown-token"):
        assert {call.method for call in table if call.rule == rule} == {"get", "post"}
    assert {call.bearer for call in table if call.rule == "REFRESH-client"} == {
        "own",
        "another",
        "highest",
        "key",
    }
    assert {call.client for call in table if call.rule == "REFRESH-client"} == {
        "",
        "unknown",
        "another",
    }
    assert {"REFRESH-get-bearer", "REFRESH-get-foreign", "REFRESH-get-expired"} <= {
        call.rule for call in table
    }


def test_a_call_is_tested_under_its_own_rule() -> None:
    """Each call becomes a test of the requirement that it breaks."""
    (parameters,) = calls(CALLS).mark.args[1:]

    assert [parameter.marks[0] for parameter in parameters] == [
        requirement(call.rule) for call in CALLS.values()
    ]
    assert {call.rule for call in CALLS.values()} <= set(SPEC.requirements)


# --- On real servers ---------------------------------------------------------------------------

#: A fault of each kind, the part of the suite that is run, and the requirement that has to be found
#: by it.
FAULTS = {
    "password-of-72-bytes": ("ISSUE-refused", "ISSUE-refused"),
    "email-by-beginning": ("ISSUE-refused", "ISSUE-refused"),
    "old-password-remembered": ("ISSUE-refused", "ISSUE-refused"),
    "client-id-by-local-part": ("REFRESH-client", "REFRESH-client"),
    "refresh-token-of-72-bytes": ("REFRESH-whole-token", "REFRESH-whole-token"),
    "client-id-unchecked-beside-bearer": ("REFRESH-client", "REFRESH-client"),
    "admin-refreshes-for-anybody": ("REFRESH-get-foreign", "REFRESH-get-foreign"),
    "first-half-of-refresh-token-ignored": ("REFRESH-whole-token", "REFRESH-whole-token"),
    "signature-of-another-token": ("SEC-E12", "SEC-E12"),
    "no-password-any-password": ("SEC-E14", "SEC-E14"),
    "no-role-may-all": ("SEC-E14", "SEC-E14"),
    "role-cached-until-restart": ("SEC-R17", "SEC-R17"),
    "refreshed-role-copied-from-bearer": ("SEC-R17", "SEC-R17"),
    "deleted-user-refreshes": ("SEC-J17-deleted", "SEC-J17-deleted"),
    "key-checked-by-its-first-scope": ("SEC-K01", "SEC-K01"),
    "revoked-key-kept-in-cache": ("SEC-K02", "SEC-K02"),
    "key-outlives-its-user": ("SEC-K03", "SEC-K03"),
    "key-scopes-flattened": ("SEC-K04", "SEC-K04"),
    "key-becomes-a-session": ("SEC-K05", "SEC-K05"),
    "keys-listed-in-clear": ("SEC-K06", "SEC-K06"),
    "writes-by-role": ("SEC-E15", "SEC-E15"),
    "second-header-at-refresh": ("SEC-H06-consistent", "SEC-H06-consistent"),
    "users-of-lists-show-the-hash": ("SEC-I20 or list-users", "SEC-I20"),
    "accepts-public-key-as-secret": ("SEC-J08", "SEC-J08"),
}


def found(options: tuple[str, ...], select: str, folder: Path) -> dict[str, str]:
    """The outcomes of requirements in a run of a part of the suite against a reference server with
    these options.
    """
    with serving("--clock", *options, env=Reference.env) as server:
        target = server.target_file(folder)
        finished = rolecall(
            "certify", target, "--select", select, "--out", "runs", cwd=folder, env=Reference.env
        )
    return {
        entry["id"]: entry["outcome"]
        for entry in finished.results["requirements"]
        if entry["outcome"] != "not-tested"
    }


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_its_kind_is_found(fault: str, tmp_path: Path) -> None:
    """The tests of a requirement find the fault that was made for them."""
    select, planted = FAULTS[fault]

    assert found(("--fault", fault), select, tmp_path)[planted] == "failed"


#: Lawful servers that look like a fault, and the requirement that holds nothing against them.
LAWFUL = {
    "passwords-up-to-72": "ISSUE-refused",
    "addresses-trimmed": "REFRESH-client",
    "post-refresh-refuses-authorization": "REFRESH-client",
    "refresh-tokens-with-selector": "SEC-E12",
    "users-need-password-and-role": "SEC-E14",
    "users-are-invited": "SEC-E14",
    "role-change-ends-sessions": "SEC-R17",
    "addresses-are-for-good": "SEC-J17-deleted",
    "everybody-makes-own-keys": "SEC-K01",
    "deleted-keys-linger": "SEC-K02",
    "keys-go-with-their-user": "SEC-K03",
    "unknown-key-scopes-dropped": "SEC-K04",
    "keys-listed-with-their-beginning": "SEC-K06",
    "last-of-two-headers": "SEC-H06-consistent",
}


@pytest.mark.long
@pytest.mark.parametrize("variant", LAWFUL)
def test_a_lawful_server_is_not_blamed(variant: str, tmp_path: Path) -> None:
    """What only looks like the fault passes, or has nothing to be proven of."""
    select = LAWFUL[variant]

    assert found(("--variant", variant), select, tmp_path)[select] in ("passed", "not-applicable")


@pytest.mark.long
@pytest.mark.parametrize("method", ["post", "get"])
def test_how_long_refreshed_tokens_live_is_no_attacks_finding(method: str, tmp_path: Path) -> None:
    """Where a plain refresh gives tokens for 14 days, an attack on the refresh that gets the same
    gets nothing more.
    """
    select = {
        "post": "SEC-R09 or SEC-R13 or SEC-R14 or SEC-R16 or SEC-I12",
        "get": "SEC-R15 or SEC-K05",
    }[method]

    outcomes = found(("--fault", "refresh-gives-14-days"), select, tmp_path)

    assert outcomes
    assert "failed" not in outcomes.values(), outcomes
