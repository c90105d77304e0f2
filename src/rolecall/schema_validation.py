"""Validates documents with the JSON Schemas (2020-12) of ``schemas/``."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_SUFFIX = ".schema.json"


@cache
def names() -> tuple[str, ...]:
    """The names of all schemas: ``token`` for ``token.schema.json``."""
    folder = files("rolecall.schemas")
    return tuple(
        sorted(
            entry.name.removesuffix(_SUFFIX)
            for entry in folder.iterdir()
            if entry.name.endswith(_SUFFIX)
        )
    )


def validation_errors(name: str, document: Any, most: int = 5) -> list[str]:
    """What is wrong with a document: at most ``most`` sentences, each with the place it speaks of.

    The values themselves are not repeated: they may be secrets.
    """
    errors = sorted(
        _validator(name).iter_errors(document),
        key=lambda error: list(map(str, error.absolute_path)),
    )
    sentences = dict.fromkeys(f"{error.json_path}: {_sentence(error)}" for error in errors)
    return list(sentences)[:most]


def _sentence(error: Any) -> str:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    if error.validator == "type":
        wanted = error.validator_value
        return (
            f"is {_type(error.instance)}, not "
            f"{wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        )
    if error.validator in ("const", "enum"):
        return f"is not {json.dumps(error.validator_value)}"
    return f"breaks {error.validator} {json.dumps(error.validator_value)}"


def _type(value: Any) -> str:
    kinds = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "boolean",
        int: "integer",
        float: "number",
    }
    return kinds.get(type(value), "null")


@cache
def _registry() -> Registry[Any]:
    """All schemas of this folder; others do not exist, so that no ``$ref`` opens a socket."""
    return Registry().with_resources(
        (document["$id"], Resource.from_contents(document))
        for document in (_load(name) for name in names())
    )


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(_load(name), registry=_registry())


def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        files("rolecall.schemas").joinpath(f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    )
    return document
