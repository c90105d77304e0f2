"""The file of waivers: what it can hold, what is refused and where, and how it is filled in."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from rolecall.errors import UsageError
from rolecall.schema_validation import validation_errors
from rolecall.waiver_file import filled_in, note_seen
from rolecall.waivers import Waiver, load_waivers, parse_waivers

DECIDES = {"PERM-list-users": True, "EXPIRY-403": True, "SEC-I20": False}
CELLS = {"PERM-list-users": ["list-users-guest-token", "list-users-agent-token"]}
TODAY = date(2026, 11, 26)
WHOLE = """\
# why we have these

[[waiver]]
requirement = "PERM-list-users"
cell = "list-users-guest-*"
reason = "known since the migration"  # a remark
owner = "team-users"
link = "https://tracker.example.org/1"
until = 2026-12-31

# the next one
[[ waiver ]] # of expiry
requirement = "EXPIRY-403"
reason = \"\"\"
two
# lines\"\"\"
owner = "team-auth"
until = "2027-01-31"
first_seen = 2026-11-01
last_seen = 2026-11-02 # by hand
"""
ENTRY = '[[waiver]]\nrequirement = "EXPIRY-403"\nreason = "r"\nowner = "o"\nuntil = 2027-01-31\n'


ENDLESS = Path("/dev/zero")


def parse(text: str) -> list[Waiver]:
    """The entries of a text."""
    return parse_waivers(text, "waivers.toml", DECIDES, CELLS)


def test_a_file_is_read() -> None:
    """Each entry has its settings, its line, and dates whether they are TOML's or strings."""
    assert parse(WHOLE) == [
        Waiver(
            "PERM-list-users",
            "known since the migration",
            "team-users",
            date(2026, 12, 31),
            3,
            "list-users-guest-*",
            "https://tracker.example.org/1",
        ),
        Waiver(
            "EXPIRY-403",
            "two\n# lines",
            "team-auth",
            date(2027, 1, 31),
            12,
            first_seen=date(2026, 11, 1),
            last_seen=date(2026, 11, 2),
        ),
    ]
    assert parse("") == parse("# none yet\n") == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"EXPIRY-403"', '"EXPIRY-430"', "line 2, [[waiver]] requirement: unknown requirement"),
        ('"EXPIRY-403"', '"EXPIRY-430"', "Did you mean 'EXPIRY-403'?"),
        ('"EXPIRY-403"', '"SEC-I20"', "line 2, [[waiver]] requirement: SEC-I20 is advice"),
        ('reason = "r"\n', "", "line 1, [[waiver]] reason: this is missing"),
        ('"r"', '" "', "line 3, [[waiver]] reason: this is empty"),
        ('"o"', "1", "line 4, [[waiver]] owner: this must be a string"),
        ("until = 2027-01-31\n", "", "line 1, [[waiver]] until: this is missing"),
        ("2027-01-31", '"soon"', "line 5, [[waiver]] until: this must be a date"),
        ("2027-01-31", "2027-01-31T00:00:00Z", "line 5, [[waiver]] until: this must be a date"),
        ("2027-01-31", "1", "line 5, [[waiver]] until: this must be a date"),
        ("owner", "Owner", "line 4, [[waiver]] Owner: unknown setting\n  Did you mean 'owner'?"),
        ("[[waiver]]", "[[waivers]]", "unknown setting 'waivers'\n  Did you mean 'waiver'?"),
        ("[[waiver]]", "[waiver]", "each waiver must begin with a line of its own, [[waiver]]"),
        ("until = ", 'link = "tracker"\nuntil = ', "line 5, [[waiver]] link: this must be a URL"),
        ("until = ", 'cell = "*"\nuntil = ', "line 5, [[waiver]] cell: no cell of EXPIRY-403"),
        ('"r"', '"r', "waivers.toml: this is not TOML: "),
        ('"r"', "[" * 100_000, "waivers.toml: this is not read: it is nested"),
        (
            "2027-01-31\n",
            "2027-01-31\n" + ENTRY,
            "line 7, [[waiver]] requirement: the waiver of line 1",
        ),
    ],
)
def test_mistakes_are_said_with_their_line(old: str, new: str, said: str) -> None:
    """What is unknown, missing, of a wrong type or about nothing is one message with its place."""
    with pytest.raises(UsageError) as caught:
        parse(ENTRY.replace(old, new))
    assert said in str(caught.value)


def test_a_pattern_that_fits_no_cell_is_a_mistake() -> None:
    """A pattern that could never cover anything is refused, with how cells are called."""
    with pytest.raises(UsageError, match=r"line 5, .* 'list-user-\*'\n.*list-users-guest"):
        parse(WHOLE.replace("list-users-guest-*", "list-user-*"))


def test_entries_that_have_no_line_are_refused() -> None:
    """What would be a waiver without a header of its own has no line to name."""
    with pytest.raises(UsageError, match="a line of its own"):
        parse('waiver = [{requirement = "EXPIRY-403"}]')


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A file that is not there, or no text, is a usage error."""
    path = tmp_path / "waivers.toml"
    with pytest.raises(UsageError, match="the waivers cannot be read: No such file"):
        load_waivers(path, DECIDES, CELLS, TODAY)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        load_waivers(path, DECIDES, CELLS, TODAY)
    path.write_text(f"x = {'9' * 5000}", encoding="utf-8")
    with pytest.raises(UsageError, match="a number has too many digits"):
        load_waivers(path, DECIDES, CELLS, TODAY)


@pytest.mark.skipif(not ENDLESS.exists(), reason="there is no /dev/zero here")
def test_a_file_without_an_end() -> None:
    """What does not end is read up to a bound."""
    with pytest.raises(UsageError, match="it is larger than"):
        load_waivers(ENDLESS, DECIDES, CELLS, TODAY)


def test_all_but_the_dates_stays_as_it_was() -> None:
    """Filling in sets the dates where they stand, or behind the last setting; comments, order and
    strings of several lines are kept.
    """
    days = {"first_seen": date(2026, 11, 1), "last_seen": TODAY}
    expected = WHOLE.replace(
        "until = 2026-12-31\n",
        "until = 2026-12-31\nfirst_seen = 2026-11-01\nlast_seen = 2026-11-26\n",
    ).replace("last_seen = 2026-11-02 # by hand", "last_seen = 2026-11-26 # by hand")

    assert filled_in(WHOLE, {2: days, 11: days}) == expected


@pytest.mark.parametrize("text", [ENTRY, ENTRY.rstrip(), ENTRY + "\n# end", "\ufeff" + ENTRY])
def test_every_ending_of_lines_is_kept(text: str) -> None:
    """Files with CRLF, without a last line end, with a comment behind, with a byte order mark."""
    days = {0: {"first_seen": TODAY, "last_seen": TODAY}}
    new = filled_in(text, days)
    assert new.count("2026-11-26") == 2
    assert new.startswith(text[: text.index("until")])
    windows = filled_in(text.replace("\n", "\r\n"), days)
    assert windows.replace("\r\n", "\n") == new
    assert "\n" not in windows.replace("\r\n", "")


def test_what_cannot_be_filled_in_line_by_line_is_left_alone() -> None:
    """A string that ends with what looks like a comment would get the dates inside it."""
    text = ENTRY.replace("until = 2027-01-31\n", "").replace(
        'owner = "o"', 'until = 2027-01-31\nowner = """o\n#"""'
    )
    with pytest.raises(ValueError, match="cannot be filled in"):
        filled_in(text, {0: {"last_seen": TODAY}})


class TestTheFile:
    """Noting on disk when a waiver was needed."""

    def written(self, folder: Path, text: str = WHOLE) -> tuple[Path, list[Waiver]]:
        """A file, and its entries."""
        path = folder / "waivers.toml"
        path.write_text(text, encoding="utf-8")
        return path, parse(text)

    def test_it_is_filled_in_once_a_day(self, tmp_path: Path) -> None:
        """The first day stays, the last one moves, and a second run of a day writes nothing."""
        path, (first, second) = self.written(tmp_path)
        path.chmod(0o640)
        assert note_seen(path, WHOLE, [first, second], TODAY) == ""

        text = path.read_text(encoding="utf-8")
        again = parse(text)
        assert [(w.first_seen, w.last_seen) for w in again] == [
            (TODAY, TODAY),
            (date(2026, 11, 1), TODAY),
        ]
        assert [replace(w, first_seen=None, last_seen=None, line=0) for w in again] == [
            replace(w, first_seen=None, last_seen=None, line=0) for w in (first, second)
        ]
        assert path.stat().st_mode & 0o777 == 0o640
        before = path.stat()
        assert note_seen(path, text, again, TODAY) == ""
        assert path.stat() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        """A file that is reached by a link is written where it is."""
        path, waivers = self.written(tmp_path)
        link = tmp_path / "link.toml"
        link.symlink_to(path)
        assert note_seen(link, WHOLE, waivers, TODAY) == ""
        assert link.is_symlink()
        assert "last_seen = 2026-11-26" in path.read_text(encoding="utf-8")

    def test_a_file_that_was_edited_meanwhile_is_left_alone(self, tmp_path: Path) -> None:
        """What somebody wrote during the run is not overwritten, and that is said."""
        path, waivers = self.written(tmp_path)
        path.write_text(WHOLE + "# edited\n", encoding="utf-8")
        assert "changed during the run" in note_seen(path, WHOLE, waivers, TODAY)
        assert path.read_text(encoding="utf-8") == WHOLE + "# edited\n"

    def test_what_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        """A file that is gone, or written in another way, is a sentence and no end of a run."""
        path, waivers = self.written(tmp_path)
        path.unlink()
        assert "No such file" in note_seen(path, WHOLE, waivers, TODAY)
        odd = ENTRY.replace("until = 2027-01-31", 'until = 2027-01-31\n"last_seen" = 2026-01-01')
        path, waivers = self.written(tmp_path, odd)
        assert "on a line of its own" in note_seen(path, odd, waivers, TODAY)
        assert path.read_text(encoding="utf-8") == odd


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("2027-01-31", '"2027-01-31"'),
        ("owner", 'link = "https://tracker.example.org/1"\nowner'),
        ('"r"', '""'),
        ('"o"', "1"),
        ("until = 2027-01-31\n", ""),
        ("2027-01-31", '"soon"'),
        ("owner", "Owner"),
        ("[[waiver]]", "[[waivers]]"),
        ("owner", 'link = "tracker"\nowner'),
    ],
)
def test_the_schema_says_what_the_reader_does(old: str, new: str) -> None:
    """An editor with waivers.schema.json takes and refuses what a run does."""
    text = ENTRY.replace(old, new) if old else ENTRY
    document = json.loads(json.dumps(tomllib.loads(text), default=str))
    try:
        parse(text)
        is_taken = True
    except UsageError:
        is_taken = False
    assert (validation_errors("waivers", document) == []) is is_taken
