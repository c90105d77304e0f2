"""Locust's web page serves only itself, and starts runs only on the command line's host."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient

from rolecall.loadgen import web
from rolecall.loadgen.checks.violations import Violations

HERE = "http://127.0.0.1:8089"
TARGET = "http://target.example:8080"


def page(
    web_host: str = "127.0.0.1", *, display_name: str = "", where_to: str = TARGET
) -> FlaskClient:
    """A page with Locust's routes, each of which says that it was reached."""
    app = Flask(__name__)
    for path in ("/", "/logs", "/stats/requests", "/swarm", "/stop", "/stats/reset", "/user"):
        app.add_url_rule(path, path, lambda: "reached", methods=["GET", "POST"])
    web.guard(
        app, web_host=web_host, display_name=display_name, where_to=where_to, extra=lambda: ["mine"]
    )
    return app.test_client()


def reached(
    client: FlaskClient,
    method: str,
    path: str,
    base_url: str = HERE,
    data: object = None,
    **headers: str,
) -> bool:
    """Whether a request came through; one that did not is refused with a sentence."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.open(path, method=method, base_url=base_url, data=data, headers=fields)
    assert (answer.status_code, answer.text) == (200, "reached") or (
        answer.status_code == 403 and len(answer.text) > 30
    )
    return answer.status_code == 200


SAME = {
    "user_count": "3",
    "spawn_rate": "3",
    "host": TARGET,
    "run_time": "",
    "profile": "",
    "mine": "1",
}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": HERE},
        {"Origin": HERE, "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Dest": "document"},
    ],
    ids=["curl", "origin", "page", "typed"],
)
def test_the_page_itself(headers: dict[str, str]) -> None:
    """The page, and a program of this machine, see all and begin a run."""
    client = page()

    for path in ("/", "/logs", "/stats/requests"):
        assert reached(client, "GET", path, **headers)
    for host in (TARGET, TARGET + "/", ""):
        assert reached(client, "POST", "/swarm", data=SAME | {"host": host}, **headers)
    for path in ("/stop", "/stats/reset"):
        assert reached(client, "POST", path, **headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://127.0.0.1:3000", "Sec_Fetch_Site": "same-site"},
        {"Origin": "http://localhost:8089"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "image"},
    ],
    ids=["other", "cross-site", "other-port", "other-name", "hidden", "no-origin", "image"],
)
def test_another_page(headers: dict[str, str]) -> None:
    """A page of another origin, on this machine too, does nothing and reads nothing."""
    client = page()

    for method, path in (
        ("POST", "/swarm"),
        ("POST", "/stop"),
        ("POST", "/user"),
        ("GET", "/stats/reset"),
        ("GET", "/logs"),
    ):
        assert not reached(client, method, path, data=SAME if method == "POST" else None, **headers)


def test_a_link_may_be_followed() -> None:
    """A link on another page opens the page, which no frame shows."""
    client = page()
    answer = client.get(
        "/", base_url=HERE, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    )

    assert (answer.status_code, answer.headers["X-Frame-Options"]) == (200, "DENY")


@pytest.mark.parametrize(
    ("web_host", "base_url", "expected"),
    [
        ("127.0.0.1", "http://localhost:8089", True),
        ("127.0.0.1", "http://[::1]:8089", True),
        ("127.0.0.1", "http://evil.example:8089", False),
        ("127.0.0.1", "http://192.0.2.7:8089", False),
        ("127.0.0.1", "http://127.0.0.1.evil.example", False),
        ("192.0.2.7", "http://192.0.2.7:8089", True),
        ("loader.example", "http://LOADER.example", True),
        ("", "http://192.0.2.7:8089", True),
        ("0.0.0.0", "http://[2001:db8::7]:8089", True),
        ("*", "http://evil.example:8089", False),
    ],
)
def test_a_name_that_was_led_here(web_host: str, base_url: str, expected: bool) -> None:
    """Only by loopback's names, and by that of --web-host, is the page reached; where it listens
    everywhere, by any address.
    """
    client = page(web_host)

    assert (
        reached(client, "POST", "/swarm", base_url=base_url, data=SAME, Origin=base_url.lower())
        == expected
    )


def test_another_name_that_was_given() -> None:
    """--web-host-display-name is what a proxy before the page calls it."""
    client = page("0.0.0.0", display_name="https://loader.example/locust")  # nothing is bound

    assert reached(
        client,
        "POST",
        "/swarm",
        base_url="https://loader.example",
        data=SAME,
        Origin="https://loader.example",
    )


@pytest.mark.parametrize(
    "data",
    [
        {"host": "http://evil.example"},
        {"host": "http://target.example:8081"},
        {"host": "https://target.example:8080"},
        {"host": [TARGET, "http://evil.example"]},
        {"host": "nonsense"},
        {"accounts": "/etc/passwd"},
        {"target": "/tmp/other.toml"},
        {"run_folder": "/tmp/elsewhere"},
        {"html_file": "/tmp/x"},
    ],
)
def test_a_run_elsewhere(data: dict[str, object]) -> None:
    """No run is begun on another host than the command line's, nor with options that the page does
    not show: that is said as JSON.
    """
    client = page()
    answer = client.post("/swarm", base_url=HERE, data=SAME | data)

    assert answer.status_code == 403
    assert answer.json
    assert not answer.json["success"]
    assert "command line" in answer.json["message"]


def test_no_host_on_the_command_line() -> None:
    """A page's word is not enough then: the sentence says what to give."""
    client = page(where_to="")
    answer = client.post("/swarm", base_url=HERE, data=SAME)

    assert "give --host URL" in (answer.json or {})["message"]
    assert reached(client, "POST", "/swarm", data=SAME | {"host": ""})


def test_another_host_for_a_user_class() -> None:
    """Neither do the settings of a user class lead elsewhere."""
    client = page()

    assert not reached(
        client,
        "POST",
        "/user",
        data='{"user_class_name": "Session", "host": "http://evil.example"}',
    )
    assert reached(client, "POST", "/user", data='{"user_class_name": "Session", "weight": 2}')


def test_violations_are_a_tab() -> None:
    """They come with the page's own figures, the newest first, each with its requirement, and with
    what hides in them made visible; other answers stay as they are.
    """
    app, found = Flask(__name__), Violations(started=0.0)
    app.add_url_rule("/stats/requests", "stats", lambda: jsonify(state="running"))
    app.add_url_rule("/logs", "logs", lambda: jsonify(logs=[]))
    ui = SimpleNamespace(app=app, template_args={"kept": 1})
    web.show_violations(ui, lambda: found)
    client = app.test_client()
    before = client.get("/stats/requests").json or {}
    for message in ("first", "second \u202e"):
        found.report("shape", message)
    after = client.get("/stats/requests").json or {}
    (tab,), (table,) = ui.template_args["extended_tabs"], ui.template_args["extended_tables"]
    (rows,) = after["extended_stats"]

    assert before == {
        "state": "running",
        "extended_stats": [{"key": "violations", "data": []}],
    }
    assert tab["key"] == table["key"] == rows["key"] == "violations"
    assert [row["message"] for row in rows["data"]] == ["second ⟨U+202E⟩", "first"]
    assert all((row["requirement"], row["count"]) == ("ISSUE-fields", 2) for row in rows["data"])
    assert {column["key"] for column in table["structure"]} == set(rows["data"][0])
    assert client.get("/logs").json == {"logs": []}
    assert ui.template_args["kept"] == 1
