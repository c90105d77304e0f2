"""A server of another shape than the reference server's, with a census of everything on it.

It is lawful, and awkward: ids are numbers, each kind of thing counts for itself; lists show other
things' ids before the thing's own; no text may be empty; creates answer late now and then, or not
at all. It keeps a record of every request that would harm what was there before.

Longer than 400 lines because it is one whole server, whose rules refer to each other.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt

from rolecall.spec.loading import load_specification
from tests.support.command import Finished, rolecall

SPEC = load_specification()
DAY = 86_400
#: The last segment of each collection, and its resource.
COLLECTIONS = {
    resource.collection.rpartition("/")[2]: name for name, resource in SPEC.resources.items()
}
#: Requests that create something are answered late, and not at all, each so-many-th time.
LATE, LOST = 9, 13


class Refused(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Unanswered(Exception):
    """What was asked for is done, and the connection closed without an answer."""


def number(segment: str) -> int:
    """The id that a segment of a path is; 0 belongs to no thing."""
    return (
        int(segment)
        if segment.isascii() and segment.isdigit() and len(segment) < 12 and segment[0] != "0"
        else 0
    )


@dataclass(frozen=True)
class Who:
    """The user of a request, and its scopes."""

    user: dict[str, Any]
    scopes: tuple[str, ...]

    def may(self, operation: str) -> bool:
        """Whether one of the scopes allows an operation."""
        return any(SPEC.allows(operation, scope) for scope in self.scopes)


@dataclass
class Stranger:
    """The server. ``harm`` names every request that would have changed what it must not."""

    trouble: bool = True
    key: str = field(default_factory=lambda: secrets.token_hex(32))
    offset: float = 0.0
    things: dict[str, dict[int, dict[str, Any]]] = field(
        default_factory=lambda: {name: {} for name in COLLECTIONS.values()}
    )
    passwords: dict[int, str] = field(default_factory=dict)
    refresh_tokens: dict[str, int] = field(default_factory=dict)
    keys: dict[int, dict[str, Any]] = field(default_factory=dict)
    harm: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)
    #: When set, requests get no answer any more.
    mute: threading.Event = field(default_factory=threading.Event)
    speaks: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._creates = 0
        self._next = dict.fromkeys([*self.things, "api-key"], 1)
        organization = self.add("organization", {"name": "Everybody"})
        self.accounts = {}
        for role in SPEC.roles:
            members = {
                "displayName": f"The {role}",
                "email": f"{role}@example.org",
                "role": role,
                "organization": organization,
            }
            id = self.add("user", members)
            self.passwords[id] = f"Sesame-{secrets.token_hex(6)}"
            self.accounts[role] = id
        for resource in self.things:
            for number in range(3):
                more = (
                    {"email": f"old{number}@example.org", "role": "guest"}
                    if resource == "user"
                    else {}
                )
                about = {"conversation": number + 1} if resource == "message" else {}
                self.add(
                    resource,
                    {
                        "name": f"old {resource} {number}",
                        "organization": organization,
                        **about,
                        **more,
                    },
                )
        self._was = self.census()

    # --- Census ---------------------------------------------------------------------------------

    def census(self) -> dict[str, Any]:
        """Everything but time stamps, and the clock."""
        with self._lock:
            things = {
                f"{resource}/{id}": {
                    name: value for name, value in thing.items() if name != "updatedAt"
                }
                for resource, kind in self.things.items()
                for id, thing in kind.items()
            }
            return {"things": things, "passwords": dict(self.passwords), "clock": self.offset}

    def damage(self) -> list[str]:
        """What is not as it was at the start, besides things that were added."""
        now = self.census()
        lines = [
            f"{key}: {was} -> {now['things'].get(key)}"
            for key, was in self._was["things"].items()
            if now["things"].get(key) != was
        ]
        lines += [
            f"password of {id}"
            for id, was in self._was["passwords"].items()
            if now["passwords"].get(id) != was
        ]
        return (
            lines
            + ([f"clock: {now['clock']:+g} s"] if now["clock"] != self._was["clock"] else [])
            + self.harm
        )

    def left(self) -> list[str]:
        """What was added and is still there."""
        return [key for key in self.census()["things"] if key not in self._was["things"]] + [
            f"key {id}" for id in self.keys
        ]

    def watch(self, method: str, path: str, headers: dict[str, str]) -> None:
        """Note a request that would change what was there before: by its path alone, whatever it is
        answered.
        """
        overrides = [
            value
            for name, value in headers.items()
            if "override" in name or name == "x-http-method"
        ]
        parts = urlsplit(path)
        overrides += [value for name, value in parse_qsl(parts.query) if name == "_method"]
        if method in ("GET", "HEAD", "OPTIONS", "TRACE") and not overrides:
            return
        self.unsafe.append(f"{method} {path}")
        if parts.path in ("/v2/auth/token", "/clock"):
            return
        segments = [segment for segment in parts.path.split("/") if segment][1:]
        # below its parent: the thing itself comes last
        segments = segments[2:] if len(segments) == 4 else segments
        names_thing = len(segments) == 2 and segments[1] != ""
        if (method in ("PUT", "PATCH", "DELETE") or overrides) and not names_thing:
            self.harm.append(f"{method} {path}: a whole collection")
        elif names_thing and segments[0] in COLLECTIONS:
            key = f"{COLLECTIONS[segments[0]]}/{segments[1]}"
            is_account = key in {f"user/{id}" for id in self.accounts.values()}
            if key in self._was["things"] and not (is_account and method == "PATCH"):
                self.harm.append(f"{method} {path}: it was there before")

    # --- What there is --------------------------------------------------------------------------

    def add(self, resource: str, members: dict[str, Any]) -> int:
        """Keep a new thing; its id."""
        with self._lock:
            id = self._next[resource]
            self._next[resource] += 1
            now = self.instant()
            self.things[resource][id] = {**members, "createdAt": now, "updatedAt": now}
            return id

    def shown(self, resource: str, id: int) -> dict[str, Any]:
        """A thing as clients see it: what it refers to comes first."""
        thing = self.things[resource][id]
        maker = thing.get("maker", self.accounts["admin"])
        nested = {"createdBy": {"id": maker, "kind": "user"}, "history": [{"by": {"id": maker}}]}
        return {
            **nested,
            **{name: value for name, value in thing.items() if name not in ("maker", "password")},
            "id": id,
        }

    def now(self) -> float:
        """Seconds since 1970, by its own clock."""
        return time.time() + self.offset

    def instant(self) -> str:
        """Its time as resources show it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now()))

    # --- Tokens ---------------------------------------------------------------------------------

    def grant(self, id: int) -> dict[str, Any]:
        """A new pair of tokens."""
        user, now = self.things["user"][id], int(self.now())
        claims = {
            "_id": id,
            "scope": user["role"],
            "iat": now,
            "exp": now + DAY,
            "jti": secrets.token_hex(8),
        }
        refresh_token = f"{id}.{secrets.token_hex(40)}"
        self.refresh_tokens[refresh_token] = id
        token = jwt.encode(claims, self.key, "HS256")
        return {
            "tokenType": "Bearer",
            "token": token,
            "refreshToken": refresh_token,
            "user": id,
            "scope": user["role"],
        }

    def who(self, authorization: str) -> Who:
        """The user of a bearer token or key."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401)
        try:
            options: Any = {"verify_exp": False, "verify_iat": False}
            claims = jwt.decode(token, self.key, algorithms=["HS256"], options=options)
        except (jwt.PyJWTError, ValueError):
            raise Refused(401) from None
        exp = claims.get("exp")
        if "key" not in claims:
            if type(exp) is not int:
                raise Refused(401)
            if exp <= self.now():
                raise Refused(403)
        elif claims["key"] not in self.keys:
            raise Refused(401)
        id = claims.get("_id")
        if type(id) is not int or id not in self.things["user"]:
            raise Refused(401)
        scopes = claims["scope"].split(" ") if isinstance(claims.get("scope"), str) else []
        known = [scope for scope in scopes if scope in SPEC.roles]
        if not known:
            raise Refused(401)
        return (
            Who(self.things["user"][id], tuple(known))
            if "key" in claims
            else Who(self.things["user"][id], (known[-1],))
        )

    def token(
        self, method: str, query: dict[str, list[str]], authorization: str, body: Any
    ) -> tuple[int, Any]:
        """The token endpoint."""
        if method == "GET":
            return 200, self.grant(self.refreshed_with_bearer(query, authorization))
        if method != "POST":
            raise Refused(405)
        if not isinstance(body, dict) or ("password" in body and "refreshToken" in body):
            raise Refused(400)
        return 200, self.grant(
            self.logged_in(body) if "password" in body else self.refreshed_with_client(body)
        )

    def refreshed_with_bearer(self, query: dict[str, list[str]], authorization: str) -> int:
        """The user of a GET refresh: the bearer's, whose refresh token it has to be."""
        who = self.who(authorization)
        if jwt.decode(authorization.partition(" ")[2], options={"verify_signature": False}).get(
            "key"
        ):
            raise Refused(401)
        given = query.get("refreshToken", [])
        id = self.refresh_tokens.get(given[0]) if len(given) == 1 else None
        if id is None or self.things["user"].get(id) is not who.user:
            raise Refused(401)
        return id

    def refreshed_with_client(self, body: dict[str, Any]) -> int:
        """The user of a POST refresh, whose e-mail has to be named."""
        refresh_token = body.get("refreshToken")
        id = self.refresh_tokens.get(refresh_token) if isinstance(refresh_token, str) else None
        if (
            id is None
            or id not in self.things["user"]
            or self.things["user"][id].get("email") != body.get("clientId")
        ):
            raise Refused(401)
        return id

    def logged_in(self, body: dict[str, Any]) -> int:
        """The user with this e-mail and password."""
        for id, user in self.things["user"].items():
            if (
                user.get("email") == body.get("email")
                and self.passwords.get(id) == body["password"] != ""
            ):
                return id
        raise Refused(401)

    # --- Requests -------------------------------------------------------------------------------

    def answer(
        self, method: str, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, Any]:
        """The status and the document of an answer.

        Raises: Refused: it is not a success.
        """
        parts = urlsplit(path)
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            query.setdefault(name, []).append(value)
        body = None
        if content:
            try:
                body = json.loads(content.decode())
            except (ValueError, RecursionError):
                raise Refused(400) from None
            if "json" not in headers.get("content-type", ""):
                raise Refused(415)
        authorization = headers.get("authorization", "")
        with self._lock:
            if parts.path == "/clock" and isinstance(body, dict):
                self.offset += body["advance"]
                return 200, {}
            if parts.path == "/v2/auth/token":
                return self.token(method, query, authorization, body)
            segments = parts.path.split("/")
            if segments[:2] != ["", "v2"] or len(segments) not in (3, 4, 5):
                self.who(authorization)
                raise Refused(404)
            if segments[2] == "keys":
                return self.api_keys(method, segments[3:], self.who(authorization), body)
            return self.resource(method, segments[2:], query, self.who(authorization), body)

    def api_keys(self, method: str, rest: list[str], who: Who, body: Any) -> tuple[int, Any]:
        """Keys: made, listed and revoked by an admin."""
        if "admin" not in who.scopes:
            raise Refused(403)
        if not rest and method == "GET":
            return 200, [
                {name: value for name, value in key.items() if name != "token"}
                for key in self.keys.values()
            ]
        if not rest and method == "POST":
            scopes = body.get("scopes") if isinstance(body, dict) else None
            if (
                not isinstance(scopes, list)
                or not scopes
                or not all(isinstance(s, str) and s in SPEC.roles for s in scopes)
            ):
                raise Refused(400)
            number = self._next["api-key"]
            self._next["api-key"] += 1
            user = next(id for id, user in self.things["user"].items() if user is who.user)
            token = jwt.encode(
                {"_id": user, "scope": " ".join(scopes), "key": number, "iat": int(self.now())},
                self.key,
                "HS256",
            )
            self.keys[number] = {
                "owner": {"id": user},
                "id": number,
                "name": body.get("name"),
                "scopes": scopes,
            }
            return 201, {**self.keys[number], "user": user, "token": token}
        if len(rest) == 1 and method == "DELETE":
            if not rest[0].isdigit() or self.keys.pop(int(rest[0]), None) is None:
                raise Refused(404)
            return 204, None
        raise Refused(405)

    def resource(
        self, method: str, rest: list[str], query: dict[str, list[str]], who: Who, body: Any
    ) -> tuple[int, Any]:
        """The nine kinds of things."""
        name = COLLECTIONS.get(rest[0])
        if (
            rest[0] == "conversations"
            and len(rest) == 3
            and rest[2] == "messages"
            and method == "POST"
        ):
            return self.write_message(number(rest[1]), who, body)
        if name is None or len(rest) > 2:
            raise Refused(404)
        if len(rest) == 1:
            return self.collection(method, name, query, who, body)
        return self.one(method, name, number(rest[1]), who, body)

    def write_message(self, conversation: int, who: Who, body: Any) -> tuple[int, Any]:
        """A new message in a conversation."""
        if not who.may("create-message"):
            raise Refused(403)
        if conversation not in self.things["conversation"]:
            raise Refused(404)
        return self.create("message", {**self.checked(body), "conversation": conversation}, who)

    def one(self, method: str, name: str, id: int, who: Who, body: Any) -> tuple[int, Any]:
        """Fetch, update and delete."""
        is_self = name == "user" and self.things["user"].get(id) is who.user
        effect = {"GET": "fetch", "HEAD": "fetch", "PATCH": "update", "DELETE": "delete"}.get(
            method
        )
        if effect is None:
            raise Refused(405)
        if not (
            who.may(f"{effect}-{name}")
            or (is_self and effect != "delete" and who.may(f"{effect}-user-self"))
        ):
            raise Refused(403)
        if id not in self.things[name]:
            raise Refused(404)
        if effect == "update":
            self.update(name, id, self.checked(body), who)
        if effect == "delete":
            del self.things[name][id]
            self.passwords.pop(id, None) if name == "user" else None
            return 204, None
        return 200, self.shown(name, id)

    def collection(
        self, method: str, name: str, query: dict[str, list[str]], who: Who, body: Any
    ) -> tuple[int, Any]:
        """List, and create."""
        effect = {"GET": "list", "HEAD": "list", "POST": "create"}.get(method)
        if effect is None or (name == "message" and effect == "create"):
            raise Refused(405)
        plural = next(
            op
            for op in SPEC.operations.values()
            if op.effect == "list" and op.resource.name == name
        ).name
        if not who.may(plural if effect == "list" else f"create-{name}"):
            raise Refused(403)
        if effect == "create":
            return self.create(name, self.checked(body), who)
        start = int(query.get("offset", ["0"])[0]) if query.get("offset", ["0"])[0].isdigit() else 0
        wanted = query.get("conversation", [""])[0]
        found = [
            id
            for id, thing in self.things[name].items()
            if not wanted or str(thing.get("conversation")) == wanted
        ]
        return 200, [self.shown(name, id) for id in found[start : start + 100]]

    def create(self, name: str, members: dict[str, Any], who: Who) -> tuple[int, Any]:
        """Make a thing, with a password beside it where it is a user."""
        password = members.pop("password", None)
        if name == "user":
            if not isinstance(members.get("email"), str) or any(
                u.get("email") == members["email"] for u in self.things["user"].values()
            ):
                raise Refused(400)
            members = {"role": "guest", **members}
            if members["role"] not in SPEC.roles:
                raise Refused(400)
        maker = next(id for id, user in self.things["user"].items() if user is who.user)
        id = self.add(name, {**members, "maker": maker})
        if name == "user" and isinstance(password, str):
            self.passwords[id] = password
        return 201, self.shown(name, id)

    def update(self, name: str, id: int, members: dict[str, Any], who: Who) -> None:
        """Change a thing; of oneself only the names, unless an admin does."""
        password = members.pop("password", None)
        if name == "user":
            if "admin" not in who.scopes:
                members = {
                    key: value for key, value in members.items() if key.endswith(("Name", "name"))
                }
            elif isinstance(password, str):
                self.passwords[id] = password
            if members.get("role", "guest") not in SPEC.roles:
                raise Refused(400)
        members = {
            key: value
            for key, value in members.items()
            if key not in ("id", "_id", "maker", "createdAt")
        }
        self.things[name][id].update(members, updatedAt=self.instant())

    @staticmethod
    def checked(body: Any) -> dict[str, Any]:
        """An object in which no text is empty and nothing is null, and arrays are where they
        belong.
        """
        if not isinstance(body, dict) or any(value in (None, "") for value in body.values()):
            raise Refused(400)
        if not isinstance(body.get("tags", []), list):
            raise Refused(400)
        return dict(body)

    # --- On a socket ----------------------------------------------------------------------------

    def fate(self, method: str, path: str) -> str:
        """Whether a create is answered late, or not at all."""
        if not self.trouble or method != "POST" or "auth" in path or path == "/clock":
            return ""
        with self._lock:
            self._creates += 1
            return (
                "lost" if self._creates % LOST == 0 else "late" if self._creates % LATE == 0 else ""
            )

    def target_file(self, url: str, more: str = "") -> str:
        """The target file for this server at a URL."""
        lines = ["[target]", 'name = "stranger"', f'base_url = "{url}"', "timeout = 3", more]
        for role, id in self.accounts.items():
            lines += [
                f"[accounts.{role}]",
                f'email = "{role}@example.org"',
                f'password = "{self.passwords[id]}"',
            ]
        return "\n".join(
            [
                *lines,
                "[api_keys]",
                'create_path = "/v2/keys"',
                "[expiry]",
                f'clock_url = "{url}/clock"',
                "",
            ]
        )


class Handler(BaseHTTPRequestHandler):
    """One connection to the stranger."""

    protocol_version = "HTTP/1.1"
    stranger: Stranger

    def handle_one_request(self) -> None:
        """Called by http.server; a client that leaves is not an error."""
        with contextlib.suppress(OSError):
            super().handle_one_request()

    def respond(self) -> None:
        """Answer a request, late or not at all if that is its fate."""
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.stranger.mute.is_set():
            self.stranger.speaks.wait(60)
            self.close_connection = True
            return
        self.stranger.watch(self.command, self.path, headers)
        fate = self.stranger.fate(self.command, self.path)
        try:
            status, document = self.stranger.answer(self.command, self.path, headers, content)
        except Refused as refusal:
            status, document = refusal.status, {"error": {"message": "No."}}
        except Unanswered:
            fate = "lost"
        if fate == "lost":
            self.close_connection = True
            return
        if fate == "late":
            time.sleep(0.4)
        self.say(status, document)

    def say(self, status: int, document: Any) -> None:
        """Write an answer."""
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.stranger.now(), usegmt=True))
        self.send_header("Content-Type", "application/json")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_OPTIONS = do_TRACE = respond  # noqa: N815
    do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextlib.contextmanager
def listening(stranger: Stranger, handler: type[Handler] = Handler) -> Iterator[str]:
    """The stranger on a socket of this machine; its URL."""
    server = _Threads(("127.0.0.1", 0), type("Handler", (handler,), {"stranger": stranger}))
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stranger.speaks.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def certified(
    stranger: Stranger, folder: Path, *options: str, handler: type[Handler] = Handler
) -> Finished:
    """``rolecall certify`` of the stranger, with its target file and the run in a folder."""
    with listening(stranger, handler) as url:
        (folder / "target.toml").write_text(stranger.target_file(url), encoding="utf-8")
        return rolecall("certify", "target.toml", "--out", "runs", *options, cwd=folder)


def perhaps_left(finished: Finished, resource: str) -> list[str]:
    """What a run says of things of a kind that may still be there."""
    return [
        line for line in finished.results["left_behind"] if line.startswith(f"perhaps {resource}")
    ]
