"""What a person reads of waivers: reasons of the live ones, and entries to paste."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.report import terminal, waiver_text
from rolecall.waivers import parse_waivers
from tests.support.results import results


def waiver(state: str, **more: Any) -> dict[str, Any]:
    """A waiver of results.json."""
    return {
        "requirement": "PERM-list-users",
        "cell": "list-users-guest-*",
        "reason": "known",
        "owner": "team",
        "link": "https://tracker.example.org/1",
        "line": 3,
        "until": "2026-12-31",
        "first_seen": "2026-11-01",
        "last_seen": "2026-11-26",
        "state": state,
        "failures": ["test[list-users-guest-token]"],
        **more,
    }


def finding(requirement: str, cell: str | None) -> dict[str, Any]:
    """As much of a finding as an entry is made of."""
    return {"requirement": requirement, "cell": cell}


def test_live_waivers_are_printed_with_their_reasons() -> None:
    """Who reads the verdict reads what it rests on; the others are sentences of the verdict."""
    text = waiver_text.text(results(waivers=[waiver("live"), waiver("stale", reason="old")]))
    assert text == (
        "Waived:\n"
        "   PERM-list-users list-users-guest-*: known (team, until 2026-12-31; 1 test, first seen "
        "2026-11-01)\n"
        "      https://tracker.example.org/1"
    )
    assert "Waived:" in terminal.summary(results(waivers=[waiver("live")]), "folder")


def test_a_new_failure_has_a_ready_entry() -> None:
    """The entry names the requirement and the cell, and is refused until somebody says why, who
    answers for it and until when.
    """
    text = waiver_text.text(
        results(
            waiver_file="waivers.toml",
            waivers=[],
            findings=[
                finding("PERM-list-users", "list-users-guest-token"),
                finding("PERM-list-users", "list-users-guest-token"),
                finding("EXPIRY-403", None),
            ],
        )
    )
    heading, _, toml = text.partition("\n")
    assert "waivers.toml" in heading
    assert toml.count("[[waiver]]") == 2
    known = {"PERM-list-users": True, "EXPIRY-403": True}
    cells = {"PERM-list-users": ["list-users-guest-token"]}
    for empty in ("reason", "owner", "until"):
        with pytest.raises(UsageError, match=empty):
            parse_waivers(toml, "waivers.toml", known, cells)
        toml = toml.replace('reason = ""', 'reason = "r"') if empty == "reason" else toml
        toml = toml.replace('owner = ""', 'owner = "o"') if empty == "owner" else toml
    toml = toml.replace("# until = YYYY-MM-DD, its last day", "until = 2027-01-31")
    toml = toml.replace('link = ""\n', "")
    assert [str(entry) for entry in parse_waivers(toml, "waivers.toml", known, cells)] == [
        "PERM-list-users list-users-guest-token",
        "EXPIRY-403",
    ]


def test_many_failures_are_cut() -> None:
    """A server that fails everywhere does not fill the screen with entries."""
    findings = [finding(f"SEC-{number}", None) for number in range(20)]
    text = waiver_text.text(results(waiver_file="w.toml", waivers=[], findings=findings))
    assert text.count("[[waiver]]") == waiver_text.MOST
    assert text.endswith("... and 15 more failures")


def test_what_expired_is_no_new_failure() -> None:
    """A failure whose waiver ended has its entry already, which says until when."""
    document = results(
        waiver_file="w.toml",
        waivers=[waiver("expired", cell="")],
        findings=[finding("PERM-list-users", None)],
    )
    assert waiver_text.text(document) == ""


def test_without_a_file_nothing_is_said() -> None:
    """Who does not use waivers reads nothing of them."""
    assert waiver_text.text(results(findings=[finding("SEC-1", None)])) == ""
    assert waiver_text.text(results(findings=[], waivers=[], waiver_file="w.toml")) == ""
