"""The token bank: what it keeps, what it takes, and from whom.

Longer than 400 lines because every way to spoil a bank has its test.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall import encryption, file_lock
from rolecall import token_bank as module
from rolecall.errors import UsageError
from rolecall.token_bank import BankedToken, SpoiledBank, TokenBank
from rolecall.tokens import Caller, Grant
from tests.support.exchanges import exchange
from tests.support.token_answers import DAY, claims, jwt

NOW = 1_700_000_000.0
KEY = "a passphrase of many words"
HERE, THERE = "http://target.example", "http://other.example"
ROW = {
    "base_url": HERE,
    "role": "guest",
    "user": "u1",
    "email": "guest@example.org",
    "expires": 1_700_000_000,
    "token": "a.b.c",
    "refresh_token": "u1.r",
}


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are made at once: what they cost who guesses is not what these tests are about."""
    monkeypatch.setattr(encryption, "_COST", 2)


def caller(role: str = "guest", number: int = 1, **changes: Any) -> Caller:
    """A user who has logged in."""
    token = jwt(claims(**changes))
    body = json.dumps({"token": token, "refreshToken": f"{role}.{number}"}).encode()
    return Caller(
        role, "token", token, role, f"{role}@example.org", Grant.of(exchange("POST", body=body))
    )


def filled(folder: Path, content: object, mode: int = 0o600) -> Path:
    """A bank whose file holds this."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "tokens.json"
    path.touch(mode=0o600)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    path.chmod(mode)
    return path


def complaint(folder: Path) -> str:
    """What is wrong with a bank, as it is said before anything is sent."""
    with pytest.raises(UsageError) as error:
        TokenBank(folder, HERE).deposits()
    return str(error.value)


# --- What it keeps -----------------------------------------------------------------------------


def nights(bank: TokenBank, *numbers: int, apart: float = DAY) -> None:
    """A run each night, whose clock tells the time that follows from the number."""
    for number in numbers:
        now = NOW + number * apart
        callers = [caller(role, number, exp=int(now + DAY)) for role in ("guest", "admin")]
        bank.deposit(callers, now)


def kept(bank: TokenBank, role: str = "guest") -> list[str]:
    """The refresh tokens of a role that are in a bank."""
    return [deposit.refresh_token for deposit in bank.deposits() if deposit.role == role]


def test_it_keeps_the_newest_of_each_role_and_target(tmp_path: Path) -> None:
    """Of each role the three newest tokens that have expired are kept, for each target by itself,
    and tonight's.
    """
    here, there = TokenBank(tmp_path / "bank", HERE), TokenBank(tmp_path / "bank", THERE)

    there.deposit([caller("guest", 9, exp=int(time.time()))], NOW)
    nights(here, *range(6))

    assert kept(here) == ["guest.1", "guest.2", "guest.3", "guest.4", "guest.5"]
    assert kept(here, "admin") == ["admin.1", "admin.2", "admin.3", "admin.4", "admin.5"]
    assert kept(there) == ["guest.9"]
    assert (here.others(), there.others()) == ([THERE], [HERE])


def test_runs_by_the_hour_let_a_token_grow_old(tmp_path: Path) -> None:
    """Of tokens that have not expired the first one stays: with the newest alone, none would ever
    expire where runs follow each other by the hour.
    """
    bank = TokenBank(tmp_path / "bank", HERE)

    nights(bank, *range(24), apart=3600)
    assert kept(bank) == ["guest.0", "guest.22", "guest.23"]

    nights(bank, 25, apart=3600)
    assert kept(bank) == ["guest.0", "guest.22", "guest.23", "guest.25"]


def test_old_tokens_are_forgotten(tmp_path: Path) -> None:
    """What expired two months ago is dropped, by the target's clock; what another target has there,
    by ours.
    """
    here, there = TokenBank(tmp_path / "bank", HERE), TokenBank(tmp_path / "bank", THERE)
    there.deposit([caller("guest", 9)], NOW)
    nights(here, 0, 61)
    assert kept(here) == ["guest.0", "guest.61"]

    nights(here, 62)

    assert kept(here) == ["guest.61", "guest.62"]
    assert there.deposits() == []


def test_a_refresh_token_is_given_to_one_run(tmp_path: Path) -> None:
    """A refresh token that a run takes may be spent by tomorrow, and by a run beside it: the bank
    does not keep it; the access token stays.
    """
    bank = TokenBank(tmp_path / "bank", HERE)
    nights(bank, 0, 2)

    first, beside = (bank.take_expired(NOW + 2 * DAY, NOW + 2 * DAY) for _ in range(2))

    assert [(d.role, d.refresh_token) for d in first] == [
        ("guest", "guest.0"),
        ("admin", "admin.0"),
    ]
    assert [(d.role, d.refresh_token) for d in beside] == [("guest", ""), ("admin", "")]
    assert kept(bank) == ["", "guest.2"]


@pytest.mark.parametrize(
    "exp", [10**400, float("inf"), True, "tomorrow", ...], ids=lambda exp: f"{exp}"[:10]
)
def test_a_token_that_says_no_end_is_not_kept(exp: object, tmp_path: Path) -> None:
    """A token without a known expiry is not kept; the others are."""
    bank = TokenBank(tmp_path / "bank", HERE)

    bank.deposit([caller("guest", exp=exp), caller("admin")], NOW)

    assert [(deposit.role, deposit.expires) for deposit in bank.deposits()] == [
        ("admin", 1_700_000_000 + DAY)
    ]


def test_a_name_shows_no_token() -> None:
    """What is printed of a deposit holds neither of its tokens."""
    assert not [secret for secret in ("a.b.c", "u1.r") if secret in repr(BankedToken.of(ROW))]


# --- What it takes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires": None},
        {"expires": "1700000000"},
        {"expires": True},
        {"expires": 10**400},
        {"expires": -5},
        {"expires": float("nan")},
        {"expires": float("inf")},
        {"role": 5},
        {"token": None},
        {"refresh_token": ["x"]},
        {"base_url": {}},
        {"more": "x"},
    ],
    ids=lambda wrong: f"{wrong}"[:30],
)
def test_a_row_of_the_wrong_kind_is_no_deposit(wrong: dict[str, Any], tmp_path: Path) -> None:
    """What is wrong with a bank is said at the start, and not found out at the end of the night."""
    filled(tmp_path / "bank", [ROW, ROW | wrong])

    said = complaint(tmp_path / "bank")

    assert "this is not a token bank: a deposit" in said
    assert "a.b.c" not in said


@pytest.mark.parametrize(
    "content", ["", "[", "null", "7", '{"a": 1}', "[null]", "[[]]", "[" * 100_000, '"\\ud800"']
)
def test_what_is_no_list_of_deposits_is_no_bank(content: str, tmp_path: Path) -> None:
    """Whatever JSON there is, or none: it is refused with one sentence, and left as it is."""
    path = filled(tmp_path / "bank", content)

    assert "this is not a token bank" in complaint(tmp_path / "bank")
    assert path.read_text(encoding="utf-8") == content


def test_bytes_that_are_no_text_are_no_bank(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused like any other that is not a bank."""
    filled(tmp_path / "bank", "").write_bytes(b'["\xff"]')

    assert "this is not a token bank" in complaint(tmp_path / "bank")


def test_there_is_no_bank_yet(tmp_path: Path) -> None:
    """A bank that is not there yet is empty."""
    assert TokenBank(tmp_path / "bank", HERE).deposits() == []


def test_a_deposit_that_was_altered_is_none(tmp_path: Path) -> None:
    """One character that is another one spoils the bank: a token that was altered would be refused,
    and that would be held against the target.
    """
    bank, path = TokenBank(tmp_path / "bank", HERE), tmp_path / "bank" / "tokens.json"
    bank.deposit([caller()], NOW)
    text = path.read_text(encoding="utf-8")

    path.write_text(text.replace("guest.1", "guest.2"), encoding="utf-8")

    assert "a deposit was altered" in complaint(tmp_path / "bank")


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "encrypted"])
def test_a_file_that_was_cut_off_is_no_bank(key: str, tmp_path: Path) -> None:
    """Wherever a file was cut off: it is refused, and a run leaves it as it is."""
    bank, path = TokenBank(tmp_path / "bank", HERE, key), tmp_path / "bank" / "tokens.json"
    bank.deposit([caller()], NOW)
    data = path.read_bytes()

    for length in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])

        with pytest.raises(SpoiledBank, match="this is not a token bank"):
            bank.deposits()
        with pytest.raises(SpoiledBank):
            bank.deposit([caller()], NOW)
        assert path.read_bytes() == data[:length]


def test_a_file_without_end_is_no_bank(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is larger than any bank is not read to its end."""
    monkeypatch.setattr(module, "_LARGEST", 10)
    filled(tmp_path / "bank", [ROW])

    assert "larger than 10 bytes" in complaint(tmp_path / "bank")


# --- With a key --------------------------------------------------------------------------------


def test_with_a_key_nothing_can_be_read(tmp_path: Path) -> None:
    """With a key the file shows no token, no address and no role, and gives all of it back."""
    bank, path = TokenBank(tmp_path / "bank", HERE, KEY), tmp_path / "bank" / "tokens.json"
    bank.deposit([caller()], NOW)

    text = path.read_text(encoding="utf-8")

    assert list(json.loads(text)) == ["encrypted"]
    assert not [word for word in ("guest", HERE, "eyJ") if word in text]
    assert kept(bank) == ["guest.1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("key", ["", "another passphrase of words"], ids=["none", "another"])
def test_without_the_key_it_is_spoiled(key: str, tmp_path: Path) -> None:
    """Without its key, or with another, a bank cannot be used: what to do is said, and the file
    stays as it is.
    """
    TokenBank(tmp_path / "bank", HERE, KEY).deposit([caller()], NOW)
    before = (tmp_path / "bank" / "tokens.json").read_bytes()

    with pytest.raises(SpoiledBank) as error:
        TokenBank(tmp_path / "bank", HERE, key).deposit([caller()], NOW)

    assert ("another key" if key else "bank_key_env") in str(error.value)
    assert (tmp_path / "bank" / "tokens.json").read_bytes() == before


def test_an_altered_byte_is_noticed(tmp_path: Path) -> None:
    """An encrypted bank of which any piece was altered is refused: the salt, the time, the text,
    the signature.
    """
    bank, path = TokenBank(tmp_path / "bank", HERE, KEY), tmp_path / "bank" / "tokens.json"
    bank.deposit([caller()], NOW)
    text = path.read_text(encoding="utf-8")
    first, last = text.index(': "') + 3, text.rindex('"') - 5

    for place in (first, first + 30, (first + last) // 2, last):
        letter = "B" if text[place] == "A" else "A"
        path.write_text(f"{text[:place]}{letter}{text[place + 1 :]}", encoding="utf-8")

        with pytest.raises(SpoiledBank):
            bank.deposits()


def test_a_bank_gets_a_key(tmp_path: Path) -> None:
    """A bank that was begun without a key is read with one, and encrypted from then on."""
    TokenBank(tmp_path / "bank", HERE).deposit([caller()], NOW)
    bank = TokenBank(tmp_path / "bank", HERE, KEY)

    bank.deposit([caller("guest", 2)], NOW)

    assert kept(bank) == ["guest.1", "guest.2"]
    assert "eyJ" not in (tmp_path / "bank" / "tokens.json").read_text(encoding="utf-8")


# --- From whom ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
def test_a_file_that_others_get_at_is_refused(mode: int, tmp_path: Path) -> None:
    """A bank that others may read or write is a mistake, and how to mend it is said."""
    filled(tmp_path / "bank", [ROW], mode)

    assert f"chmod 600 {tmp_path / 'bank' / 'tokens.json'}" in complaint(tmp_path / "bank")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
@pytest.mark.parametrize("there", [True, False], ids=["with-tokens", "empty"])
def test_a_folder_that_others_may_write_to_is_refused(
    there: bool, mode: int, tmp_path: Path
) -> None:
    """Others who may write to the folder could put a file of theirs in the bank's place: nothing is
    read or written there.
    """
    folder = tmp_path / "bank"
    folder.mkdir()
    if there:
        filled(folder, [ROW])
    folder.chmod(mode)

    assert f"chmod go-w {folder}" in complaint(folder)
    with pytest.raises(UsageError):
        TokenBank(folder, HERE).deposit([caller()], NOW)
    assert [path.name for path in folder.iterdir()] == ["tokens.json"] * there


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A bank that belongs to another user is not read, whatever its mode: he can read it."""
    os.chown(filled(tmp_path / "bank", [ROW]), 65534, 65534)

    assert "belongs to another user" in complaint(tmp_path / "bank")


def test_a_folder_of_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder of another user is refused, unless it is root's, or root runs this: in containers
    the folder is often the user's.
    """
    filled(tmp_path / "bank", [ROW])
    mine = (tmp_path / "bank").stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: mine + 1000)
    owner = mine or 4711
    monkeypatch.setattr(Path, "stat", _with_owner(Path.stat, owner))

    assert "this token bank's folder belongs to another user" in complaint(tmp_path / "bank")

    monkeypatch.setattr(Path, "stat", _with_owner(Path.stat, 0))
    assert "this token bank's folder" not in complaint(tmp_path / "bank")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(Path, "stat", _with_owner(Path.stat, owner))
    TokenBank(tmp_path / "bank", HERE)._check_folder()


def _with_owner(
    stat: Callable[[Path], os.stat_result], owner: int
) -> Callable[[Path], os.stat_result]:
    """What is said of files, but for whose they are."""

    def said(path: Path, **options: Any) -> os.stat_result:
        facts = list(stat(path, **options))
        facts[4] = owner
        return os.stat_result(facts)

    return said


def test_a_bank_is_a_folder(tmp_path: Path) -> None:
    """A file in the folder's place is not a bank."""
    (tmp_path / "bank").touch()

    assert "this is not a token bank: a bank is a folder" in complaint(tmp_path / "bank")


def test_a_link_is_no_bank(tmp_path: Path) -> None:
    """A link in the bank's place, to wherever it leads, is not followed."""
    elsewhere = filled(tmp_path / "elsewhere", [ROW])
    (tmp_path / "bank").mkdir(mode=0o700)
    (tmp_path / "bank" / "tokens.json").symlink_to(elsewhere)

    assert "cannot be read" in complaint(tmp_path / "bank")
    assert json.loads(elsewhere.read_text(encoding="utf-8")) == [ROW]


def test_a_pipe_is_no_bank(tmp_path: Path) -> None:
    """A pipe in the bank's place is refused at once; what may come through it is not awaited."""
    (tmp_path / "bank").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "bank" / "tokens.json", 0o600)

    assert "it is not a regular file" in complaint(tmp_path / "bank")


def test_files_that_somebody_laid_out_are_not_used(tmp_path: Path) -> None:
    """A new file is one that was not there before, for its owner alone: names laid out in advance
    get no token. What a run that was killed had begun to write is cleared away as well.
    """
    folder = tmp_path / "bank"
    folder.mkdir(mode=0o700)
    laid = folder / f".tokens.{os.getpid()}.new"
    laid.touch(mode=0o666)
    before = os.umask(0)
    try:
        TokenBank(folder, HERE).deposit([caller()], NOW)
    finally:
        os.umask(before)

    assert stat.S_IMODE((folder / "tokens.json").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["tokens.json", "tokens.lock"]


def test_windows_has_no_such_modes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where every file's mode is 0666 (Windows) the bank works on the second night, too."""
    monkeypatch.setattr(module, "_HAS_MODES", False)
    filled(tmp_path / "bank", [ROW], 0o666)
    bank = TokenBank(tmp_path / "bank", HERE)

    bank.deposit([caller()], NOW)

    assert len(bank.deposits()) == 2


# --- Two at a time -----------------------------------------------------------------------------


class Watch:
    """A simulated clock, which sleeping moves; ``at`` plans what happens at a moment."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []
        self.at: dict[float, Callable[[], object]] = {}

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        self.naps.append(seconds)
        self.now += seconds
        for moment in [moment for moment in self.at if moment <= self.now]:
            self.at.pop(moment)()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The time of who waits for the lock."""
    watch = Watch()
    monkeypatch.setattr(file_lock, "time", watch)
    return watch


def test_a_lock_that_is_kept_is_told(watch: Watch, tmp_path: Path) -> None:
    """Where another run keeps the bank for good, this one waits for twenty seconds, says so, and
    goes on without it.
    """
    bank = TokenBank(tmp_path / "bank", HERE)
    bank.deposit([caller()], NOW)

    with bank._locked(), pytest.raises(UsageError) as error:
        bank.deposit([caller()], NOW)

    assert str(error.value).startswith(
        f"{tmp_path / 'bank'}: another run keeps this token bank locked"
    )
    assert error.value.hint == "Wait for its end."
    assert 20 < watch.now < 20.1
    assert set(watch.naps) == {0.02}
    bank.deposit([caller()], NOW)
    assert len(bank.deposits()) == 2


def test_a_lock_that_is_given_back_is_taken(watch: Watch, tmp_path: Path) -> None:
    """Another run needs milliseconds: this one comes after it."""
    bank = TokenBank(tmp_path / "bank", HERE)
    bank.deposit([caller()], NOW)
    other = contextlib.ExitStack()
    other.enter_context(bank._locked())
    watch.at[0.05] = other.close

    bank.deposit([caller()], NOW)

    assert 0.05 <= watch.now < 0.1
    assert len(bank.deposits()) == 2


def test_windows_locks_the_first_byte(
    monkeypatch: pytest.MonkeyPatch, watch: Watch, tmp_path: Path
) -> None:
    """Where there is no fcntl the system's own lock is used: taken without waiting, tried again,
    and given back.
    """
    taken: list[tuple[str, int]] = []
    refuse = [PermissionError("somebody has it")]

    def locking(descriptor: int, mode: str, count: int) -> None:
        taken.append((mode, count))
        if refuse:
            raise refuse.pop()

    monkeypatch.setattr(file_lock, "fcntl", None)
    monkeypatch.setitem(
        sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK="lock", LK_UNLCK="unlock")
    )
    bank = TokenBank(tmp_path / "bank", HERE)

    bank.deposit([caller()], NOW)

    assert taken == [("lock", 1), ("lock", 1), ("unlock", 1)]
    assert watch.naps == [0.02]
    assert len(bank.deposits()) == 1


def test_the_module_loads_where_there_is_no_fcntl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported on Windows, which has no fcntl."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    spec = importlib.util.spec_from_file_location("lock_on_windows", file_lock.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lock_on_windows", copy)

    spec.loader.exec_module(copy)

    assert copy.fcntl is None
    assert copy.lock.__name__ == "lock"


def test_a_disk_that_is_full_costs_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When tonight's tokens cannot be written, those of yesterday are still there, and no piece of
    a file is.
    """
    bank = TokenBank(tmp_path / "bank", HERE)
    bank.deposit([caller()], NOW)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        bank.deposit([caller("guest", 2)], NOW)

    assert [deposit.refresh_token for deposit in bank.deposits()] == ["guest.1"]
    assert sorted(path.name for path in (tmp_path / "bank").iterdir()) == [
        "tokens.json",
        "tokens.lock",
    ]
