"""The published schemas of the formats that a run is written in (tests/data/README.md)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import xmlschema
from jsonschema import Draft4Validator

_DATA = Path(__file__).parents[1] / "data"


@cache
def _sarif() -> Any:
    text = (_DATA / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8")
    return Draft4Validator(json.loads(text), format_checker=Draft4Validator.FORMAT_CHECKER)


@cache
def _junit() -> Any:
    return xmlschema.XMLSchema(_DATA / "junit-10.xsd")


def sarif_errors(text: str) -> list[str]:
    """Why a text is not SARIF 2.1.0."""
    return [
        f"{error.json_path}: {error.message}" for error in _sarif().iter_errors(json.loads(text))
    ]


def junit_errors(text: str) -> list[str]:
    """Why a text is not a report of JUnit."""
    return [f"{error.path}: {error.reason}" for error in _junit().iter_errors(text)]
