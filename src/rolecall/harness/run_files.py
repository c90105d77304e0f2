"""Writes the files of a run, each whole or not at all, the one with the verdict last."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from rolecall.finished_run import RESULTS
from rolecall.report.allure import FOLDER
from rolecall.whole_files import write_file, write_folder


def write_run(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a run: their texts by name, those for Allure below `allure.FOLDER`.

    Raises:
        NotWrittenWhole: the file system refused.
    """
    of_allure = {name: text for name, text in files.items() if name.startswith(f"{FOLDER}/")}
    if of_allure:
        write_folder(
            folder / FOLDER,
            {name.removeprefix(f"{FOLDER}/"): text for name, text in of_allure.items()},
        )
    for name in sorted(files.keys() - of_allure.keys(), key=lambda name: name == RESULTS):
        write_file(folder / name, files[name])


def take_back(folder: Path, names: Iterable[str]) -> None:
    """Remove files of a run, and those for Allure, as far as that can be done."""
    for name in names:
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
