"""Servers of other stacks, written from the specification alone, are certified and not harmed."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rolecall.spec.loading import load_specification
from rolecall.spec.model import TOKEN, Cell
from tests.support.command import environment, rolecall

SPEC = load_specification()
FOREIGN = Path(__file__).parents[1] / "foreign"
KEY = "the signing key of a foreign server: long enough"
SERVERS = {"node": ("node", "node/server.mjs"), "java": ("java", "java/Server.java")}


@contextmanager
def foreign(name: str, *options: str, folder: Path = FOREIGN) -> Iterator[str]:
    """A server of another stack, as long as the block lasts; its target file. Its code is in a
    ``folder`` like `FOREIGN`.
    """
    program, file = SERVERS[name]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    process = subprocess.Popen(
        [program, str(folder / file), "--port", "0", *options],
        env=environment(ROLECALL_SIGNING_KEY=KEY),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            yield "".join(itertools.takewhile("# ready\n".__ne__, process.stdout))
        finally:
            process.terminate()
            process.wait(10)


def census(text: str) -> dict[str, Any]:
    """Everything that the server holds."""
    url = text.partition('base_url = "')[2].partition('"')[0]
    document: dict[str, Any] = httpx.get(f"{url}/__census", timeout=10, trust_env=False).json()
    return document


def flat(document: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a document by their paths, without time stamps."""
    if isinstance(document, dict):
        return {
            key: value
            for name, inner in document.items()
            for key, value in flat(inner, f"{path}/{name}").items()
        }
    if isinstance(document, list):
        named = [
            (str(inner.get("id", index)) if isinstance(inner, dict) else str(index), inner)
            for index, inner in enumerate(document)
        ]
        return {
            key: value
            for name, inner in named
            for key, value in flat(inner, f"{path}/{name}").items()
        }
    return {} if path.endswith(("updatedAt", "now", "time")) else {path: document}


@pytest.mark.long
@pytest.mark.parametrize("name", SERVERS)
def test_a_foreign_server_is_certified(name: str, tmp_path: Path) -> None:
    """A server that was not written for the judge, lawful by the documents, is conformant, and
    everything on it is as it was.
    """
    with foreign(name) as text:
        (tmp_path / "target.toml").write_text(text, encoding="utf-8")
        before = flat(census(text))
        finished = rolecall(
            "certify",
            "target.toml",
            "--out",
            "runs",
            cwd=tmp_path,
            env={"ROLECALL_SIGNING_KEY": KEY},
        )
        after = flat(census(text))

    assert finished.results["findings"] == [], finished.said
    assert finished.results["verdict"] == "conformant", finished.said
    assert finished.results["counts"]["cells"]["passed"] == 376, finished.said
    assert {
        key: (value, after.get(key)) for key, value in before.items() if after.get(key) != value
    } == {}
    assert finished.results["left_behind"] == []


#: Twenty cells of time-based tokens, drawn once and for all: each kind of operation, each role,
#: allowed and denied.
FLIPS = random.Random(10).sample([cell for cell in SPEC.cells if cell.credential == TOKEN], 20)


#: Eight of them that the long tests try.
EIGHT = random.Random(20).sample(FLIPS, 8)


def test_the_sample_of_flips_has_all_kinds() -> None:
    """Of the eight some are allowed and some are not; every effect and every role is among them,
    and one's own user.
    """
    assert {cell.expected for cell in EIGHT} == {"allow", "deny"}
    assert {SPEC.operations[cell.operation].effect for cell in EIGHT} == {
        "list",
        "fetch",
        "create",
        "update",
        "delete",
    }
    assert {cell.role for cell in EIGHT} == set(SPEC.roles)
    assert any(SPEC.operations[cell.operation].is_self for cell in EIGHT)


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(
            cell,
            id=f"{cell.operation}-{cell.role}",
            marks=pytest.mark.long if cell in EIGHT else pytest.mark.nightly,
        )
        for cell in FLIPS
    ],
)
def test_a_flip_on_a_foreign_server_is_found_as_itself(cell: Cell, tmp_path: Path) -> None:
    """One wrong cell of a server by other hands fails for token and key, and nothing else is held
    against that server.
    """
    operation = SPEC.operations[cell.operation]
    kind = operation.resource.collection.rpartition("/")[2]
    action = "remove" if operation.effect == "delete" else operation.effect
    flip = "/".join([action, kind, *(["self"] if operation.is_self else []), cell.role])
    with foreign("node", "--flip", flip) as text:
        (tmp_path / "target.toml").write_text(text, encoding="utf-8")
        finished = rolecall(
            "certify",
            "target.toml",
            "--out",
            "runs",
            cwd=tmp_path,
            env={"ROLECALL_SIGNING_KEY": KEY},
        )

    assert {finding["requirement"] for finding in finished.results["findings"]} == {
        operation.requirement
    }, finished.said
    failed = [
        (cell["operation"], cell["role"], cell["credential"])
        for cell in finished.results["cells"]
        if cell["outcome"] == "failed"
    ]
    assert sorted(failed) == [
        (cell.operation, cell.role, credential) for credential in ("api-key", "token")
    ]
    assert finished.code == 1


#: Bugs of the foreign servers, as patches.
BUGS = sorted((FOREIGN / "bugs").glob("*/*.patch"))


#: Four of them that the long tests try: a bug that decides and one that is advice, in each server.
SAMPLE = {
    "node-09-account-without-password",
    "node-17-key-cache-outlives-user",
    "java-12-refreshed-exp",
    "java-17-revoked-key",
}


def patched(patch: Path, folder: Path) -> Path:
    """A copy of the server that a bug is for, with the bug; in the ``folder``, laid out as
    `FOREIGN` is.
    """
    file = SERVERS[patch.parent.name][1]
    server = folder / file
    server.parent.mkdir(parents=True)
    shutil.copy(FOREIGN / file, server)
    applied = subprocess.run(
        ["git", "apply", "-p1", str(patch)],
        cwd=server.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    return server


def name_of(patch: Path) -> str:
    """A bug's name among the tests: its server and its file."""
    return f"{patch.parent.name}-{patch.stem}"


def named() -> dict[str, str]:
    """The requirement that the table of the bugs names beside each."""
    rows = (
        line.strip("| ").split(" | ")
        for line in (FOREIGN / "bugs" / "README.md").read_text(encoding="utf-8").splitlines()
    )
    return {f"{row[0]}-{row[1].partition(':')[0]}": row[2] for row in rows if row[0] in SERVERS}


@pytest.mark.parametrize("patch", [pytest.param(patch, id=name_of(patch)) for patch in BUGS])
def test_a_bug_fits_its_server(patch: Path, tmp_path: Path) -> None:
    """Each bug says what it is and what it breaks, and can be put into the server as it is now."""
    text = patch.read_text(encoding="utf-8")

    server = patched(patch, tmp_path)

    assert all(f"# {head}: " in text for head in ("what", "breaks", "modelled on", "seen by"))
    assert server.read_bytes() != (FOREIGN / server.relative_to(tmp_path)).read_bytes()


def test_every_bug_is_in_the_table() -> None:
    """The table has each bug, and a requirement that is one beside it; the sample is of them."""
    table = named()

    assert set(table) == {name_of(patch) for patch in BUGS}
    assert set(table.values()) <= set(SPEC.requirements)
    assert set(table) >= SAMPLE


def first_named(patch: Path, folder: Path) -> str:
    """What a whole run holds against the server with this bug first: a finding, else advice that
    the server without it does not get.
    """
    with foreign(patch.parent.name, folder=patched(patch, folder / "server").parent.parent) as text:
        (folder / "target.toml").write_text(text, encoding="utf-8")
        finished = rolecall(
            "certify", "target.toml", "--out", "runs", cwd=folder, env={"ROLECALL_SIGNING_KEY": KEY}
        )
    held = [*finished.results["findings"], *finished.results["advice"]]
    return next(
        (entry["requirement"] for entry in held if entry["requirement"] not in ADVICE_WITHOUT_BUGS),
        "",
    )


#: What the two servers are advised as they are.
ADVICE_WITHOUT_BUGS = {"RESPONSE-error", "SEC-T08-milliseconds"}


def bugs(chosen: Callable[[str], bool]) -> pytest.MarkDecorator:
    """One test per bug whose name is ``chosen``."""
    return pytest.mark.parametrize(
        "patch", [pytest.param(bug, id=name_of(bug)) for bug in BUGS if chosen(name_of(bug))]
    )


@pytest.mark.long
@bugs(SAMPLE.__contains__)
def test_a_bug_of_the_sample_is_found_as_itself(patch: Path, tmp_path: Path) -> None:
    """A run on a server by other hands with a bug of theirs names first what the table names: that
    which is broken.
    """
    assert first_named(patch, tmp_path) == named()[name_of(patch)]


@pytest.mark.nightly
@bugs(lambda name: True)
def test_a_bug_is_found_as_itself(patch: Path, tmp_path: Path) -> None:
    """Each of the forty bugs is named first as the table names it."""
    assert first_named(patch, tmp_path) == named()[name_of(patch)]
