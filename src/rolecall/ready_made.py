"""Things that are on the target already, and kinds of things of which a run may make none."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from rolecall.errors import UsageError, suggest
from rolecall.toml_table import TomlTable


@dataclass(frozen=True)
class ReadyMade:
    """A table ``[fixtures.NAME]``.

    ``id`` is that of a thing that is there already, empty where none is named; ``conversation`` the
    one that it is in; ``create`` whether a run may make such things.
    """

    id: str = ""
    conversation: str = ""
    create: bool = True


def ready_made(table: TomlTable) -> dict[str, ReadyMade]:
    """Read ``[fixtures]``, by the names of its tables.

    Raises:
        UsageError: a setting is unknown or of the wrong type, or a table says nothing.
    """
    found = {}
    for name in table.names():
        entry = table.table(name)
        found[name] = ReadyMade(
            entry.text("id"), entry.text("conversation"), entry.value("create", (bool,), True)
        )
        entry.finish()
        if found[name].create and not found[name].id:
            raise UsageError(
                table.at(name), "this says nothing", "Give the id of a thing, or create = false."
            )
    return found


def check_names(
    fixtures: Mapping[str, ReadyMade], resources: Container[str], reads: list[str], source: str
) -> None:
    """Refuse tables of other names than a resource's, or that of an operation which fetches one.

    Raises:
        UsageError: there is one.
    """
    for name, given in fixtures.items():
        where = f"{source}, [fixtures.{name}]"
        if name not in resources and name not in reads:
            raise UsageError(
                where,
                f"{name!r} is neither a resource nor a fetch",
                f"{suggest(name, reads)} What is there already is read, never changed.",
            )
        if name in reads and not given.create:
            raise UsageError(
                f"{where} create", f"give this in [fixtures.{name.removeprefix('fetch-')}]"
            )
