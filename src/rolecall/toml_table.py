"""Reads a table of a TOML file strictly: types are checked, and what is unknown is refused."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from typing import Any

from rolecall.errors import UsageError, suggest

#: Any number: TOML tells 5 from 5.0, people do not.
_ANY_NUMBER: Any = int | float
_KINDS = {
    dict: "a table",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    _ANY_NUMBER: "a number",
}


def _kind(value: object) -> str:
    """What TOML calls the type of a value."""
    kinds = {
        dict: "a table",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
    }
    return kinds.get(type(value), "a date or a time")


def read_toml(text: str, source: str) -> dict[str, Any]:
    """The document of a TOML file's text.

    Raises:
        UsageError: it is not TOML, or is more than is read.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(source, f"this is not TOML: {error}") from None
    except ValueError:  # of `int`: Python reads 4,300 digits
        raise UsageError(source, "this is not read: a number has too many digits") from None
    except RecursionError:
        raise UsageError(source, "this is not read: it is nested too deep") from None


class TomlTable:
    """One table of a file, which remembers its known settings, so that `finish` names others.

    Each method raises `UsageError`, with the place, where a setting is not what it must be.
    """

    def __init__(
        self, values: Mapping[str, Any], source: str, name: str, environ: Mapping[str, str]
    ) -> None:
        self._values = values
        self._source = source
        self._name = name
        self._environ = environ
        self._asked: set[str] = set()

    def at(self, key: str) -> str:
        """Where ``key`` stands, for a message: ``staging.toml, [target] base_url``."""
        return f"{self._source}, [{self._name}] {key}" if self._name else f"{self._source}, [{key}]"

    def names(self) -> list[str]:
        """All settings of the table, whatever they are called."""
        self._asked.update(self._values)
        return list(self._values)

    def value(self, key: str, types: tuple[type, ...], default: Any) -> Any:
        """The value of ``key``, which must be of one of these types."""
        self._asked.add(key)
        value = self._values.get(key, default)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise UsageError(
                self.at(key),
                f"this must be {' or '.join(map(_KINDS.__getitem__, types))}, not {_kind(value)}",
            )
        return value

    def text(self, key: str) -> str:
        """A string; empty where there is none."""
        text: str = self.value(key, (str,), "")
        return text

    def number(self, key: str, default: float, *, least: float = 0.0) -> float:
        """A finite number; a whole one where the default is."""
        number: float = self.value(
            key, (_ANY_NUMBER,) if isinstance(default, float) else (int,), default
        )
        if not least <= number < float("inf"):
            raise UsageError(self.at(key), f"this must be a number of at least {least:g}")
        return number

    def environment(self, key: str) -> str:
        """The value of the environment variable that ``key`` names, or an empty string."""
        variable = self.text(key)
        if variable and not self._environ.get(variable):
            raise UsageError(
                self.at(key),
                f"the environment variable {variable} is not set",
                "Export it before the run.",
            )
        return self._environ.get(variable, "") if variable else ""

    def given(self, key: str) -> str:
        """A text that must be there, here or in the environment."""
        text = self.secret(key)
        if not text:
            raise UsageError(self.at(key), "this is missing", self._misspelt(key))
        return text

    def secret(self, key: str) -> str:
        """A text, mostly a secret, that stands here (``password``) or in the environment variable
        named here (``password_env``).
        """
        if key in self._values and f"{key}_env" in self._values:
            raise UsageError(self.at(key), f"{key}_env is given as well", "Keep one of them.")
        return self.text(key) or self.environment(f"{key}_env")

    def table(self, key: str, *, required: bool = False) -> TomlTable:
        """A table in the table; empty where there is none."""
        values = self.value(key, (dict,), {})
        if required and not values:
            raise UsageError(self.at(key), "this table is missing", self._misspelt(key))
        return TomlTable(
            values, self._source, f"{self._name}.{key}" if self._name else key, self._environ
        )

    def finish(self) -> None:
        """Refuse unknown settings: a misspelt one must not be silently without effect."""
        for key in self._values:
            if key not in self._asked:
                raise UsageError(self.at(key), "unknown setting", suggest(key, sorted(self._asked)))

    def _misspelt(self, key: str) -> str:
        """A hint at the setting that was probably meant for a missing one."""
        near = difflib.get_close_matches(key, self._values.keys() - self._asked, 1)
        return f"Is {near[0]!r} a misspelling of it?" if near else ""


def unset_variables(values: Mapping[str, Any], environ: Mapping[str, str]) -> set[str]:
    """The environment variables that a target file names and that are not there."""
    inner = (
        unset_variables(value, environ) for value in values.values() if isinstance(value, dict)
    )
    named = {
        value for key, value in values.items() if key.endswith("_env") and isinstance(value, str)
    }
    return {name for name in named if not environ.get(name)}.union(*inner)
