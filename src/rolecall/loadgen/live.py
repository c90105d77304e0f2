"""Serves the live page of a run on loopback (``--live``): the page, the run's state, and its end.

It has no log-in: whoever has an account on this machine can look at it. A page of another origin in
the same browser can neither read it nor end the run: `web.is_foreign` refuses it, also where a name
was led to this machine (DNS rebinding), and the word to end has to carry the token of this run,
which only the page holds.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, make_response, request
from gevent.event import Event

from rolecall.errors import UsageError
from rolecall.loadgen import live_state, loopback, plan, result, web
from rolecall.loadgen.schedule import Schedule
from rolecall.report import live_page

if TYPE_CHECKING:
    from rolecall.loadgen.run import LoadRun

#: Header of the word to end the run; a form of another page cannot send one.
_TOKEN = "X-Rolecall-Token"  # noqa: S105  # its name
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FOREIGN = "this page answers to itself alone: open it as http://127.0.0.1:PORT/\n"
#: Seconds within which a page that is open asks again, and that it has to ask for the verdict.
_OPEN, _LAST_LOOK = 3.0, 2.0
#: Seconds that answers under way have at the end.
_ANSWERING = 0.2

#: From the second and the sample that a page knows to the run's state (`live_state.state`).
Look = Callable[[int, int], Mapping[str, Any]]


class LivePage:
    """The page of one run, from its making until `close`.

    Args:
        port: on loopback; 0 takes any that is free.
        about: what the page says of the run as a whole (`live_page.write`).
        stop: ends the run, in order.

    Raises:
        UsageError: the port is taken.
    """

    def __init__(
        self, port: int, about: Mapping[str, Any], look: Look, stop: Callable[[], None]
    ) -> None:
        self._asked = 0.0
        self._told = Event()
        self._look = look
        token = secrets.token_urlsafe()
        page = live_page.write(about, _TOKEN, token)
        self._server = loopback.serve(port, application(page, self._state, stop, token), "--live")
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def _state(self, second: int, sample: int) -> Response:
        self._asked = time.monotonic()
        state = self._look(second, sample)
        answer = Response(json.dumps(state), mimetype="application/json")
        if state["result"] is not None:
            answer.call_on_close(self._told.set)
        return answer

    def close(self) -> None:
        """Serve no more; a page that is open gets the verdict before, if it asks soon."""
        if time.monotonic() - self._asked < _OPEN:
            self._told.wait(_LAST_LOOK)
        self._server.stop(_ANSWERING)


def page_of(run: LoadRun, schedule: Schedule | None) -> LivePage:
    """The page of a run that begins, where its options want it.

    Raises:
        UsageError: the port is taken, or Locust has a page of its own.
    """
    options = run.options
    if not options.headless:
        raise UsageError("--live", "Locust has a page already", "Give --headless as well.")

    def look(second: int, sample: int) -> dict[str, Any]:
        return live_state.state(
            run.coordinator.segment,
            run.objectives,
            run.coordinator.violations,
            run.said,
            run.document,
            second=second,
            sample=sample,
        )

    length = plan.seconds(options.duration, "--duration") + plan.seconds(options.ramp, "--ramp")
    about = {
        **result.about(options, run.scenario, run.started),
        "finished": None,
        "kind": "capacity" if options.capacity else "load",
        "folder": options.run_folder or "",
        "arrivals": schedule.pack() if schedule else None,
        "users": None if schedule or options.capacity else options.num_users,
        "duration_s": schedule.duration if schedule else length,
    }
    return LivePage(options.live, about, look, run.stop_from_page)


def application(
    page: str, state: Callable[[int, int], Response], stop: Callable[[], None], token: str
) -> Flask:
    """The three paths of the page, and what no other page may do."""
    app = Flask(__name__)

    @app.before_request
    def refuse() -> Response | None:
        foreign = web.is_foreign(request, (), everywhere=False)
        return make_response(_FOREIGN, 403) if foreign else None

    @app.after_request
    def guarded(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def whole() -> str:
        return page

    @app.get("/state")
    def now() -> Response:
        known = (request.args.get(name, 0, type=int) for name in ("second", "sample"))
        second, sample = (max(number, 0) for number in known)
        return state(second, sample)

    @app.post("/stop")
    def end() -> Response:
        if not secrets.compare_digest(request.headers.get(_TOKEN, "").encode(), token.encode()):
            return make_response("the token of this run is missing: open the page anew\n", 403)
        stop()
        return make_response("the run is being ended\n", 202)

    return app
