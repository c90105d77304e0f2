"""The examples of certifying every night are valid, and the command accepts what they call."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from rolecall.__main__ import _parser

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
WORKFLOW, ACTION = EXAMPLES / "github" / "workflow.yml", EXAMPLES / "github" / "action.yml"
GITLAB, COMPOSE = EXAMPLES / "gitlab-ci.yml", EXAMPLES / "nightly-compose.yaml"
KUBERNETES = EXAMPLES / "nightly-kubernetes.yaml"
SERVICE, TIMER = (EXAMPLES / "systemd" / f"rolecall.{kind}" for kind in ("service", "timer"))
#: By file: the schema that check-jsonschema brings along, and a line that it must refuse.
SCHEMAS = {
    WORKFLOW: ("vendor.github-workflows", "jobs:", "job:"),
    ACTION: ("vendor.github-actions", "using: composite", "using: nothing"),
    GITLAB: ("vendor.gitlab-ci", "when: always", "when: perhaps"),
    COMPOSE: ("vendor.compose-spec", "tmpfs:", "tempfs:"),
}


def checked(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    """A file, checked by a published schema."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(check, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_is_as_its_schema_says(path: Path) -> None:
    """Each file is what its service takes."""
    done = checked(path, SCHEMAS[path][0])

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_schema_finds_what_is_wrong(path: Path, tmp_path: Path) -> None:
    """The same check refuses the file with one word misspelt."""
    schema, right, wrong = SCHEMAS[path]
    text = path.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / path.name
    broken.write_text(text.replace(right, wrong), encoding="utf-8")

    assert 1 == checked(broken, schema).returncode


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_cron_job_is_valid(version: str) -> None:
    """Every manifest is as the API's schema says, with no member that it does not know."""
    manifests = list(yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8")))

    assert ["PersistentVolumeClaim", "CronJob"] == [entry["kind"] for entry in manifests]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)
    wrong = {**manifests[1], "spec": {**manifests[1]["spec"], "shedule": "x"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_units_are_valid(tmp_path: Path) -> None:
    """Both units are read by systemd without a warning; the command is put where there is one."""
    systemd = shutil.which("systemd-analyze")
    if not systemd:
        pytest.skip("no systemd-analyze here")
    units = []
    for unit in (SERVICE, TIMER):
        text = unit.read_text(encoding="utf-8").replace("/usr/local/bin/rolecall", "/bin/true")
        units.append(tmp_path / unit.name)
        units[-1].write_text(text, encoding="utf-8")
    done = subprocess.run(
        [systemd, "verify", *map(str, units)], capture_output=True, text=True, check=False
    )

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def linted(tool: str, *words: str, folder: Path) -> str:
    """What a linter says where it is installed; nothing is fine."""
    program = shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))
    if not program:
        pytest.skip(f"no {tool} here")
    done = subprocess.run(
        [program, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert bool(said) == bool(done.returncode), said
    return said


def test_the_dockerfile_is_fine() -> None:
    """Hadolint finds nothing."""
    assert "" == linted("hadolint", str(EXAMPLES / "Dockerfile"), folder=EXAMPLES)


def test_the_workflow_fits_its_action(tmp_path: Path) -> None:
    """Actionlint finds nothing, where both files are put as they say; it knows the inputs."""
    github = tmp_path / ".github"
    (github / "workflows").mkdir(parents=True)
    (github / "actions" / "rolecall").mkdir(parents=True)
    workflow = github / "workflows" / "rolecall.yml"
    shutil.copy(WORKFLOW, workflow)
    shutil.copy(ACTION, github / "actions" / "rolecall" / "action.yml")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)

    assert "" == linted("actionlint", folder=tmp_path)
    workflow.write_text(WORKFLOW.read_text("utf-8").replace("waivers:", "weavers:"), "utf-8")
    assert 'input "weavers" is not defined in action' in linted("actionlint", folder=tmp_path)


def _scripts(text: str) -> list[list[str]]:
    """The calls of our command in a file, as words; what a shell puts in is made a word."""
    joined = text.replace("${CREDENTIALS_DIRECTORY}", "/c").replace('"${words[@]}"', "target.toml")
    calls = re.findall(r"(?:^|[ /])rolecall (certify|prune)\b([^;\n]*)", joined, re.MULTILINE)
    return [[command, *shlex.split(rest)] for command, rest in calls]


@pytest.mark.parametrize("path", [ACTION, GITLAB, SERVICE], ids=lambda path: path.name)
def test_scripts_are_understood(path: Path) -> None:
    """Each certifies and prunes, with options that the commands have."""
    calls = _scripts(path.read_text(encoding="utf-8"))

    assert {"certify", "prune"} == {call[0] for call in calls}
    for call in calls:
        _parser(call).parse_args(call)


def test_containers_run_what_is_understood() -> None:
    """Compose and Kubernetes certify with the waivers, and keep the runs on a volume."""
    compose: Any = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    service = compose["services"]["rolecall"]
    *_, job = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    for words in (shlex.split(service["command"]), container["args"]):
        arguments = _parser(words).parse_args(words)
        assert "last" == arguments.since
        assert "waivers.toml" == arguments.waivers.name
        assert "runs" == arguments.out.name
    assert "/rolecall" == service["working_dir"]


@pytest.mark.parametrize("path", [ACTION, GITLAB], ids=lambda path: path.name)
def test_the_next_night_finds_bank_and_runs(path: Path) -> None:
    """Bank and runs are carried over in the cache, and tonight's run is an artefact, whatever came
    of it.
    """
    text = path.read_text(encoding="utf-8")
    cached = re.search(r"paths?: (\||\[)\s*rolecall-bank/?,?\s*reports/runs/?", text)

    assert cached
    assert re.search(r"paths?: \[?tonight", text)
    assert "always" in text


@pytest.mark.parametrize("path", [ACTION, GITLAB], ids=lambda path: path.name)
def test_tonights_run_is_taken_out(path: Path, tmp_path: Path) -> None:
    """The script between the run and the artefact copies the run of tonight, and no earlier one."""
    text = path.read_text(encoding="utf-8")
    (find,) = re.findall(r"find reports/runs .*", text)
    runs = tmp_path / "reports" / "runs"
    for name in ("20261125-030000-aaaaaa", "20261126-030000-bbbbbb"):
        (runs / name).mkdir(parents=True)
        (runs / name / "junit.xml").write_text(name, encoding="utf-8")
    os.utime(runs / "20261125-030000-aaaaaa", (0, 0))
    (tmp_path / "began").touch()
    os.utime(tmp_path / "began", (1, 1))
    subprocess.run(["sh", "-c", find], cwd=tmp_path, check=True)

    assert "20261126-030000-bbbbbb" == (tmp_path / "tonight" / "junit.xml").read_text("utf-8")


def test_no_secret_is_written_down() -> None:
    """What the workflow passes on comes from the secrets of the repository."""
    env = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["certify"]["env"]

    for name, value in env.items():
        kind = "secrets" if name.endswith(("_PASSWORD", "_KEY")) else "vars"
        assert f"${{{{ {kind}.{name} }}}}" == value
