"""What is checked before Locust starts."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.leading import (
    see_that_it_can_listen,
    see_that_locust_finds_itself,
    see_that_so_many_may_send,
    see_that_workers_can_read_the_target,
    waits_for,
)


def a_port_that_is_free() -> int:
    """A port that nobody has had for a moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "*"])
def test_a_free_port(host: str) -> None:
    """A master may listen where nobody does, on one address or on all of them."""
    see_that_it_can_listen(host, a_port_that_is_free())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "*"])
def test_a_port_of_another_program(host: str) -> None:
    """A port that is taken, by a second master above all, is a mistake of the command line, and no
    traceback of Locust's.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UsageError, match=rf"--master-port: port {port} of .* cannot be had"):
            see_that_it_can_listen(host, port)


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("127.0.0.1", 0, "0 is not a port"),
        ("127.0.0.1", 65536, "65536 is not a port"),
        ("192.0.2.1", 5557, "--master-port: port 5557 of 192.0.2.1 cannot be had"),
        ("300.1.1.1", 5557, "--bind-host: '300.1.1.1' is no address of this machine"),
        ("a" * 70, 5557, "is no address of this machine"),
    ],
)
def test_where_nobody_can_listen(host: str, port: int, says: str) -> None:
    """What is no port, or is an address of another machine (RFC 5737), is refused by option."""
    with pytest.raises(UsageError, match=says):
        see_that_it_can_listen(host, port)


def test_what_is_not_looked_at() -> None:
    """A run without a master listens nowhere, and Locust reads a network interface's name."""
    see_that_it_can_listen("", 0)
    for _, name in socket.if_nameindex():
        see_that_it_can_listen(name, 0)


@pytest.mark.parametrize("workers", [0, 1, 1000])
def test_as_many_workers_as_a_run_has_use_for(workers: int) -> None:
    """None at all, and as many as a large machine has cores, are started."""
    see_that_so_many_may_send(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked by /proc")
def test_without_proc(tmp_path: Path) -> None:
    """Where /proc does not show this process, that is said in place of a traceback of Locust's."""
    see_that_locust_finds_itself()

    with pytest.raises(UsageError, match="does not show this process: Locust reads there"):
        see_that_locust_finds_itself(tmp_path)


def test_a_master_of_the_embedded_server() -> None:
    """Its accounts are in no file that a worker could read: nobody would ever come."""
    with pytest.raises(UsageError, match="TARGET: is missing: each worker reads"):
        see_that_workers_can_read_the_target(None)
    see_that_workers_can_read_the_target("staging.toml")


def test_a_master_says_for_whom_it_waits() -> None:
    """It may wait for ever: how many have to come where, and by which command, is said before."""
    said = waits_for(2, "10.8.0.1", 5557)

    assert "waits until 2 workers came to 10.8.0.1:5557: rolecall load " in said
    assert said.endswith(" --worker --master-host HOST --master-port 5557")
    assert waits_for(2, "", 0) == ""
