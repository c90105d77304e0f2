"""Accounts come from a target or CSV file; mistakes are told by line, without passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen import accounts
from rolecall.loadgen.accounts import LoadAccount, from_target, read_csv, share
from rolecall.target import Account as TargetAccount
from rolecall.target import Target

GOOD = "email,password,role\nada@example.org,Sesame-1,agent\n"


def written(folder: Path, content: str | bytes) -> Path:
    """A CSV file."""
    path = folder / "users.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        GOOD.removesuffix("\n"),
        f"\n{GOOD}\n,,\n",
        "Role,EMAIL, Password\nagent,ada@example.org,Sesame-1\n",
        'email,password,role\n"ada@example.org","Sesame-1",agent\n',
        "email,password,role\n ada@example.org ,Sesame-1, agent\n",
    ],
    ids=[
        "plain",
        "byte-order-mark",
        "crlf",
        "no-last-line-end",
        "empty-lines",
        "other-columns",
        "quoted",
        "spaces",
    ],
)
def test_what_spreadsheets_write_is_read(content: str | bytes, tmp_path: Path) -> None:
    """Byte order mark, line ends, empty lines, order and case of the columns and quotes do not
    matter.
    """
    assert read_csv(written(tmp_path, content)) == [
        LoadAccount("ada@example.org", "Sesame-1", "agent")
    ]


def test_a_password_is_taken_to_the_letter(tmp_path: Path) -> None:
    """Commas, quotes, line ends, spaces and other alphabets in a password are part of it."""
    password = ' a,"b"\n\u00fc '
    quoted = '" a,""b""\n\u00fc "'

    (account,) = read_csv(
        written(tmp_path, f"email,password,role\nada@example.org,{quoted},guest\n")
    )

    assert account.password == password
    assert password not in repr(account)


def test_thousands_of_rows(tmp_path: Path) -> None:
    """A file of thousands of users is read whole, in order."""
    rows = "".join(f"user{number}@example.org,Sesame-{number},bot\n" for number in range(5000))

    accounts = read_csv(written(tmp_path, f"email,password,role\n{rows}"))

    assert [account.email for account in accounts] == [
        f"user{number}@example.org" for number in range(5000)
    ]


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("", "users.csv", "must name the columns"),
        ("email,password,role\n", "users.csv", "no account"),
        ("ada@example.org,Sesame-1,agent\n", "users.csv:1", "must name the columns"),
        (
            "email;password;role\nada@example.org;Sesame-1;agent\n",
            "users.csv:1",
            "must name the columns",
        ),
        ("email,password\nada@example.org,Sesame-1\n", "users.csv:1", "must name the columns"),
        (f"{GOOD}bea@example.org,Sesame-2\n", "users.csv:3", "the line must have 3 fields, not 2"),
        (
            f"{GOOD}bea@example.org,Sesame,2,agent\n",
            "users.csv:3",
            "the line must have 3 fields, not 4",
        ),
        (f"{GOOD}bea@example.org,,agent\n", "users.csv:3", "the password is empty"),
        (f"{GOOD},Sesame-2,agent\n", "users.csv:3", "the email is empty"),
        (
            f"{GOOD}bea@example.org,agent,Sesame-2\n",
            "users.csv:3",
            "the role is unknown",
        ),
        (f"{GOOD}ada@example.org,Sesame-2,bot\n", "users.csv:3", "the email is that of"),
        (f'{GOOD}"bea@example.org,Sesame-2,bot\n', "users.csv:3", "this is not CSV"),
        (f'{GOOD}"bea"x,Sesame-2,bot\n', "users.csv:3", "this is not CSV"),
        (GOOD.encode() + b"b\xe9a@example.org,Sesame-2,bot\n", "users.csv", "not UTF-8"),
    ],
    ids=[
        "empty",
        "no-rows",
        "no-header",
        "semicolons",
        "a-column-missing",
        "too-few",
        "too-many",
        "no-password",
        "no-email",
        "no-such-role",
        "twice",
        "quote-left-open",
        "text-behind-a-quote",
        "latin-1",
    ],
)
def test_mistakes_are_told_with_their_line(
    content: str | bytes, where: str, what: str, tmp_path: Path
) -> None:
    """A mistake ends in a usage error that says in which line it is, and repeats no password."""
    with pytest.raises(UsageError) as raised:
        read_csv(written(tmp_path, content))

    assert raised.value.where.endswith(where)
    assert what in raised.value.what
    assert "Sesame" not in str(raised.value)


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is a usage error as well."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_csv(tmp_path / name)


def test_a_file_without_an_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is larger than a bound is refused, and not read on."""
    monkeypatch.setattr(accounts, "ACCOUNTS", 100)
    with pytest.raises(UsageError, match="it is larger than 100 bytes"):
        read_csv(written(tmp_path, "email,password,role\n" * 6))


def test_accounts_of_a_target_file() -> None:
    """The accounts of a target are users of their roles, second ones among them."""
    accounts = {
        "guest": TargetAccount("guest", "guest", "g@example.org", "a"),
        "guest2": TargetAccount("guest2", "guest", "g2@example.org", "b"),
    }

    assert from_target(Target("x", "http://localhost", accounts)) == [
        LoadAccount("g@example.org", "a", "guest"),
        LoadAccount("g2@example.org", "b", "guest"),
    ]


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("in_order", [True, False])
def test_few_accounts_of_a_worker_are_of_all_roles(workers: int, in_order: bool) -> None:
    """Whether a file has role after role or the roles in turn, the first four of each worker are
    one of each role.
    """
    roles = ("guest", "agent", "bot", "admin")
    accounts = [
        LoadAccount(
            f"user{number}@example.org", "x", roles[number // 8 if in_order else number % 4]
        )
        for number in range(32)
    ]

    for worker in range(workers):
        mine = share(accounts, worker, workers)
        assert len(mine) == 32 // workers
        assert {account.role for account in mine[:4]} == set(roles)


@pytest.mark.parametrize(("users", "workers"), [(10, 1), (10, 3), (3, 3), (2, 5), (1, 4)])
def test_every_worker_has_its_share(users: int, workers: int) -> None:
    """Accounts are shared out evenly; no two workers have the same if there are enough."""
    accounts = [LoadAccount(f"user{number}@example.org", "x", "guest") for number in range(users)]

    shares = [share(accounts, worker, workers) for worker in range(workers)]

    assert {account.email for part in shares for account in part} == {
        account.email for account in accounts
    }
    assert all(shares)
    if users >= workers:
        assert sum(map(len, shares)) == users
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("sign", [";", "\t"])
def test_columns_that_no_comma_parts(sign: str, tmp_path: Path) -> None:
    """Where a spreadsheet wrote something else between them, the message says what to change."""
    with pytest.raises(UsageError) as raised:
        read_csv(written(tmp_path, GOOD.replace(",", sign)))

    assert raised.value.hint.startswith("Part the columns by commas, not by semicolons or tabs.")
