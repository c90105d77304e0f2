"""README's section on every night works as it is written, in an environment that has only Python.

The server is a reference server in another network namespace, behind TLS of a private CA.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.command import ROLES
from tests.support.documentation import ROOT, blocks
from tests.support.namespaces import Host, missing, network
from tests.support.servers import credentials

NAME, PORT = "staging.example.org", 8080
ENDED = 10.0  # seconds in which a process that is told to end has to
TELL = '#!/bin/sh\n(echo "$ROLECALL_CHANGES"; cat) >> told\n'
#: Moves the reference server's clock, in its namespace.
TOMORROW = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], b'{"advance": 90000}', method="POST")
request.add_header("Content-Type", "application/json")
urllib.request.urlopen(request, timeout=30).read()
"""


def section() -> list[str]:
    """The commands of README's section."""
    page = ROOT / "README.md"
    _, _, rest = page.read_text(encoding="utf-8").partition("\n## Every night\n")
    text, _, _ = rest.partition("\n## ")
    (block,) = [block for block in blocks(page, "console") if block.text in text]
    return [re.sub(r"\s+#.*", "", command) for command, _ in block.session]


def until_ready(said: Path, word: str, process: subprocess.Popen[str]) -> str:
    """What a process has printed once it is ready."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        text = said.read_text(encoding="utf-8")
        if word in text:
            return text
        assert process.poll() is None, (said.parent / "stderr").read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError(f"{said} does not say {word}")


@contextmanager
def known_as(host: Host, server: Host) -> Iterator[None]:
    """The name of the server, as processes in one namespace look it up."""
    folder = Path("/etc/netns") / host.namespace
    folder.mkdir(parents=True)
    try:
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{server.address} {NAME}\n")
        yield
    finally:
        (folder / "hosts").unlink()
        folder.rmdir()


@contextmanager
def served(host: Host, folder: Path) -> Iterator[str]:
    """The reference server and its front; the target file that it prints."""
    certificates = Certificates(folder, NAME)
    words = ["serve", "--port", str(PORT), "--clock", "--scrypt-n", "128"]
    processes = [host.start(*words, cwd=folder / "server")]
    try:
        text = until_ready(folder / "server" / "stdout", "# ready", processes[0])
        front: list[str | Path] = [host.address, "443", certificates.server, str(PORT)]
        processes.append(host.start(*front, cwd=folder / "front", module="tests.support.tls_front"))
        until_ready(folder / "front" / "stdout", "ready", processes[1])
        yield text
    finally:
        for process in processes:
            process.terminate()
            process.wait(ENDED)


@pytest.fixture(scope="module", name="bin")
def _bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new environment into which Rolecall is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", str(ROOT)], check=True)
    return folder / "bin"


@pytest.mark.nightly
@pytest.mark.skipif(bool(missing()), reason=missing() or "there are namespaces")
def test_the_section_works_as_written(bin: Path, tmp_path: Path) -> None:
    """Set up, looked at, certified and pruned; the first night is inconclusive, the second, a day
    later on the server's clock, conformant by the bank; both are news.
    """
    # Longer than 40 lines because two networks, their server and both nights stand together.
    work = tmp_path / "work"
    work.mkdir()
    with (
        network(["server", "client"]) as (server, client),
        known_as(client, server),
        served(server, tmp_path) as text,
    ):
        (work / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
        tell = work / "tell-the-team"
        tell.write_text(TELL, encoding="utf-8")
        tell.chmod(0o755)
        env = {"PATH": f"{bin}{os.pathsep}/usr/bin:/bin", "HOME": str(work)}
        env["ROLECALL_BASE_URL"] = f"https://{NAME}"
        for role in ROLES:
            email, password = credentials(text, role)
            env |= {f"ROLECALL_{role.upper()}_EMAIL": email}
            env |= {f"ROLECALL_{role.upper()}_PASSWORD": password}

        def typed(command: str) -> subprocess.CompletedProcess[str]:
            prefix = ["ip", "netns", "exec", client.namespace, "sh", "-c"]
            return subprocess.run(
                [*prefix, command],
                cwd=work,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=1800,
                check=False,
            )

        init, check, certify, prune = section()
        for command in (init, check):
            done = typed(command)
            assert 0 == done.returncode, done.stdout + done.stderr
        assert "the first run fills it" in done.stdout
        first = typed(certify)
        assert 3 == first.returncode, first.stdout[-3000:] + first.stderr
        clock = [sys.executable, "-c", TOMORROW, f"http://127.0.0.1:{PORT}/__clock"]
        subprocess.run(["ip", "netns", "exec", server.namespace, *clock], check=True)
        second = typed(certify)
        assert 0 == second.returncode, second.stdout[-3000:] + second.stderr
        assert 0 == typed(prune).returncode

    runs = sorted(path for path in (work / "reports" / "runs").iterdir() if path.is_dir())
    nights = [json.loads((run / "results.json").read_text(encoding="utf-8")) for run in runs]
    assert ["inconclusive", "conformant"] == [night["verdict"] for night in nights]
    assert "A" == nights[1]["expiry_evidence"]
    told = (work / "told").read_text(encoding="utf-8")
    assert ["inconclusive", "conformant; it was inconclusive"] == re.findall(
        r"^((?:inconclusive|conformant)(?:;.*)?)$", told, re.MULTILINE
    )
