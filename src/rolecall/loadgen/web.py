"""Guards Locust's web page, and shows violations on it: only the page itself may use it, and only
for the command line's host.

The page has no log-in, and lets anybody choose a host and any option (Locust 2.47, web.py). So a
page of another origin in the same browser, or one whose name was led to this machine (DNS
rebinding), could have the accounts' passwords sent anywhere.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, jsonify, make_response, request

from rolecall.errors import UsageError
from rolecall.loadgen.checks.violations import KINDS, Violations
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.report.foreign_text import visible

#: What Locust's own page sends to begin a run; `extra` are options of other locustfiles that it
#: shows.
_FIELDS = frozenset(
    {"user_count", "spawn_rate", "host", "run_time", "profile", "user_classes", "shape_class"}
)
_EVERYWHERE = frozenset({"", "*", "0.0.0.0", "::"})  # noqa: S104  # recognized, not bound
_FOREIGN = (
    "this page answers to itself alone: open it by the address that Locust was given (--web-host)"
)
_log = logging.getLogger(__name__)


def guard(
    app: Flask,
    *,
    web_host: str,
    display_name: str,
    where_to: str,
    extra: Callable[[], Iterable[str]],
) -> None:
    """Refuse requests that come from other pages, or lead to another host.

    Args:
        web_host: where the page listens (``--web-host``); everywhere if it is empty or ``*``.
        display_name: what else the page is called (``--web-host-display-name``).
        where_to: the target's base URL; empty where the command line names none.
        extra: names of other options that the page shows.
    """
    names = {
        web_host.strip("[]").lower(),
        (urlsplit(f"//{display_name.rpartition('//')[2]}").hostname or "").lower(),
    } - _EVERYWHERE
    everywhere = web_host in _EVERYWHERE
    if everywhere:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    @app.before_request
    def refuse() -> Response | None:
        if is_foreign(request, names, everywhere=everywhere):
            _log.warning("refused %s %s: it came from another page", request.method, request.path)
            return make_response(f"{_FOREIGN}\n", 403)
        if why := _leads_astray(request, where_to, extra):
            _log.warning("refused %s %s: %s", request.method, request.path, why)
            return make_response(jsonify({"success": False, "message": why, "host": where_to}), 403)
        return None

    @app.after_request
    def not_in_a_frame(response: Response) -> Response:
        response.headers["X-Frame-Options"] = "DENY"
        return response


def let_choose(app: Flask, choose: Callable[[str], None]) -> None:
    """Call ``choose`` with the scenario that the page names as it begins a run.

    Args:
        choose: is called before Locust begins it; not for what goes through with an error.
    """

    @app.before_request
    def chosen() -> None:
        if request.method == "POST" and request.path.endswith("/swarm"):
            choose(request.form.get("scenario", ""))


#: Columns of the tab with violations.
_COLUMNS = {
    "kind": "Violation",
    "requirement": "Requirement",
    "count": "How often",
    "at": "At (s)",
    "message": "For example",
}


def show_violations(web_ui: Any, violations: Callable[[], Violations]) -> None:
    """Give Locust's page a tab with the violations, as its users extend it (Locust 2.47, "Extending
    the Web UI"): a table whose rows come with the page's own figures.
    """
    structure = [{"key": key, "title": title} for key, title in _COLUMNS.items()]
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Violations", "key": "violations"}],
        "extended_tables": [{"key": "violations", "structure": structure}],
    }

    @web_ui.app.after_request  # type: ignore[untyped-decorator]  # Locust comes without types
    def with_violations(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            rows = {"key": "violations", "data": _rows(violations())}
            response.set_data(json.dumps({**(response.json or {}), "extended_stats": [rows]}))
        return response


def _rows(violations: Violations) -> list[dict[str, Any]]:
    """A row for each sample, the newest first."""
    return [
        {
            "kind": sample.kind,
            "requirement": KINDS[sample.kind].requirement,
            "count": violations.counts[sample.kind],
            "at": max(round(sample.at, 1), 0),
            "message": visible(sample.message),
        }
        for sample in reversed(violations.samples)
    ]


def is_foreign(asked: Request, names: Iterable[str], *, everywhere: bool) -> bool:
    """Whether a request is not one of the page itself, or of a program on this machine."""
    host = asked.environ.get("HTTP_HOST", "").lower()
    name = _name_of(host)
    if not (_is_loopback(name) or name in names or (everywhere and _is_address(name))):
        return True
    origin = asked.headers.get("Origin")
    if origin is not None and origin.lower().partition("://")[2] != host:
        return True
    # a link to it may be followed
    opens = asked.method == "GET" and asked.headers.get("Sec-Fetch-Dest") == "document"
    return not opens and asked.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def _leads_astray(asked: Request, where_to: str, extra: Callable[[], Iterable[str]]) -> str:
    """Why a run is not begun like this; empty where it may be."""
    if asked.method != "POST":
        return ""
    if asked.path.endswith("/user"):
        settings = asked.get_json(force=True, silent=True)
        return _other_host(settings.get("host") if isinstance(settings, dict) else None, where_to)
    if not asked.path.endswith("/swarm"):
        return ""
    unknown = sorted(set(asked.form) - _FIELDS)
    if unknown and not set(unknown) <= set(extra()):
        return (
            "options are given on the command line, and not by this page: "
            f"{', '.join(unknown)[:100]}"
        )
    return next(
        filter(None, (_other_host(host, where_to) for host in asked.form.getlist("host"))), ""
    )


def _other_host(host: object, where_to: str) -> str:
    """Why a host is refused; empty where it is the command line's, or none is named."""
    if not host or host == where_to:
        return ""
    try:
        if where_to and isinstance(host, str) and Origin.of(host) == Origin.of(where_to):
            return ""
    except UsageError:
        pass
    here = f"which is {where_to}" if where_to else "which names none: give --host URL"
    return f"load goes to the host of the command line alone, {here}"


def _name_of(host: str) -> str:
    """The name in a Host field, without its port; empty where it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)
