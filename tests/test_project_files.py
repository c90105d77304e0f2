"""The files that say how the project is built, checked and released agree with each other."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


@pytest.fixture(name="project", scope="module")
def _project() -> Any:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(name="tox", scope="module")
def _tox() -> configparser.ConfigParser:
    """tox.ini."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    return tox


def loaded(workflow: Path) -> Any:
    """A workflow as data."""
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))


class TestWorkflow:
    """What runs for every change."""

    @pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
    def test_is_valid(self, workflow: Path) -> None:
        """It is as GitHub's schema says, which check-jsonschema brings along."""
        check = [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.github-workflows",
            str(workflow),
        ]

        finished = subprocess.run(check, capture_output=True, text=True, check=False)

        assert 0 == finished.returncode, finished.stdout + finished.stderr

    @pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
    def test_may_only_read(self, workflow: Path) -> None:
        """Its token reads the repository and does nothing else, in no job."""
        document = loaded(workflow)

        assert {"contents": "read"} == document["permissions"]
        assert [] == [name for name, job in document["jobs"].items() if "permissions" in job]

    @pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
    def test_actions_are_pinned(self, workflow: Path) -> None:
        """Each action is named by a commit, with its version beside it: a tag may be moved."""
        used = re.findall(r"uses: *(.*)", workflow.read_text(encoding="utf-8"))

        assert used
        assert [] == [
            action
            for action in used
            if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", action)
        ]

    def test_runs_what_there_is(self, tox: configparser.ConfigParser) -> None:
        """Each environment of tox and each target of make that a job names is there."""
        commands = [
            step.get("run", "")
            for path in WORKFLOWS
            for job in loaded(path)["jobs"].values()
            for step in job["steps"]
        ]
        environments = {
            name
            for line in commands
            for names in re.findall(r"tox run -e (\S+)", line)
            for name in names.split(",")
        }
        targets = {
            word
            for line in commands
            if line.startswith("make")
            for word in line.split()[1:]
            if "=" not in word
        }
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")

        assert environments
        assert targets
        assert set() == {name for name in environments if f"testenv:{name}" not in tox}
        assert set() == {
            target
            for target in targets
            if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
        }


def test_the_same_pythons_everywhere(project: Any, tox: configparser.ConfigParser) -> None:
    """The classifiers, tox and the workflow name the same versions of Python."""
    classifiers = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line)
        for line in project["project"]["classifiers"]
    ]
    matrices = [
        job["strategy"]["matrix"]["python"]
        for path in WORKFLOWS
        for job in loaded(path)["jobs"].values()
        if "strategy" in job
    ]

    assert PYTHONS == [found[1] for found in classifiers if found]
    assert [PYTHONS] == matrices
    assert "py3{11,12,13,14}" in tox["tox"]["env_list"]
    assert f">={PYTHONS[0]}" == project["project"]["requires-python"]


def test_hooks_use_the_tools_that_are_installed(project: Any) -> None:
    """Each hook of pre-commit runs a tool of the group `dev`, so that it is the version that `make
    lint` has.
    """
    hooks = loaded(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    group = {
        re.split(r"[<>=]", requirement)[0] for requirement in project["dependency-groups"]["dev"]
    }

    assert tools
    assert set() == tools - group
