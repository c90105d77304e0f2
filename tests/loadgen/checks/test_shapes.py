"""Shapes ask for the same thing in another way; all rows, roles and shapes come up."""

from __future__ import annotations

from collections import defaultdict

import pytest

from rolecall.loadgen.checks.shapes import AFTER, EACH, SampledCell, shaped, shapes_of
from rolecall.loadgen.transport.outgoing import Origin, request
from rolecall.spec.loading import load_specification

SPEC = load_specification()
ID = "5f47d86c51755a001dc41b82"
ORIGIN = Origin.of("http://127.0.0.1:8080/api")


def cell(operation: str, role: str) -> SampledCell:
    """A plain cell of a read."""
    path = SPEC.operations[operation].path.replace("{id}", ID).replace("{conversation}", ID)
    return SampledCell(SPEC.operations[operation], role, SPEC.allows(operation, role), path)


def denied_reads() -> list[tuple[SampledCell, SampledCell | None]]:
    """Every denied read, with the same of the role that may."""
    reads = [
        operation.name
        for operation in SPEC.operations.values()
        if operation.effect in ("list", "fetch")
    ]
    return [
        (cell(name, role), cell(name, SPEC.roles[-1]))
        for name in reads
        for role in SPEC.roles
        if not SPEC.allows(name, role)
    ]


def test_the_shapes_of_a_list() -> None:
    """A list has the shapes HEAD, after a role that may, narrowed, overridden, respelled."""
    plain, opener = cell("list-users", "guest"), cell("list-users", "bot")
    found = {shape.shape: shape for shape in shapes_of(plain, opener, "o1")}

    assert {shape.path for shape in found.values()} == {
        "/v2/users",
        "/v2/users/",
        "/v2//users",
        "/V2/USERS",
        "/v2/%75sers",
        "/v2/users?limit=1",
        "/v2/users?select=id",
        "/v2/users?organization=o1",
    }
    assert found["HEAD"].method == "HEAD"
    assert found[AFTER].after is opener
    assert found["with x-http-method-override: OPTIONS"].headers == {
        "x-http-method-override": "OPTIONS"
    }


def test_the_shapes_of_a_thing() -> None:
    """A thing's id stays what it is, since ids may be told apart by the case of their letters."""
    paths = {shape.path for shape in shapes_of(cell("fetch-user", "guest"), None)}

    assert f"/V2/USERS/{ID}" in paths
    assert not any("limit" in path for path in paths)
    assert all(ID in path for path in paths)


def test_a_query_stays() -> None:
    """What a list's path has behind its question mark is there in every shape."""
    for shape in shapes_of(cell("list-messages", "guest"), None, "o1"):
        assert shape.path.count("?") == 1
        assert f"?conversation={ID}" in shape.path


@pytest.mark.parametrize("plain", [plain for plain, _ in denied_reads()], ids=str)
def test_each_can_be_sent(plain: SampledCell) -> None:
    """No shape is another request than it says, nor none at all."""
    for shape in shapes_of(plain, None, "o1"):
        sent = request(ORIGIN, shape.method or "GET", shape.path, shape.headers)
        assert sent.startswith(f"{shape.method or 'GET'} /api/".encode())


def test_all_rows_roles_and_shapes_come_up() -> None:
    """Each denied read is tried in three shapes; over all of them every role, every row and every
    shape is met, each shape by several.
    """
    cells = list(shaped(denied_reads(), "o1"))
    of_role, of_shape = defaultdict(set), defaultdict(set)
    for shape in cells:
        of_role[shape.role].add(shape.shape)
        of_shape[shape.shape].add(shape.operation.name)

    assert len(cells) == EACH * len(denied_reads())
    assert len({str(shape) for shape in cells}) == len(cells)
    shapes = {
        shape.shape
        for shape in shapes_of(cell("list-users", "guest"), cell("list-users", "bot"), "o1")
    }
    assert set(of_shape) == shapes
    assert all(len(operations) >= 3 for operations in of_shape.values())
    assert all(of_role[role] == shapes for role in ("guest", "agent"))
    assert {shape.operation.name for shape in cells} == {
        plain.operation.name for plain, _ in denied_reads()
    }
    assert not any(shape.allowed for shape in cells)
