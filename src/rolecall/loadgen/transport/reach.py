"""Connects to a host: to the one of its addresses that answers first (RFC 8305)."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import gevent.socket
from gevent.monkey import get_original

from rolecall.loadgen.transport.failure import Failure, Kind, reason
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.transit import Proxy

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]  # it is asked before it is used

#: This machine's own limits: files, ports, memory. Nothing is said about the server.
_LOCAL: Mapping[int | None, Kind] = {
    errno.EMFILE: "files",
    errno.ENFILE: "files",
    errno.EADDRNOTAVAIL: "ports",
    errno.ENOBUFS: "memory",
    errno.ENOMEM: "memory",
}

_LOCAL_NAMES: Mapping[int | None, Kind] = {
    getattr(socket, "EAI_SYSTEM", None): "local",  # the resolver had no file, as a rule
    socket.EAI_MEMORY: "memory",
}

#: Files that connections leave to what a run has to write in its end.
_SPARE_FILES = 32
#: Seconds that an address has for itself before the next one is tried as well (RFC 8305 8).
_HEAD_START = 0.25
#: Addresses that are tried after the others, since one that was begun later was faster; as many as
#: are remembered.
_slow: set[tuple[Any, ...]] = set()
_MOST_SLOW = 256
#: The real one, also where gevent has put its own in its place: ours never waits.
_Socket: type[socket.socket] = get_original("socket", "socket")
_getaddrinfo = get_original("socket", "getaddrinfo")
Addresses = Sequence[tuple[int, int, int, str, Any]]


def numeric_addresses(origin: Origin | Proxy) -> Addresses:
    """The address that the host is; empty where it is a name."""
    try:
        found: Addresses = _getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return []
    return found


def resolve(origin: Origin | Proxy) -> Addresses:
    """The addresses of a name, asked for by every connection, since they may change.

    Raises:
        Failure: it has none.
    """
    try:
        found: Addresses = gevent.socket.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        kind = _LOCAL_NAMES.get(error.errno, "dns")
        raise Failure(kind, f"{origin.host} cannot be resolved: {reason(error)}") from None
    return found


def reach(addresses: Addresses) -> socket.socket:
    """A connection to the first address that takes one (RFC 8305).

    Raises:
        Failure: none does; it is that of the last to say so.
    """
    if len(addresses) == 1:
        (family, _, _, _, address), *_ = addresses
        try:
            return _open(family, address)
        except OSError as error:
            raise Failure(_kind(error), reason(error)) from None
    return _race(_in_order(addresses))


def _in_order(addresses: Addresses) -> deque[tuple[int, Any]]:
    """The addresses in the resolver's order, families in turn, slow ones last."""
    families: dict[int, list[tuple[int, Any]]] = {}
    for family, _, _, _, address in addresses:
        families.setdefault(family, []).append((family, address))
    in_turn = filter(None, chain.from_iterable(zip_longest(*families.values())))
    return deque(sorted(in_turn, key=lambda found: found[1] in _slow))


def _race(addresses: deque[tuple[int, Any]]) -> socket.socket:
    """The first connection that succeeds; all others are given up.

    Raises:
        Failure: there is none.
    """
    failure = Failure("dns", "the name has no address")
    under_way: dict[gevent.Greenlet[..., socket.socket | OSError], Any] = {}
    try:
        while addresses or under_way:
            if addresses:
                family, address = addresses.popleft()
                under_way[gevent.spawn(_attempt, family, address)] = address
            for ended in gevent.wait(
                list(under_way), timeout=_HEAD_START if addresses else None, count=1
            ):
                address, result = under_way.pop(ended), ended.get(block=False)
                if not isinstance(result, OSError):
                    _remember(address, slower=under_way.values())
                    return result
                failure = Failure(_kind(result), reason(result))
        raise failure
    finally:
        for (
            left
        ) in under_way:  # one may have a connection by now, or have it before it hears of its end
            left.link(_give_up)
            left.kill(block=False)


def _attempt(family: int, address: Any) -> socket.socket | OSError:
    """A connection to this address, or its error: a greenlet that raises is printed."""
    try:
        return _open(family, address)
    except OSError as error:
        return error


def _give_up(attempt: gevent.Greenlet[..., socket.socket | OSError]) -> None:
    if isinstance(attempt.value, _Socket):
        attempt.value.close()


def _remember(fast: Any, *, slower: Iterable[Any]) -> None:
    """Prefer the address that was fast to those that had begun before it, until they win again."""
    if len(_slow) >= _MOST_SLOW:
        _slow.clear()
    _slow.discard(fast)
    _slow.update(slower)


def _open(family: int, address: Any) -> socket.socket:
    stream = _Socket(family, socket.SOCK_STREAM)
    try:
        if (
            resource is not None
            and stream.fileno() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES
        ):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = stream.connect_ex(address)
        if error == errno.EINPROGRESS:
            gevent.socket.wait_write(stream.fileno())
            error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:  # a timeout, too
        stream.close()
        raise
    return stream


def _kind(error: OSError) -> Kind:
    """The kind of a failed connection."""
    if error.errno in _LOCAL:
        return _LOCAL[error.errno]
    if isinstance(error, TimeoutError):
        return "timeout"
    return "reset" if isinstance(error, ConnectionResetError) else "refused"
