"""No password or token that crossed the wire is in a file of a run, or was printed.

Longer than 400 lines because each way of a secret has its server beside it.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jwt
import pytest

from rolecall.reference.settings import password_variable
from tests.conftest import SIGNING_KEY, Reference, Watched
from tests.support.command import FILES, ROLES, environment, target_file, target_text
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    Tap,
    json_response,
    response,
)
from tests.support.servers import certify, forwarded, serving

_IN_BODIES = re.compile(rb'"(token|refreshToken|password)"\s*:\s*"((?:[^"\\\x00-\x1f]|\\.)*)"')
#: The same where the body was cut before the end of it, and the next answer follows; what is
#: shorter is the user's id.
_HALF = re.compile(
    rb'"(token|refreshToken|password)"\s*:\s*"([^"\\\x00-\x1f]{40,}?)(?=HTTP/1\.1 |\Z)'
)
_BEARER = re.compile(rb"authorization: bearer ([^\r\n]+)", re.IGNORECASE)
_WORD = re.compile(r"[\w+/=%.~-]+")
_IN_QUERIES = re.compile(rb"refreshToken=([^&\s]+)")
#: What is presented as a bearer and is a word of every page with a script.
_WORDS = {"undefined"}


def secrets_on(streams: Iterable[bytes | bytearray]) -> set[str]:
    """Every password, token and refresh token in what crossed the wire, without what is public of
    it.

    A run presents the front part of a refresh token, which is the user's id, and words that never
    were a password.
    """
    found: set[str] = set()
    for stream in streams:
        found |= {json.loads(f'"{literal.decode()}"') for _, literal in _IN_BODIES.findall(stream)}
        found |= {value.decode() for value in _BEARER.findall(stream) if value.isascii()}
        found |= {unquote(value.decode()) for value in _IN_QUERIES.findall(stream)}
    return {
        value
        for value in found - _WORDS
        if len(value) >= 6 and not re.fullmatch(r"[0-9a-fA-F]{24}\.?", value)
    }


def give_aways(secret: str) -> Iterator[str]:
    """What would give a secret away in a text: of a JWT its signature, of anything else all of it,
    in every encoding.
    """
    decisive = secret
    if secret.startswith("eyJ"):  # header and claims alone are shown, and open nothing
        decisive = secret.rpartition(".")[2] if secret.count(".") > 1 else ""
    if len(decisive) < 6:
        return
    yield decisive
    yield quote(decisive, safe="")
    yield json.dumps(decisive)[1:-1]
    for value in (secret, f"user@example.org:{secret}"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # The ends of base64 depend on the neighbours; twenty characters of its inside are
            # enough to tell.
            yield encode(value.encode()).decode().rstrip("=")[-24:-4]


def leaks(secrets: set[str], folder: Path, printed: str) -> list[str]:
    """Where a secret is: the files' names, and "output"."""
    texts = {
        path.name: path.read_bytes().decode("utf-8", "replace")
        for path in folder.rglob("*")
        if path.is_file()
    }
    texts["output"] = printed
    wanted = {text for secret in secrets for text in give_aways(secret)}
    # A run has thousands of secrets and a thousand files, in which the same words stand again and
    # again.
    words = {text for text in wanted if _WORD.fullmatch(text)}
    different = "\n".join({word for text in texts.values() for word in _WORD.findall(text)})
    suspicious = [word for word in words if word in different] + list(wanted - words)
    return [
        f"{name}: {word}" for name, text in texts.items() for word in suspicious if word in text
    ]


@pytest.mark.long
class TestWholeRun:
    """A run of everything against the reference server."""

    def test_nothing_leaks(self, certified: Watched) -> None:
        """Of all secrets that crossed the wire in either direction, none is in a file or in the
        output, in no encoding.
        """
        secrets = secrets_on([*certified.tap.sent, *certified.tap.answered]) | {SIGNING_KEY}
        names = {path.name for path in certified.finished.folder.iterdir()}

        assert len([secret for secret in secrets if secret.startswith("eyJ")]) > 100
        assert (
            len([secret for secret in secrets if re.match(r"[0-9a-f]{24}\.[0-9a-f]{80}$", secret)])
            > 50
        )
        assert {
            "results.json",
            "junit.xml",
            "evidence.har",
            "ledger.jsonl",
            "allure-results",
        } <= names
        assert leaks(secrets, certified.finished.folder, certified.finished.said) == []

    def test_a_leak_would_be_found(self, certified: Watched, tmp_path: Path) -> None:
        """The search finds what it should: each kind of secret, planted in each encoding, is found
        by it.
        """
        secrets = secrets_on([*certified.tap.sent, *certified.tap.answered])
        for secret in (
            max(secrets, key=len),
            "the-password-of-nobody",
            next(s for s in secrets if re.match("[0-9a-f]{24}[.]", s)),
        ):
            for spelling in give_aways(secret):
                (tmp_path / "planted.txt").write_text(f"before {spelling} after", encoding="utf-8")
                assert leaks(secrets | {secret}, tmp_path, ""), spelling
        assert leaks({"the-password-of-nobody"}, tmp_path, "printed: the-password-of-nobody") == [
            "output: the-password-of-nobody"
        ]

    def test_the_evidence_is_still_readable(self, certified: Watched) -> None:
        """Redaction takes the secrets and leaves the story: users' ids, claims and labels can be
        followed.
        """
        text = (certified.finished.folder / "evidence.har").read_text(encoding="utf-8")
        users = {
            claims["_id"]
            for claims in map(claims_of, secrets_on(certified.tap.answered))
            if "_id" in claims
        }

        assert users
        assert all(user in text for user in users)
        assert "<password-1>" in text
        assert re.search(r"eyJ[\w-]+\.eyJ[\w-]+\.<token-1>", text)


def claims_of(token: str) -> dict[str, str]:
    """The claims of a JWT; none of anything else."""
    try:
        claims: dict[str, str] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims


#: Passwords that JSON, a shell, a URL or HTML has to escape, and one that is a word of every
#: report.
PASSWORDS = {
    "guest": 'it\'s "quoted" & <b>old</b>\\',
    "agent": "p%C3%A4ss+w/rd==ÿ",
    "bot": "password",
}


PLACEHOLDER = "password = ?"


@pytest.mark.parametrize("role", PASSWORDS)
def test_passwords_of_all_sorts(role: str, tmp_path: Path, reference: Reference) -> None:
    """A password that has to be escaped does not slip through where it is refused; one that is a
    word spoils no report.
    """
    password = PASSWORDS[role]
    before, heading, after = reference.text.partition(f"[accounts.{role}]\n")
    text = before + heading + re.sub(r'password = "[^"]*"', PLACEHOLDER, after, count=1)
    text = text.replace(PLACEHOLDER, f"password = {json.dumps(password)}")

    with Tap(reference.url) as tap:
        file = target_file(tmp_path, text.replace(reference.url, tap.url))
        finished = certify(file, "ISSUE", env=reference.env)

    har = (finished.folder / "evidence.har").read_text(encoding="utf-8")
    assert finished.code == 2, finished.said
    assert "Check the password" in finished.results["reasons"][0]
    assert "Check the password" in finished.stderr
    assert password in secrets_on(tap.sent)
    assert (
        leaks(secrets_on(tap.sent) - {"password", "passwor"}, finished.folder, finished.said) == []
    )
    sent = json.dumps({"password": password}, separators=(",", ":"))[1:-1]
    assert json.dumps(sent)[1:-1] not in har
    assert r"\"password\":\"<password-" in har


def jwt_number(number: int) -> str:
    """A JWT like no other."""
    return jwt.encode(
        {"_id": "599e1fcd9da1c72645c95886", "scope": "admin", "iat": number, "exp": 86400},
        f"{number}" * 32,
    )


def refresh_number(number: int) -> str:
    """A refresh token like no other."""
    random_part = "8167e54e423275c0d948ce2efcaa481d4ab229ea53800502c26adae924a217f924fe2ba343d78ac"
    return f"599e1fcd9da1c72645c95886.{number}{random_part}"


@pytest.mark.long
def test_servers_that_put_secrets_anywhere(tmp_path: Path) -> None:
    """A token in a cut body, under another name, escaped oddly, in a cookie, a redirect, a refusal
    or a page stays out of every file.
    """
    # Longer than 40 lines because a server, its run and what came of it stand together.
    tokens = {jwt_number(number) for number in range(1, 9)} | {
        refresh_number(number) for number in range(1, 9)
    }
    tokens |= {
        "opaque/and+very-secret==",
        "another/opaque+secret==",
        "0123456789-a-session-0123456789",
    }

    def grant(number: int) -> dict[str, str]:
        return {
            "tokenType": "Bearer",
            "token": jwt_number(number),
            "refreshToken": refresh_number(number),
            "user": "599e1f",
            "scope": "admin",
        }

    answers = [
        response(200, json.dumps(grant(1)).encode()[:-60], content_type="text/plain"),
        json_response(
            {"accessToken": "opaque/and+very-secret==", "refresh_token": refresh_number(2)}
        ),
        response(
            200,
            json.dumps({"token": "another/opaque+secret=="})
            .replace("/", r"\/")
            .replace("+", r"\u002b")
            .encode(),
        ),
        json_response(grant(3), set_cookie=f"session={jwt_number(4)}; Path=/"),
        json_response([], 400, set_cookie="sid=0123456789-a-session-0123456789; Path=/"),
        response(
            302,
            location=f"http://127.0.0.1:9/#token={jwt_number(5)}&refreshToken={refresh_number(5)}",
        ),
        json_response(grant(6), 403),
        response(200, f"<p>{jwt_number(7)}</p>".encode(), content_type="text/html"),
    ]
    logins = itertools.cycle(answers)

    def server(request: Received, connection: Connection) -> None:
        connection.send(
            next(logins) if request.path.startswith("/v2/auth/token") else json_response(grant(8))
        )

    passwords = {f"password-of-{role}-7Hq2" for role in ROLES}
    with Miniature(server) as miniature:
        # A run logs every account in once. It ends with 2 at the answer that refuses one, with 4 at
        # the redirect, and at the page as long as none was granted.
        for code in (1, 2, 4, 4) * 2:
            finished = certify(
                target_file(tmp_path, target_text(miniature.url)), "ISSUE or REFRESH-get"
            )

            assert finished.code == code, finished.said
            assert leaks(tokens | passwords, finished.folder, finished.said) == []

    bodies = [
        request.body for request in miniature.received if request.path.startswith("/v2/auth/token")
    ]
    assert all(password in str(bodies) for password in passwords)
    assert len(bodies) >= 2 * len(answers)  # each of them came twice


#: A writer with a bug: its file goes out as it came in.
CARELESS = """
import sys
from rolecall.__main__ import main
from rolecall.report import har

careful = har.document
har.document = lambda exchanges, redact: careful(exchanges, str)
sys.exit(main(sys.argv[1:]))
"""


def test_a_file_that_would_leak_is_masked(tmp_path: Path, reference: Reference) -> None:
    """If a writer of ours forgot to redact, all files are written, without the secrets, and exit
    code 8 names file and place.
    """
    # Longer than 40 lines because a server, its run and what came of it stand together.
    words = (
        "certify",
        target_file(tmp_path, reference.text),
        "--select",
        "ISSUE-fields",
        "--out",
        tmp_path / "out",
    )
    finished = subprocess.run(
        [sys.executable, "-c", CARELESS, *words],
        capture_output=True,
        text=True,
        env=environment(**reference.env),
        check=False,
    )
    (folder,) = filter(Path.is_dir, (tmp_path / "out").iterdir())
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    har = json.loads((folder / "evidence.har").read_text(encoding="utf-8"))

    assert finished.returncode == results["exit_code"] == 8
    assert re.match(
        r"evidence\.har \(log\.entries\[0\]\.request\.postData\.text\) and \d+ more places would "
        r"have held a secret",
        results["reasons"][0],
    )
    assert re.search(
        r'"password":"<password-\d>"}$', har["log"]["entries"][0]["request"]["postData"]["text"]
    )
    names = {path.name for path in folder.iterdir()}
    assert names == FILES | {"allure-results"}
    assert (
        leaks(
            {SIGNING_KEY, *re.findall(r'password = "([^"]+)"', reference.text)},
            folder,
            finished.stdout,
        )
        == []
    )


class Liar:
    """A server that gives nothing but grants, and calls everything a token."""

    def __init__(self, words: Sequence[str]) -> None:
        self._grants = itertools.cycle(
            {"tokenType": "Bearer", "token": word, "refreshToken": word, "user": "599e1f"}
            for word in words
        )

    def __call__(self, request: Received, connection: Connection) -> None:
        """Answer with the next word."""
        connection.send(json_response(next(self._grants), set_cookie="sid=conformant; Path=/"))


def test_a_server_does_not_choose_what_is_hidden(tmp_path: Path) -> None:
    """A server whose tokens are words of our reports gets a verdict and all files, in which those
    words stand as ever.
    """
    words = (
        "passed failed inconclusive verdict outcome requirement version startedDateTime "
        "testsuite rolecall 127.0.0.1 ISSUE-status"
    )
    with Miniature(Liar(words.split())) as miniature:
        finished = certify(
            target_file(tmp_path, target_text(miniature.url)),
            "ISSUE-fields or ISSUE-status or PERM-list-users",
        )
    names = {path.name for path in finished.folder.iterdir()}
    har = json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))

    assert finished.code == 1, finished.said
    assert finished.results["verdict"] == "not-conformant"
    assert names == FILES | {"allure-results"}
    assert all(entry["request"]["url"].startswith(miniature.url) for entry in har["log"]["entries"])
    assert all(
        test["outcome"] in ("passed", "failed", "not-tested", "inconclusive")
        for test in all_tests(finished.results)
    )


def all_tests(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every test of a results.json."""
    return itertools.chain.from_iterable(
        requirement["tests"] for requirement in results["requirements"]
    )


def answered(url: str, change: Callable[[Received, bytes, int], bytes]) -> Answer:
    """Answers as the server at this URL does, with a change to the body: it is given the request,
    the body and which answer it is.
    """
    numbers = itertools.count()

    def answer(request: Received, connection: Connection) -> None:
        head, _, body = forwarded(url, request).partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        connection.send(
            response(status, change(request, body, next(numbers)), content_type="application/json")
        )

    return answer


def cut(request: Received, body: bytes, number: int) -> bytes:
    """The body up to a multiple of twenty bytes, another one each time; every fifth answer is
    whole.
    """
    return body if number % 5 == 0 else body[: 20 * (number % (len(body) // 20 + 1))]


def echo(request: Received, body: bytes, number: int) -> bytes:
    """What was sent, as a server for debugging shows it, beside the body."""
    sent = {
        "path": request.path,
        "headers": request.headers,
        "body": request.body.decode("utf-8", "replace"),
    }
    document = json.loads(body) if body else None
    return (
        json.dumps({**document, "echo": sent} if isinstance(document, dict) else document).encode()
        if body
        else b""
    )


@pytest.mark.long
@pytest.mark.parametrize("change", [cut, echo])
def test_servers_that_cut_and_echo(
    change: Callable[[Received, bytes, int], bytes], tmp_path: Path, reference: Reference
) -> None:
    """Answers cut at every twentieth byte, and a server that shows all that it was sent: all files,
    no secret, a right exit code.
    """
    with Miniature(answered(reference.url, change)) as miniature, Tap(miniature.url) as tap:
        file = target_file(tmp_path, reference.text.replace(reference.url, tap.url))
        finished = certify(
            file, "ISSUE or REFRESH-get or REFRESH-post or list-users", env=reference.env
        )
    names = {path.name for path in finished.folder.iterdir()}

    assert finished.code == finished.results["exit_code"]
    assert finished.code in ((1, 2, 3, 7) if change is cut else (0,)), finished.said
    assert {"results.json", "evidence.har", "junit.xml", "ledger.jsonl", "allure-results"} <= names
    halves = {half.decode() for stream in tap.answered for _, half in _HALF.findall(stream)}
    secrets = secrets_on([*tap.sent, *tap.answered]) | {
        half for half in halves if not half.startswith("eyJ")
    }
    assert len(secrets) > 10
    assert (len(halves) > 3) == (change is cut)
    assert leaks(secrets, finished.folder, finished.said) == []


def backwards(secret: str) -> list[str]:
    """A secret as it reads from its end: claims and signature of a JWT as well."""
    return [secret[::-1]]


def in_halves(secret: str) -> list[str]:
    """Both halves of a secret; of a JWT, of its signature."""
    decisive = secret.rpartition(".")[2] if secret.startswith("eyJ") else secret
    return [decisive[: len(decisive) // 2], decisive[len(decisive) // 2 :]]


def spilling(url: str, spell: Callable[[str], list[str]]) -> Answer:
    """Answers as the server at this URL does, and adds each secret of request and answer in a
    spelling: as members, as neighbours in a list, in the text of an error, and in a header.
    """

    def answer(request: Received, connection: Connection) -> None:
        head, _, body = forwarded(url, request).partition(b"\r\n\r\n")
        text = repr(request.headers).encode() + request.body + body
        found = {value.decode() for _, value in _IN_BODIES.findall(request.body + body)}
        found |= {token for token in _WORD.findall(text.decode()) if token.count(".") == 2}
        spelled = [spell(secret) for secret in sorted(found) if len(secret) > 15]
        document = json.loads(body) if body else {}
        if isinstance(document, dict):
            document["spilled"] = [dict(zip("ab", pieces, strict=False)) for pieces in spelled]
            document["list"] = ["first", *itertools.chain(*spelled), "last"]
            document["error"] = f"cannot use {spelled}!"
        connection.send(
            response(
                int(head.split(b" ")[1]),
                json.dumps(document).encode() if body else b"",
                content_type="application/json",
                x_spilled="; ".join(itertools.chain(*spelled)),
            )
        )

    return answer


@pytest.mark.long
@pytest.mark.parametrize("spell", [backwards, in_halves])
def test_servers_that_turn_round_and_spread(
    spell: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """A server that shows each token and password backwards, or in two halves, in members, lists,
    errors and headers: no file holds one of these, and the verdict is as without them.
    """
    # Not by chance: once in a while a half is one that may stand in any text.
    accounts = (*ROLES, "guest2")
    passwords = {
        password_variable(account): f"Xk/2q&L{number}9+vTz7R!"
        for number, account in enumerate(accounts)
    }
    with (
        serving("--clock", "--scrypt-n", "2", env={**Reference.env, **passwords}) as server,
        Miniature(spilling(server.url, spell)) as miniature,
        Tap(miniature.url) as tap,
    ):
        file = server.target_file(tmp_path, url=tap.url)
        finished = certify(file, "ISSUE-fields or REFRESH-get or list-users", env=server.env)

    assert finished.code == finished.results["exit_code"] == 0, finished.said
    granted = [secret for secret in secrets_on(tap.answered) if len(secret) > 40]
    spelled = {piece for secret in granted for piece in spell(secret)}
    configured = re.findall(r'password = "([^"]{16,})"', file.read_text(encoding="utf-8"))
    assert len(configured) == len(accounts)
    spelled |= {piece for secret in configured for piece in spell(secret)}
    shown = "".join(stream.decode("utf-8", "replace") for stream in map(bytes, tap.answered))
    assert len([piece for piece in spelled if piece in shown]) > 10
    assert leaks(set(granted), finished.folder, finished.said) == []
    texts = [file.read_text("utf-8") for file in finished.folder.rglob("*") if file.is_file()]
    assert [piece for piece in spelled for text in texts if piece in text] == []


@pytest.mark.long
def test_a_password_that_is_an_ordinary_word(tmp_path: Path) -> None:
    """``sunshine`` is not a word of our files: it is hidden wherever it stands, and the run is as
    any other.
    """
    env = {**Reference.env, password_variable("guest"): "sunshine"}
    with serving("--clock", "--scrypt-n", "2", env=env) as server, Tap(server.url) as tap:
        finished = certify(
            server.target_file(tmp_path, url=tap.url), "REFRESH or ISSUE", env=server.env
        )

    assert "sunshine" in secrets_on(tap.sent)
    assert finished.code in (0, 3), finished.said  # a part of the suite, and nothing failed
    assert finished.results["findings"] == []
    assert leaks({"sunshine"}, finished.folder, finished.said) == []


def test_ids_and_tokens_without_a_dot(tmp_path: Path) -> None:
    """Refresh tokens made of user id and secret without a dot between them: no exit 8, every id can
    be read, no secret can.
    """
    options = ("--clock", "--scrypt-n", "2", "--variant", "refresh-tokens-without-dot")
    with serving(*options, env=Reference.env) as server, Tap(server.url) as tap:
        finished = certify(
            server.target_file(tmp_path, url=tap.url), "REFRESH or ISSUE", env=server.env
        )
    har = (finished.folder / "evidence.har").read_text(encoding="utf-8")
    tokens = {
        secret for secret in secrets_on(tap.answered) if re.fullmatch(r"[0-9a-f]{104}", secret)
    }
    users = {token[:24] for token in tokens}

    assert finished.code in (0, 3), finished.said  # a part of the suite, and nothing failed
    assert finished.results["findings"] == []
    assert len(tokens) > 20
    assert all(f'user\\": \\"{user}' in har or f'user\\":\\"{user}' in har for user in users)
    assert leaks(tokens, finished.folder, finished.said) == []
