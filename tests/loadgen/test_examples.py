"""The examples of load over many machines are valid, and the commands accept them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from rolecall.__main__ import _parser

DOCS = Path(__file__).parents[2] / "docs"
COMPOSE, KUBERNETES = DOCS / "examples" / "compose.yaml", DOCS / "examples" / "kubernetes.yaml"


@pytest.fixture(name="compose", scope="module")
def _compose() -> Any:
    """The compose file."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


@pytest.fixture(name="manifests", scope="module")
def _manifests() -> dict[tuple[str, str], Any]:
    """The manifests, by kind and name."""
    documents = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def options(argv: list[str]) -> Any:
    """What the command makes of these argv; it ends where it does not understand them."""
    return _parser(argv).parse_args(argv)


def compose_checked(path: Path) -> subprocess.CompletedProcess[str]:
    """A file, checked by the schema of the Compose Specification that check-jsonschema brings
    along.
    """
    check = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(path),
    ]
    return subprocess.run(check, capture_output=True, text=True, check=False)


class TestCompose:
    """Several containers on one machine."""

    def test_is_valid(self) -> None:
        """It is as the Compose Specification says."""
        done = compose_checked(COMPOSE)

        assert 0 == done.returncode, done.stdout + done.stderr

    def test_the_check_finds_what_is_wrong(self, tmp_path: Path) -> None:
        """The same check refuses a file with a misspelt member."""
        wrong = tmp_path / "compose.yaml"
        wrong.write_text(
            COMPOSE.read_text(encoding="utf-8").replace("replicas:", "replica:"), encoding="utf-8"
        )

        assert 1 == compose_checked(wrong).returncode

    def test_its_commands_are_understood(self, compose: Any) -> None:
        """The options are ours, and the master waits for as many workers as there are, where they
        look for it.
        """
        master, worker = (
            options(shlex.split(compose["services"][name]["command"]))
            for name in ("master", "worker")
        )

        assert (True, compose["services"]["worker"]["deploy"]["replicas"]) == (
            master.master,
            master.workers,
        )
        assert (True, "master", master.master_port) == (
            worker.worker,
            worker.master_host,
            worker.master_port,
        )
        assert master.target == worker.target == Path("/run/secrets/target")

    def test_nothing_is_published(self, compose: Any) -> None:
        """No port leads to the wire from outside, and no container comes back by itself."""
        for service in compose["services"].values():
            assert "ports" not in service
            assert ("no", ["wire"]) == (service["restart"], service["networks"])


class TestKubernetes:
    """Jobs of a cluster."""

    @pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
    def test_is_valid(self, manifests: dict[tuple[str, str], Any], version: str) -> None:
        """Every manifest is as the API's schema says, with no member that it does not know."""
        assert {"Service", "NetworkPolicy", "Job"} == {kind for kind, _ in manifests}
        for manifest in manifests.values():
            kubernetes_validate.validate(manifest, version, strict=True)

    def test_the_check_finds_what_is_wrong(self, manifests: dict[tuple[str, str], Any]) -> None:
        """The same check refuses a manifest with a misspelt member."""
        job = manifests["Job", "worker"]

        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(
                {**job, "spec": {**job["spec"], "paralelism": 3}}, "1.30", strict=True
            )

    def test_its_commands_are_understood(self, manifests: dict[tuple[str, str], Any]) -> None:
        """The options are ours, and the master waits for as many workers as there are, where they
        look for it.
        """
        jobs = {name: manifests["Job", name]["spec"] for name in ("master", "worker")}
        containers = {name: job["template"]["spec"]["containers"][0] for name, job in jobs.items()}
        master, worker = (options(containers[name]["args"]) for name in ("master", "worker"))

        assert jobs["worker"]["completions"] == jobs["worker"]["parallelism"] == master.workers == 3
        assert ("Service", worker.master_host) in manifests
        assert (
            worker.master_port
            == master.master_port
            == containers["master"]["ports"][0]["containerPort"]
        )
        assert containers["master"]["image"] == containers["worker"]["image"]

    def test_only_workers_reach_the_master(self, manifests: dict[tuple[str, str], Any]) -> None:
        """The policy is about all pods of the run, the service about the master, and what they
        select is there.
        """
        policy, service = (
            manifests["NetworkPolicy", "wire"]["spec"],
            manifests["Service", "master"]["spec"],
        )
        labels = {
            name: manifests["Job", name]["spec"]["template"]["metadata"]["labels"]
            for name in ("master", "worker")
        }
        (rule,) = policy["ingress"]

        assert all(
            policy["podSelector"]["matchLabels"].items() <= of.items() for of in labels.values()
        )
        assert [{"podSelector": {"matchLabels": labels["worker"]}}] == rule["from"]
        assert [{"protocol": "TCP", "port": service["ports"][0]["port"]}] == rule["ports"]
        assert service["selector"] == labels["master"]


def test_the_image_is_of_an_ordinary_user() -> None:
    """Compose and Kubernetes run it as the user that it makes."""
    dockerfile = (DOCS / "examples" / "Dockerfile").read_text(encoding="utf-8")
    (user,) = set(re.findall(r"(?:--uid|USER) (\d+)", dockerfile))

    assert f"runAsUser: {user}" in KUBERNETES.read_text(encoding="utf-8")
    assert f"user {user}" in COMPOSE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["load.md", "load-many-machines.md"])
def test_the_commands_on_the_pages_are_understood(page: str) -> None:
    """Every command that the documentation shows is one."""
    shown = re.findall(r"\$ +rolecall (.*)", (DOCS / page).read_text(encoding="utf-8"))

    assert shown
    for line in shown:
        options(shlex.split(line, comments=True))
