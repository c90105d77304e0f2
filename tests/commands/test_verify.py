"""`rolecall keygen` and `rolecall verify`: exit codes, and what is said."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rolecall.__main__ import main
from rolecall.report.certificate import CERTIFICATE
from rolecall.signing import KEY_VARIABLE, private_key, public_key
from tests.conftest import Reference, Watched
from tests.support.certified_runs import made_run
from tests.support.command import rolecall

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def key(tmp_path: Path, capsys: Captured) -> Path:
    """A private key's file; the public one is beside it."""
    assert 0 == main(["keygen", "--out", str(tmp_path / "a.key")])
    capsys.readouterr()
    return tmp_path / "a.key"


@pytest.fixture
def run_folder(tmp_path: Path, key: Path) -> Path:
    """The folder of a signed run."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, data in made_run().files(private_key(key.read_bytes(), "")).items():
        (folder / name).write_bytes(data)
    return folder


class TestKeygen:
    """Keys are made for their owner, and never written over others."""

    def test_a_pair_is_made(self, key: Path) -> None:
        """The private key is for its owner alone, and the public one belongs to it."""
        public = key.with_name("a.key.pub")

        assert 0o600 == stat.S_IMODE(key.stat().st_mode)
        assert private_key(key.read_bytes(), "").id == public_key(public).id

    @pytest.mark.parametrize("there", ["a.key", "a.key.pub"])
    def test_no_file_is_overwritten(self, there: str, tmp_path: Path, capsys: Captured) -> None:
        """Where either file is there, nothing is written."""
        (tmp_path / there).write_text("mine", encoding="utf-8")

        assert 2 == main(["keygen", "--out", str(tmp_path / "a.key")])
        assert "no key is overwritten" in capsys.readouterr().err
        assert [there] == [path.name for path in tmp_path.iterdir()]

    def test_a_folder_that_is_not_there_is_said(self, tmp_path: Path, capsys: Captured) -> None:
        """A place that cannot be written is a usage error."""
        assert 2 == main(["keygen", "--out", str(tmp_path / "none" / "a.key")])
        assert "cannot be written: No such file" in capsys.readouterr().err


class TestVerify:
    """0 for what is as it was certified, 1 for what is not, 2 for a wrong command line."""

    def test_a_signed_run(self, run_folder: Path, key: Path, capsys: Captured) -> None:
        """With the key the last line says whose signature it is; before it stands what is
        certified.
        """
        assert 0 == main(["verify", str(run_folder), "--key", f"{key}.pub"])
        said = capsys.readouterr().out

        assert f"VALID: signed by the given key {public_key(Path(f'{key}.pub')).id}" in said
        assert "376 of 376 cells" in said
        assert "known faults caught" in said

    def test_a_sealed_run(self, run_folder: Path, key: Path, capsys: Captured) -> None:
        """Without a signature it says so, and with --key that is not enough."""
        (run_folder / CERTIFICATE).write_bytes(made_run().files()[CERTIFICATE])

        assert 0 == main(["verify", str(run_folder), "--quiet"])
        assert "VALID: sealed, not signed" in capsys.readouterr().out
        assert 1 == main(["verify", str(run_folder), "--key", f"{key}.pub"])
        assert "sealed and not signed" in capsys.readouterr().out

    def test_a_key_that_was_not_given(self, run_folder: Path, capsys: Captured) -> None:
        """A signature is not called good by itself."""
        assert 0 == main(["verify", str(run_folder), "--quiet"])
        assert "without --key it is not checked" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("tamper", "said"),
        [
            (lambda folder: (folder / "results.json").write_text("{}"), "results.json is not the"),
            (lambda folder: (folder / "evidence.har").unlink(), "evidence.har is missing"),
            (lambda folder: (folder / CERTIFICATE).unlink(), "there is no certificate.json"),
            (
                lambda folder: (folder / "more.har").write_text("{}"),
                "more.har is not a file of a run",
            ),
        ],
        ids=["changed", "missing", "no-certificate", "added"],
    )
    def test_a_changed_folder(
        self, tamper: Callable[[Path], object], said: str, run_folder: Path, capsys: Captured
    ) -> None:
        """Each change is one sentence, and exit code 1."""
        tamper(run_folder)

        assert 1 == main(["verify", str(run_folder)])
        printed = capsys.readouterr().out
        assert 1 == printed.count("fault  ")
        assert said in printed
        assert "NOT VALID" in printed.splitlines()[-1]

    def test_a_run_of_other_tables(self, run_folder: Path, capsys: Captured) -> None:
        """A run of another version's tables is neither valid nor invalid here: exit code 3."""
        run = made_run()
        other = f"sha256:{'0' * 64}"
        run.results["suite"] |= {"requirements": other, "package": other, "version": "9.9"}
        for name, data in run.files().items():
            (run_folder / name).write_bytes(data)

        assert 3 == main(["verify", str(run_folder)])
        printed = capsys.readouterr().out.splitlines()
        assert printed[-1].startswith("verify        NOT KNOWN: requirements.toml of the run")

    def test_what_is_not_applicable_is_named(self, run_folder: Path, capsys: Captured) -> None:
        """A requirement that had nothing to prove at this target is named."""
        run = made_run()
        entry = run.requirement("SEC-J08")
        entry["outcome"] = entry["tests"][0]["outcome"] = "not-applicable"
        for tally in (run.results["counts"]["requirements"], run.results["counts"]["tests"]):
            tally["passed"] -= 1
            tally["not-applicable"] += 1
        for name, data in run.files().items():
            (run_folder / name).write_bytes(data)

        assert 0 == main(["verify", str(run_folder)])
        assert "inapplicable  1 requirement: SEC-J08" in capsys.readouterr().out.splitlines()

    def test_the_document_for_scripts(self, run_folder: Path, capsys: Captured) -> None:
        """--json prints one object with what a script asks for."""
        (run_folder / "ledger.jsonl").write_text("", encoding="utf-8")
        assert 0 == main(["verify", str(run_folder), "--json"])
        document = json.loads(capsys.readouterr().out)

        assert document["valid"] is True
        assert ("unchecked", []) == (document["signature"], document["faults"])
        assert ["ledger.jsonl"] == document["not_checked"]
        assert "20261126-120000-abcdef" == document["statement"]["predicate"]["rolecall"]["run"]

    def test_a_folder_of_something_else(self, tmp_path: Path, capsys: Captured) -> None:
        """A folder without any file of a run, or none at all, is a usage error."""
        assert 2 == main(["verify", str(tmp_path)])
        assert "not the folder of a run" in capsys.readouterr().err
        assert 2 == main(["verify", str(tmp_path / "none")])
        assert "No such file" in capsys.readouterr().err

    def test_a_key_that_is_none(self, run_folder: Path, key: Path, capsys: Captured) -> None:
        """A private key in the place of the public one is a usage error."""
        assert 2 == main(["verify", str(run_folder), "--key", str(key)])
        assert "this is a private key" in capsys.readouterr().err

    @pytest.mark.long
    def test_a_real_run_is_sealed(
        self, certified: Watched, tmp_path: Path, capsys: Captured
    ) -> None:
        """A whole run against the reference server is valid as it was left; a byte of its evidence
        later it is not.
        """
        folder = shutil.copytree(certified.finished.folder, tmp_path / "run")
        code = main(["verify", str(folder)])
        assert 0 == code, capsys.readouterr().out

        evidence = folder / "evidence.har"
        data = bytearray(evidence.read_bytes())
        data[len(data) // 2] ^= 1
        evidence.write_bytes(data)
        assert 1 == main(["verify", str(folder)])
        assert "evidence.har is not the file that was certified" in capsys.readouterr().out


def test_a_part_is_not_certified(reference: Reference, tmp_path: Path, key: Path) -> None:
    """Who asks for a signature on a part of the suite is told why there is none."""
    finished = rolecall(
        "certify",
        reference.target_file(tmp_path),
        "--select",
        "ISSUE-lifetime",
        "--quiet",
        cwd=tmp_path,
        env={**reference.env, KEY_VARIABLE: key.read_text(encoding="utf-8")},
    )

    assert "no certificate: only a whole run" in finished.stderr
    assert not (finished.folder / CERTIFICATE).exists()


def test_a_wrong_key_ends_the_command_before_the_run(reference: Reference, tmp_path: Path) -> None:
    """A key that cannot sign is a usage error before anything is sent."""
    finished = rolecall(
        "certify",
        reference.target_file(tmp_path),
        "--sign",
        tmp_path / "none",
        cwd=tmp_path,
        env=reference.env,
    )

    assert 2 == finished.code
    assert "--sign" in finished.stderr
    assert [] == finished.folders


@pytest.mark.long
def test_a_signed_run_from_its_beginning(tmp_path: Path, key: Path, capsys: Captured) -> None:
    """Certify --sign and verify --key agree, over files."""
    finished = rolecall("certify", "--sign", key, cwd=tmp_path)

    assert 0 == finished.code, finished.said
    assert "signed by key" in finished.stderr
    code = main(["verify", str(finished.folder), "--key", f"{key}.pub"])
    assert 0 == code, capsys.readouterr().out
