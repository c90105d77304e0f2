"""Log-ins have a budget per account, and a wrong set-up is reported at the first one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from rolecall.http.login_budget import MOST_GRANTED, MOST_IN_A_ROW, MOST_REFUSED, LogInBudget
from rolecall.outcomes import NotTested
from rolecall.target import Account
from tests.conftest import Reference
from tests.support.command import rolecall
from tests.support.miniatures import Tap
from tests.support.strangers import Refused, Stranger, Who, certified, listening

URL = "http://target.example/v2/auth/token"
GUEST = Account("guest", "guest", "guest+1@example.org", "Sesame-1")


def body(**members: object) -> bytes:
    """A JSON object."""
    return json.dumps(members).encode()


RIGHT, WRONG = (
    body(email=GUEST.email, password=GUEST.password),
    body(email=GUEST.email, password="Sesame-2"),
)

# --- The budget ---------------------------------------------------------------------------------


def test_so_many_log_ins_and_no_more() -> None:
    """After fifteen log-ins to an account the next one is not tested."""
    budget = LogInBudget([GUEST])
    for _ in range(MOST_GRANTED):
        trial = budget.admit(URL, RIGHT, "")
        assert trial is not None
        budget.answered(trial, 200)

    with pytest.raises(NotTested, match="enough for one run"):
        budget.admit(URL, RIGHT, "")


def test_a_wrong_log_in_that_may_be_granted_counts() -> None:
    """When fifteen log-ins were granted a wrong one is not tried either, since it may be granted as
    well; nor beside others like it.
    """
    budget = LogInBudget([GUEST])
    for _ in range(MOST_GRANTED - 1):
        trial = budget.admit(URL, RIGHT, "")
        assert trial is not None
        budget.answered(trial, 200)
    assert budget.admit(URL, WRONG, "SEC-I12") is not None

    with pytest.raises(NotTested, match="enough for one run"):
        budget.admit(URL, WRONG, "SEC-I12")


def test_so_many_refusals_and_no_more_in_a_row() -> None:
    """Two refused log-ins in a row are the most, also while they are under way; a good one begins
    the row anew; four are all.
    """
    budget = LogInBudget([GUEST])
    for _ in range(MOST_REFUSED // MOST_IN_A_ROW):
        for _ in range(MOST_IN_A_ROW):
            assert budget.admit(URL, WRONG, "ISSUE-refused")
        with pytest.raises(NotTested):
            budget.admit(URL, WRONG, "ISSUE-refused")
        good = budget.admit(URL, RIGHT, "")
        assert good is not None
        budget.answered(good, 200)

    with pytest.raises(NotTested):
        budget.admit(URL, WRONG, "ISSUE-refused")


def test_after_an_unexpected_refusal_nothing_is_tried() -> None:
    """When the right password is refused, the account is left alone."""
    budget = LogInBudget([GUEST])
    trial = budget.admit(URL, RIGHT, "")
    assert trial is not None
    budget.answered(trial, 401)

    for content in (RIGHT, WRONG):
        with pytest.raises(NotTested, match="was refused"):
            budget.admit(URL, content, "")


@pytest.mark.parametrize(
    ("url", "content"),
    [
        (URL, b"email=guest%2B1%40example.org&password=x"),
        (f"{URL}?email=guest%2B1%40example.org&password=x", b""),
        (URL, b'{"e\\u006dail":"GUEST\\u002b1@example.org","pass\\u0077ord":"x"}'),
        (URL, b'{"email":["guest+1@example.org"],"password":{"$ne":null}}'),
    ],
    ids=["form", "query", "escaped", "operators"],
)
def test_a_log_in_is_seen_however_it_is_written(url: str, content: bytes) -> None:
    """An account's e-mail beside a password is a log-in to it, in a form, a query, with escapes, or
    inside of something.
    """
    assert LogInBudget([GUEST]).admit(url, content, "SEC-I06") is not None


def test_others_have_no_budget() -> None:
    """A refresh, and a log-in of a user that the run made, are not counted."""
    budget = LogInBudget([GUEST])

    assert budget.admit(URL, body(refreshToken="r", clientId=GUEST.email), "") is None
    assert budget.admit(URL, body(email="rolecall.1@example.org", password="x"), "") is None


# --- On servers --------------------------------------------------------------------------------


class Counting(Stranger):
    """Counts log-ins by e-mail and status."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log_ins: Counter[tuple[str, bool]] = Counter()
        self.rows: Counter[str] = Counter()
        self.longest: Counter[str] = Counter()

    def logged_in(self, body: dict[str, object]) -> int:
        """Count, and remember the longest row of refusals."""
        email = str(body.get("email"))
        try:
            id = super().logged_in(body)
        except Exception:
            self.log_ins[email, False] += 1
            self.rows[email] += 1
            self.longest[email] = max(self.longest[email], self.rows[email])
            raise
        self.log_ins[email, True] += 1
        self.rows[email] = 0
        return id


class WithoutUsers(Counting):
    """No role may make users."""

    def create(self, name: str, members: dict[str, object], who: Who) -> tuple[int, object]:
        """Refuse to make users."""
        if name == "user":
            raise Refused(422)
        return super().create(name, members, who)


@pytest.mark.long
@pytest.mark.parametrize("kind", [Counting, WithoutUsers])
def test_the_budget_holds_on_a_server(kind: type[Counting], tmp_path: Path) -> None:
    """A whole run stays within the budget of every account, counted at the server, with and without
    users of its own.
    """
    server = kind(trouble=False)
    finished = certified(server, tmp_path)

    assert finished.results["findings"] == [], finished.said
    for role in server.accounts:
        email = f"{role}@example.org"
        assert 1 <= server.log_ins[email, True] <= MOST_GRANTED
        assert server.log_ins[email, False] <= MOST_REFUSED
        assert server.longest[email] <= MOST_IN_A_ROW
    assert server.damage() == []


@pytest.mark.parametrize("role", ["guest", pytest.param("admin", marks=pytest.mark.long)])
def test_a_wrong_password_costs_one_log_in(role: str, tmp_path: Path) -> None:
    """A wrong password in the target file is tried once, and ends the run with exit code 2, naming
    the account.
    """
    server = Counting()
    with listening(server) as url:
        text = server.target_file(url).replace(
            server.passwords[server.accounts[role]], "Not-this-1"
        )
        (tmp_path / "target.toml").write_text(text, encoding="utf-8")
        finished = rolecall("certify", "target.toml", "--out", "runs", cwd=tmp_path)

    assert finished.code == 2, finished.said
    assert f"[accounts.{role}]" in finished.stderr
    assert f"{role}@example.org is refused (401)" in finished.stderr
    assert server.log_ins[f"{role}@example.org", False] == 1
    assert sum(count for (_, good), count in server.log_ins.items() if not good) == 1


def test_a_wrong_prefix_costs_one_request(reference: Reference, tmp_path: Path) -> None:
    """A wrong base_url is reported after one request, with the whole URL: exit code 4."""
    with Tap(reference.url) as tap:
        target = reference.target_file(tmp_path, url=f"{tap.url}/prefix")
        finished = rolecall("certify", target, "--out", "runs", cwd=tmp_path, env=reference.env)

    assert finished.code == 4, finished.said
    assert f"{tap.url}/prefix/v2/auth/token is answered 404" in finished.stderr
    assert b"".join(tap.sent).count(b"HTTP/1.1\r\n") == 1


@pytest.mark.parametrize("end", ["/v2", "/v2/auth/token"])
def test_a_version_that_stands_twice_is_named(
    end: str, reference: Reference, tmp_path: Path
) -> None:
    """Where base_url holds how paths begin, and a log-in is refused, no password is doubted."""
    target = reference.target_file(tmp_path, url=f"{reference.url}{end}")
    finished = rolecall("certify", target, "--out", "runs", cwd=tmp_path, env=reference.env)

    assert finished.code == 2, finished.said
    assert "Check base_url: the paths that are added to it begin with /v2" in finished.stderr
