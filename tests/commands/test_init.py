"""The command ``rolecall init``: the file that it writes loads, and holds no password."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rolecall.__main__ import main
from rolecall.commands import init
from rolecall.target import load_target
from tests.support.certificates import Certificates
from tests.support.command import ROLES, environment

VALUES = {
    "ROLECALL_BASE_URL": "https://staging.example.org",
    **{f"ROLECALL_{role.upper()}_EMAIL": f"{role}@example.org" for role in ROLES},
    **{f"ROLECALL_{role.upper()}_PASSWORD": f"password of the {role}" for role in ROLES},
}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the file names."""
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)


def test_without_options_all_comes_from_the_environment(tmp_path: Path) -> None:
    """The file loads, and its server and accounts are those of the environment."""
    path = tmp_path / "target.toml"

    assert main(["init", str(path)]) == 0

    target = load_target(path, ROLES)
    assert "https://staging.example.org" == target.base_url
    assert {role: f"{role}@example.org" for role in ROLES} == {
        name: account.email for name, account in target.accounts.items()
    }
    assert tmp_path / "rolecall-bank" == target.expiry.bank


def test_no_value_of_the_environment_is_in_the_file(tmp_path: Path) -> None:
    """Whatever the environment holds, the file names variables only."""
    path = tmp_path / "target.toml"
    main(["init", str(path)])

    text = path.read_text(encoding="utf-8")
    assert [] == [value for value in VALUES.values() if value in text]


def test_options_are_in_the_file(tmp_path: Path) -> None:
    """What an option says stands in the file, quoted as TOML wants it."""
    path = tmp_path / "target.toml"
    Certificates(tmp_path)  # ca.pem among them
    words = ["--base-url", "https://a.example.org", "--name", 'the "a"', "--env-prefix", "A"]
    words += [
        "--email",
        "guest=g@a.example.org",
        "--ca-file",
        "ca.pem",
        "--api-keys",
        "/v2/apikeys",
    ]

    assert main(["init", str(path), *words, "--bank", "bank of a"]) == 0

    document = tomllib.loads(path.read_text(encoding="utf-8"))
    assert {"name": 'the "a"', "base_url": "https://a.example.org", "verify_tls": "ca.pem"} == (
        document["target"]
    )
    assert {"email": "g@a.example.org", "password_env": "A_GUEST_PASSWORD"} == (
        document["accounts"]["guest"]
    )
    assert "A_BOT_EMAIL" == document["accounts"]["bot"]["email_env"]
    assert {"create_path": "/v2/apikeys"} == document["api_keys"]
    assert {"bank": "bank of a"} == document["expiry"]


def test_a_file_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --force nothing is written over, a link that leads nowhere neither."""
    path = tmp_path / "target.toml"
    path.write_text("mine", encoding="utf-8")
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "nowhere")

    assert 2 == main(["init", str(path)]) == main(["init", str(link)])

    assert "mine" == path.read_text(encoding="utf-8")
    assert "give --force" in capsys.readouterr().err
    assert 0 == main(["init", str(path), "--force"])
    assert path.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    "words",
    [
        ["--base-url", "ftp://a.example.org"],
        ["--base-url", "https://me:secret@a.example.org"],
        ["--email", "boss=b@example.org"],
        ["--email", "guest"],
        ["--email", "guest=same@example.org", "--email", "bot=same@example.org"],
        ["--ca-file", "not-there.pem"],
        ["--api-keys", "no-slash"],
        ["--env-prefix", "not one name"],
    ],
    ids=lambda words: words[-1].replace("/", "_"),
)
def test_what_would_not_load_is_not_written(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option is one message and exit code 2, and there is no file."""
    assert 2 == main(["init", str(tmp_path / "target.toml"), *words])

    said = capsys.readouterr().err
    assert said.startswith("rolecall: ")
    assert "secret" not in said
    assert [] == list(tmp_path.iterdir())


def test_answers_fill_in_what_no_option_says() -> None:
    """It asks for what is not given, and an empty answer leaves that to the environment."""
    parser = argparse.ArgumentParser()
    init.add_arguments(parser)
    arguments, emails = parser.parse_args(["--name", "given"]), {"guest": "g@example.org"}
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "https://b.example.org" if "URL" in question else ""

    init._ask(arguments, emails, answer)
    text, variables = init.target_text(arguments, emails)

    assert not any("name of the server" in question for question in asked)
    assert not any("guest" in question for question in asked)
    assert 'base_url = "https://b.example.org"' in text
    assert "ROLECALL_AGENT_EMAIL" in variables
    assert "ROLECALL_GUEST_EMAIL" not in variables


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_it_asks_on_a_terminal(tmp_path: Path) -> None:
    """On a real terminal each question is answered by a line, and Ctrl-D takes what is left."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "rolecall", "init", "asked.toml"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(TERM="xterm"),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"https://asked.example.org\nthe asked\n\n/v2/apikeys\n\x04\x04\x04\x04\x04\x04")
    stdout, stderr = process.communicate(timeout=60)
    os.close(ours)

    assert 0 == process.returncode, stderr
    assert "URL of the server, without /v2 [$ROLECALL_BASE_URL]: " in stderr
    assert "e-mail of the admin [$ROLECALL_ADMIN_EMAIL]: " in stderr
    assert "password" not in stderr.replace("Passwords are not asked for", "")
    document = tomllib.loads((tmp_path / "asked.toml").read_text(encoding="utf-8"))
    assert ("https://asked.example.org", "the asked") == (
        document["target"]["base_url"],
        document["target"]["name"],
    )
    assert {"create_path": "/v2/apikeys"} == document["api_keys"]
    assert "ROLECALL_ADMIN_EMAIL" in stdout


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path in no folder is a mistake of the user's, and no folder is made."""
    assert 2 == main(["init", str(tmp_path / "nowhere" / "target.toml"), "--no-input"])
    assert "there is no folder" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())
