"""The script of a run's page judges the cells as the suite does, from the evidence alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Watched
from tests.support.pages import NODE, judged_again
from tests.support.run_documents import RunDocuments
from tests.support.servers import certify, serving

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no Node here")

OLD, MARK = "rolecall-1-create-contact", "rolecall-2-update-contact"
THING = {"id": "c1", "profile": {"name": OLD}}
CHANGED = {"id": "c1", "profile": {"name": MARK}}
BODY = {"profile": {"name": MARK}}
Numbers = dict[str, int]
Story = Callable[[RunDocuments, Numbers], object]


def denied(run: RunDocuments, effect: str, **answer: Any) -> Numbers:
    """The evidence of a cell that is denied as it should be, but for its ``answer``."""
    method = {"update": "PATCH", "delete": "DELETE"}.get(effect, "GET")
    path = "/v2/contacts" if effect == "list" else "/v2/contacts/c1"
    sent = BODY if effect == "update" else None
    shown = [THING] if effect == "list" else THING
    evidence = {
        "answer": run.exchange(
            method,
            path,
            **{"status": 403, "caller": "guest (token)", "at": 100, "sent": sent, **answer},
        ),
        "control": run.exchange(method, path, body=shown, sent=sent, at=300),
        "alive": run.exchange(path="/v2/users/me", caller="guest (token)", at=400),
    }
    if effect not in ("list", "fetch"):
        evidence["observation"] = run.exchange(body=THING, at=200)
    return evidence


def entry(run: RunDocuments, number: int) -> Any:
    """An exchange of evidence.har."""
    return run.entries[number - 1]


def answer_of(text: Any, status: int = 200, piece: str = "answer") -> Story:
    """One piece is answered otherwise."""

    def change(run: RunDocuments, evidence: Numbers) -> None:
        response = entry(run, evidence[piece])["response"]
        response["status"] = status
        response["content"]["text"] = text if isinstance(text, str) else json.dumps(text)

    return change


def without(piece: str) -> Story:
    """One piece is missing."""
    return lambda run, evidence: evidence.pop(piece)


def earlier(piece: str) -> Story:
    """One piece was sent before the answer came."""

    def change(run: RunDocuments, evidence: Numbers) -> None:
        when = entry(run, evidence["answer"])["startedDateTime"]
        entry(run, evidence[piece])["startedDateTime"] = when

    return change


def other(piece: str, **members: str) -> Story:
    """One piece has another caller, or another request."""

    def change(run: RunDocuments, evidence: Numbers) -> None:
        found = entry(run, evidence[piece])
        found["_caller"] = members.get("caller", found["_caller"])
        found["request"] |= {
            name: value for name, value in members.items() if name in found["request"]
        }
        if token := members.get("token"):
            found["request"]["headers"] = [{"name": "Authorization", "value": f"Bearer {token}"}]

    return change


def as_it_is(run: RunDocuments, evidence: Numbers) -> None:
    """Nothing is different."""


#: Denied cells: the effect, what is different about the evidence, and the verdict.
DENIED: dict[str, tuple[str, Story, str]] = {
    "a refused fetch": ("fetch", as_it_is, "passed"),
    "a refused list": ("list", as_it_is, "passed"),
    "a refused update": ("update", as_it_is, "passed"),
    "a refused delete": ("delete", as_it_is, "passed"),
    "let in": ("fetch", answer_of(THING), "failed"),
    "a redirect": ("fetch", answer_of("", 302), "failed"),
    "a server error": ("update", answer_of("", 500), "failed"),
    "another status": ("fetch", answer_of("", 401), "failed"),
    "a refusal that shows the thing": ("fetch", answer_of({"was": THING}, 403), "failed"),
    "a refusal that names it": ("fetch", answer_of(f"not {OLD}", 403), "failed"),
    "updated all the same": ("update", answer_of(CHANGED, piece="observation"), "failed"),
    "deleted all the same": ("delete", answer_of("", 404, "observation"), "failed"),
    "no answer": ("fetch", answer_of("", 0), "inconclusive"),
    "no control": ("fetch", without("control"), "inconclusive"),
    "a control that failed": ("update", answer_of("", 404, "control"), "inconclusive"),
    "a control that shows nothing": ("fetch", answer_of("{}", piece="control"), "inconclusive"),
    "a control of another thing": (
        "update",
        other("control", url="https://chat.example.org/v2/contacts/c2"),
        "inconclusive",
    ),
    "a control of another kind": ("delete", other("control", method="GET"), "inconclusive"),
    "a control by who may not": ("fetch", other("control", caller="guest (token)"), "inconclusive"),
    "nothing was looked at": ("update", without("observation"), "inconclusive"),
    "looked at before": ("delete", earlier("observation"), "inconclusive"),
    "a look that failed": ("delete", answer_of("", 500, "observation"), "inconclusive"),
    "a thing without that member": (
        "update",
        answer_of({"id": "c1", "colour": "red"}, piece="observation"),
        "inconclusive",
    ),
    "no sign of life": ("fetch", without("alive"), "inconclusive"),
    "alive before": ("fetch", earlier("alive"), "inconclusive"),
    "another is alive": ("fetch", other("alive", caller="admin (token)"), "inconclusive"),
    "another token is alive": ("fetch", other("alive", token="another"), "inconclusive"),
    "another status, and dead": (
        "fetch",
        lambda run, evidence: (answer_of("", 401)(run, evidence), evidence.pop("alive")),
        "inconclusive",
    ),
}


def allowed(run: RunDocuments, effect: str) -> Numbers:
    """The evidence of a cell that is allowed as it should be."""
    at: dict[str, Any] = {"at": 100, "caller": "bot (token)"}
    if effect == "list":
        return {"answer": run.exchange(path="/v2/contacts", body=[{"id": "c0"}, THING], **at)}
    if effect == "fetch":
        return {"answer": run.exchange(body=THING, **at)}
    if effect == "create":
        answer = run.exchange("POST", "/v2/contacts", 201, sent=BODY, body={"id": "c1"}, **at)
        return {"answer": answer, "observation": run.exchange(body=CHANGED, at=200)}
    if effect == "update":
        answer = run.exchange("PATCH", sent=BODY, body="", **at)
        return {"answer": answer, "observation": run.exchange(body=CHANGED, at=200)}
    answer = run.exchange("DELETE", status=204, **at)
    return {"answer": answer, "observation": run.exchange(status=404, at=200)}


def refused(status: int, *pieces: str) -> Story:
    """An allowed cell is refused, with these other pieces."""

    def change(run: RunDocuments, evidence: Numbers) -> None:
        answer_of("", status)(run, evidence)
        if "alive" in pieces:
            evidence["alive"] = run.exchange(path="/v2/forms", caller="bot (token)", at=300)
        if "control" in pieces:
            evidence["control"] = run.exchange(at=400)

    return change


def on_a_later_page(run: RunDocuments, evidence: Numbers) -> None:
    """The list shows the thing only on its second page."""
    answer_of([{"id": "c0"}])(run, evidence)
    evidence["answer shows"] = run.exchange(path="/v2/contacts?offset=1", body=[THING], at=200)


#: Allowed cells in the same way.
ALLOWED: dict[str, tuple[str, Story, str]] = {
    **{
        f"an allowed {effect}": (effect, as_it_is, "passed")
        for effect in ("list", "fetch", "create", "update", "delete")
    },
    "a long list": ("list", on_a_later_page, "passed"),
    "a list without it": ("list", answer_of([{"id": "c0"}]), "failed"),
    "no list": ("list", answer_of({"items": [THING]}), "inconclusive"),
    "another thing": ("fetch", answer_of({"id": "c2"}), "failed"),
    "another success": ("create", answer_of("", 202), "failed"),
    "nothing was created": ("create", answer_of([], piece="observation"), "failed"),
    "nothing was updated": ("update", answer_of(THING, piece="observation"), "failed"),
    "nothing was deleted": ("delete", answer_of(THING, piece="observation"), "failed"),
    "not in the list any more": ("delete", answer_of([{"id": "c0"}], 200, "observation"), "passed"),
    "refused": ("fetch", refused(403, "alive"), "failed"),
    "refused, and dead": ("fetch", refused(403), "inconclusive"),
    "not there": ("fetch", refused(404, "alive"), "inconclusive"),
    "not there, but for others": ("fetch", refused(404, "alive", "control"), "failed"),
    "an error": ("update", answer_of("", 503), "failed"),
}
STORIES = {
    **{("deny", name): story for name, story in DENIED.items()},
    **{("allow", name): story for name, story in ALLOWED.items()},
}


def run_of_stories() -> RunDocuments:
    """A run with a cell for each story, stated as it should be judged."""
    run = RunDocuments()
    for (expected, _), (effect, story, outcome) in STORIES.items():
        evidence = denied(run, effect) if expected == "deny" else allowed(run, effect)
        story(run, evidence)
        role = "guest" if expected == "deny" else "bot"
        marks = {"name": OLD, "mark": MARK if effect in ("create", "update") else ""}
        run.cell(f"{effect}-contact", role, expected, outcome, evidence, **marks)
    for effect in ("list", "fetch", "update", "delete"):
        run.cell(f"{effect}-contact", "admin", "allow", "not-tested")
    return run


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, str], dict[str, Any]]:
    """What the script makes of each story."""
    run = run_of_stories()
    judged = judged_again(run.results(), run.evidence)
    return dict(zip(STORIES, judged, strict=False))


@pytest.mark.parametrize("story", STORIES, ids="-".join)
def test_each_rule(story: tuple[str, str], verdicts: dict[tuple[str, str], dict[str, Any]]) -> None:
    """A cell passes with all of its evidence, fails where the target is wrong, and proves nothing
    where a piece is missing or is of something else.
    """
    judged = verdicts[story]

    assert (judged["outcome"], judged["agrees"]) == (STORIES[story][2], True), judged["why"]


def test_a_tampered_verdict_is_noticed() -> None:
    """Where a verdict is turned round, the script says otherwise of just those cells."""
    run = run_of_stories()
    turned = {"passed": "failed", "failed": "passed", "inconclusive": "passed"}
    for cell in run.cells[::3]:
        cell["outcome"] = turned.get(cell["outcome"], "passed")

    judged = judged_again(run.results(), run.evidence)

    agreed = [cell["agrees"] for cell in judged]
    assert agreed == [number % 3 != 0 for number in range(len(run.cells))]


def test_a_body_that_is_cut_is_not_judged() -> None:
    """Where the page holds only the beginning of a body on which a cell rests, it says so."""
    run = RunDocuments()
    evidence = allowed(run, "list")
    entry(run, evidence["answer"])["response"]["content"]["comment"] = "the first 9 characters"
    run.cell("list-contact", "bot", "allow", "passed", evidence)

    (judged,) = judged_again(run.results(), run.evidence)

    assert (judged["outcome"], judged["agrees"]) == ("unseen", None)


def test_large_ids_are_not_rounded() -> None:
    """Ids that are numbers beyond what JavaScript counts exactly are told apart."""
    run = RunDocuments()
    for shown, outcome in (("9007199254740993", "passed"), ("9007199254740992", "failed")):
        answer = run.exchange(body=f'{{"id": {shown}}}', caller="bot (token)")
        run.cell(
            "fetch-contact", "bot", "allow", outcome, {"answer": answer}, thing="9007199254740993"
        )

    assert [judged["agrees"] for judged in judged_again(run.results(), run.evidence)] == [
        True,
        True,
    ]


# --- Runs ---------------------------------------------------------------------------------------


def documents(folder: Path) -> tuple[Any, Any]:
    """results.json and evidence.har of a run."""
    return tuple(
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("results.json", "evidence.har")
    )


@pytest.mark.long
def test_it_agrees_on_a_whole_run(certified: Watched) -> None:
    """On all 376 cells of a conformant run the page says what the suite says."""
    judged = judged_again(*documents(certified.finished.folder))

    assert len(judged) == 376
    assert [cell for cell in judged if cell["agrees"] is not True] == []


def disagreements(switch: str, name: str, folder: Path) -> list[Any]:
    """The cells of a run against a server with a switch on which page and suite differ."""
    with serving("--clock", f"--{switch}", name) as server:
        finished = certify(server.target_file(folder), "PERM", env=server.env)
    judged = judged_again(*documents(finished.folder))
    assert len(judged) == 376
    return [cell for cell in judged if cell["agrees"] is not True]


@pytest.mark.long
@pytest.mark.parametrize("fault", ["update-does-nothing", "denied-delete-hides"])
def test_it_agrees_on_a_faulty_server(fault: str, tmp_path: Path) -> None:
    """The page finds the cells that fail, and no others."""
    assert disagreements("fault", fault, tmp_path) == []


#: Faults of cells, and lawful servers of every kind.
FAULTY = """
update-does-nothing update-answers-old delete-does-nothing create-does-nothing-below-admin
created-202 list-leaves-out-newest list-leaves-out-others list-is-empty fetch-answers-another
makers-delete-their-own makers-fetch-their-own own-organization-fetched own-organization-updated
denied-delete-marks denied-update-counts denied-delete-hides denied-403-with-data-header
denied-403-with-base64-header flip-list-users-guest
flip-list-conversations-agent flip-list-services-admin flip-fetch-user-self-guest
flip-fetch-organization-admin flip-fetch-contact-agent flip-create-contact-guest
flip-create-message-bot flip-update-form-agent flip-update-user-self-admin
flip-delete-user-bot flip-delete-knowledge-item-bot
"""
LAWFUL = """
lists-lag reads-lag lists-of-25-newest-first lists-of-the-newest-25 list-limit-10 numeric-ids
uuid-ids ids-of-digits opaque-keys opaque-keys-without-user unknown-members-dropped
unknown-members-refused knowledge-items-with-titles wants-members-of-its-own
full-organizations-stay full-conversations-stay every-15th-503 random-503 every-15th-502
resets-now-and-then truncated-json-now-and-then cut-off-now-and-then wrong-content-type
soft-deletes accounts-are-changed-elsewhere lost-answers failed-answers short-lifetimes
ids-with-time trailing-slash-redirected stalls-once gzip
names-are-tidied names-are-cut deletes-are-accepted five-and-twenty-users five-keys-a-user
"""
MANY = [
    *(("fault", name) for name in FAULTY.split()),
    *(("variant", name) for name in LAWFUL.split()),
]


@pytest.mark.nightly
@pytest.mark.parametrize(("switch", "name"), MANY)
def test_it_agrees_on_many_servers(switch: str, name: str, tmp_path: Path) -> None:
    """The page and the suite agree on every cell of runs against sixty servers, good and bad."""
    assert disagreements(switch, name, tmp_path) == []
