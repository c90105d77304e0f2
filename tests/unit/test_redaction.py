"""Redaction: no spelling of a secret gets through, and what is left can still be read.

Longer than 400 lines because every way to write a secret has its test.
"""

from __future__ import annotations

import base64
import contextlib
import html
import itertools
import json
import math
import random
import re
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import jwt
import pytest

from rolecall import redaction as module
from rolecall.escapes import levels
from rolecall.evidence import Exchange
from rolecall.redaction import Secrets

PASSWORD = 'p&ss/w"rd +<ö>=~!'
REFRESH_TOKEN = (
    "599e1fcd9da1c72645c95886."
    "28167e54e423275c0d948ce2efcaa481d4ab229ea53800502c26adae924a217f924fe2ba343d78ac"
)
TOKEN = jwt.encode(
    {"_id": "599e1fcd9da1c72645c95886", "scope": "admin", "iat": 1, "exp": 86401}, "k" * 32
)


def exchange(
    *,
    url: str = "http://t/v2/auth/token",
    headers: dict[str, str] | None = None,
    sent: bytes = b"",
    status: int = 200,
    got: bytes = b"",
    got_headers: list[tuple[str, str]] | None = None,
) -> Exchange:
    """An exchange as the HTTP stack records it."""
    return Exchange(
        number=1,
        method="POST",
        url=url,
        request_headers=headers or {},
        request_body=sent,
        caller="guest",
        status=status,
        body=got,
        headers=got_headers or [],
    )


def knowing(*values: tuple[str, str]) -> Secrets:
    """Secrets that were told of."""
    secrets = Secrets()
    for value, kind in values:
        secrets.add(value, kind)
    return secrets


SPELLINGS = {
    "raw": lambda secret: secret,
    "percent": lambda secret: quote(secret, safe=""),
    "percent, lower case": lambda secret: re.sub(
        "%..", lambda match: match.group().lower(), quote(secret, safe="")
    ),
    "form": quote_plus,
    "query": lambda secret: urlencode({"p": secret}),
    "path": quote,
    "as a browser does": lambda secret: quote(secret, safe="!'()*"),
    "JSON": json.dumps,
    "JSON, unescaped": lambda secret: json.dumps(secret, ensure_ascii=False),
    "JSON as PHP writes it": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "HTML text": lambda secret: html.escape(secret, quote=False),
    "HTML as PHP writes it": lambda secret: (
        html.escape(secret).replace("&#x27;", "&#039;").replace("&quot;", "&#34;")
    ),
    "HTML, every character": lambda secret: "".join(f"&#{ord(character)};" for character in secret),
    "JSON as Go writes it": lambda secret: escaped(secret, "&<>"),
    "JSON as .NET writes it": lambda secret: escaped(secret, "\"&'<>+`", upper=True),
    "JSON as Gson writes it": lambda secret: escaped(secret, "&<>='"),
    "JSON, every character": lambda secret: escaped(secret, secret),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"said": secret})),
    "JSON in JSON in a URL": lambda secret: quote(json.dumps(json.dumps({"said": secret}))),
    "percent, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "form, twice": lambda secret: quote_plus(quote_plus(secret)),
    "percent of JSON as Go writes it": lambda secret: quote(escaped(secret, "&<>"), safe=""),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "hexadecimal, upper case": lambda secret: secret.encode().hex().upper(),
    "UTF-16, read as UTF-8": lambda secret: secret.encode("utf-16-le").decode("utf-8", "replace"),
    "UTF-16 the other way round": lambda secret: secret.encode("utf-16-be").decode(
        "utf-8", "replace"
    ),
    "UTF-8, read as Latin-1": lambda secret: secret.encode().decode("latin-1"),
    "Latin-1, read as UTF-8": lambda secret: secret.encode("latin-1").decode("utf-8", "replace"),
}


def escaped(text: str, characters: str, *, upper: bool = False) -> str:
    r"""The inside of a JSON text in which these characters are written \u0026."""
    hexadecimal = "04X" if upper else "04x"
    return "".join(
        f"\\u{ord(character):{hexadecimal}}"
        if character in characters
        else json.dumps(character, ensure_ascii=False)[1:-1]
        for character in text
    )


class TestSpellings:
    """However a secret is written, it is known."""

    @pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
    @pytest.mark.parametrize("secret", [PASSWORD, REFRESH_TOKEN, "base64+url/safe==like"])
    def test_escaped(self, secret: str, spelling: Callable[[str], str]) -> None:
        """A secret that was escaped for a URL, JSON or HTML is replaced whole."""
        written = spelling(secret)
        secrets = knowing((secret, "password"))

        assert secrets.found_in(f"before {written} after")
        redacted = secrets.redact(f"before {written} after")

        assert "<password-1>" in redacted
        assert redacted.startswith("before ")
        assert redacted.endswith(" after")
        assert not secrets.found_in(redacted)
        assert not any(piece in redacted for piece in (secret[:6], secret[-6:]))
        # for what some writers put around it
        assert len(redacted) < len("before <password-1> after") + 70

    @pytest.mark.parametrize("encode", SPELLINGS.values(), ids=SPELLINGS)
    def test_what_follows_is_not_lost(self, encode: Callable[[str], str]) -> None:
        """Only the escapes that belong to a secret go with it: its neighbours stay as they were
        written.
        """
        written = encode(PASSWORD)
        secrets = knowing((PASSWORD, "password"))

        redacted = secrets.redact(rf"\u0041%42&amp;|{written}|\u0043%44&lt;")

        assert redacted.startswith(r"\u0041%42&amp;|")
        assert redacted.endswith(r"|\u0043%44&lt;")

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    @pytest.mark.parametrize("secret", [PASSWORD, REFRESH_TOKEN, "123456", "1234567"])
    def test_base64_at_every_alignment(self, secret: str, encode: Callable[[bytes], bytes]) -> None:
        """In base64, where a secret may begin at any of three positions, none of its inner
        characters is left.
        """
        secrets = knowing((secret, "password"))

        for before, after in itertools.product(("", "u", "us", "user:"), ("", ":", "::", ":tail")):
            written = encode((before + secret + after).encode()).decode()
            redacted = secrets.redact(f"Basic {written}")

            assert "<password-1>" in redacted
            front, back = redacted.removeprefix("Basic ").rstrip("=").split("<password-1>")
            # what else is a neighbour, or a character shared with one
            assert len(front) <= math.ceil(len(before) * 8 / 6) + 1
            assert len(back) <= math.ceil(len(after) * 8 / 6) + 1

    def test_a_basic_header(self) -> None:
        """A Basic header that the harness sent is known as a whole, and its password wherever it
        stands.
        """
        header = "Basic " + base64.b64encode(f"guest@example.org:{PASSWORD}".encode()).decode()
        secrets = knowing((PASSWORD, "password"))
        secrets.learn(exchange(headers={"Authorization": header}))

        assert secrets.redact(header) == "Basic <token-1>"
        assert secrets.redact(f"guest@example.org:{PASSWORD}") == "guest@example.org:<password-1>"

    @pytest.mark.parametrize("word", ["guest", "password", "a"])
    def test_a_password_that_is_a_word(self, word: str) -> None:
        """A password that may be a word of any text is taken out of the requests that carry it, and
        every other text stays.
        """
        secrets = knowing((word, "password"))
        body = json.dumps({"scope": word, "password": word}, separators=(",", ":"))

        assert secrets.redact(body) == f'{{"scope":"{word}","password":"<password-1>"}}'
        assert secrets.redact(f'{{"password":["{word}"]}}') == '{"password":["<password-1>"]}'
        assert not secrets.found_in(f"the {word} of the day")


class TestPlainPasswords:
    """A password is a secret however plain it is, and what is public is none."""

    @pytest.mark.parametrize("word", ["sunshine", "letmein", "abcdef", "correct horse battery"])
    def test_a_word_that_reports_do_not_use(self, word: str) -> None:
        """A password that is a word is hidden in every text, unless it is one of ours."""
        secrets = knowing((word, "password"))

        assert not secrets.is_plain(word)
        assert secrets.redact(f"so it is {word}!") == "so it is <password-1>!"

    @pytest.mark.parametrize(
        "word", ["guest", "requirement", "x7Q!z", "12345", "exam", "bot@example"]
    )
    def test_one_that_is_like_ordinary_text(self, word: str) -> None:
        """One that stands in ordinary text is hidden where it is a value of its own, in whatever
        notation, and only there.
        """
        secrets = Secrets()
        secrets.spare("bot@example.org")
        secrets.add(word, "password")
        notations = [
            f'{{"password":"{word}"}}',
            f'{{"password": ["{word}"]}}',
            f'{{"Password":{{"$in":["{word}"]}}}}',
            f"password={word}&x=1",
            f"<password>{word}</password>",
            f'form-data; name="password"\r\n\r\n{word}\r\n--',
            f'[["email","x"],["password","{word}"]]',
            f'{{password:"{word}"}}',
            json.dumps(json.dumps({"password": word})),
            quote(json.dumps({"password": word})),
            '{"password":' + "[" * 1000 + f'"{word}"' + "]" * 1000 + "}",
        ]

        assert secrets.is_plain(word)
        for notation in notations:
            assert "<password-1>" in secrets.redact(notation), notation
            assert word not in secrets.redact(notation), notation
        assert not secrets.found_in(f"the {word} of the day")
        assert (
            secrets.redact(f'"the {word} of the day", {word}s')
            == f'"the {word} of the day", {word}s'
        )

    @pytest.mark.parametrize(
        "password",
        [
            "<password-1>",
            "password-1",
            "<token-1>",
            "assword-12>",
            "n-100000",
            "<refresh-token-7>",
            "en-4711",
            "00017>",
        ],
    )
    def test_one_that_reads_like_a_label(self, password: str) -> None:
        """A password that reads like one of our labels is masked, and is in no label."""
        others = [f"token-of-number-{number}x" for number in range(20)]
        for place in (0, 10):
            secrets = knowing(
                *((other, "token") for other in others[:place]),
                (password, "password"),
                *((other, "token") for other in others),
            )

            redacted = secrets.redact(f"it is {password}, and {' '.join(others)}")

            assert password not in redacted
            assert len(set(redacted.split()[4:])) == 20
        assert not secrets.found_in(redacted)
        assert secrets.redact(redacted) == redacted


class TestLabels:
    """What is left tells a reader which secret stood there."""

    def test_the_same_secret_has_the_same_label(self) -> None:
        """One secret in two spellings has one label, another secret has another."""
        secrets = knowing((PASSWORD, "password"), ("another password", "password"))

        text = secrets.redact(f"{PASSWORD} {quote(PASSWORD, safe='')} another password {PASSWORD}")

        assert text == "<password-1> <password-1> <password-2> <password-1>"

    def test_learning_a_secret_again_changes_nothing(self) -> None:
        """A token keeps its label when it is seen again in another place, or as another kind."""
        secrets = knowing((REFRESH_TOKEN, "refresh-token"))
        secrets.learn(
            exchange(
                headers={"authorization": f"Bearer {REFRESH_TOKEN}"},
                got=json.dumps({"token": REFRESH_TOKEN}).encode(),
            )
        )

        assert secrets.redact(REFRESH_TOKEN) == "<refresh-token-1>"

    def test_a_jwt_keeps_header_and_claims(self) -> None:
        """Of a JWT only the signature is taken away: its claims are evidence, and without it nobody
        can use it.
        """
        secrets = knowing((TOKEN, "token"))

        redacted = secrets.redact(f"Bearer {TOKEN}")

        assert f"Bearer {TOKEN.rpartition('.')[0]}.<token-1>" == redacted
        assert not secrets.found_in(redacted)

    @pytest.mark.parametrize("token", [TOKEN, REFRESH_TOKEN])
    def test_a_secret_in_disguise_is_the_same_one(self, token: str) -> None:
        """A token that is sent with escapes in it, whole, is the one that it is meant as, and has
        its label.
        """
        secrets = knowing((token, "token"))
        for disguised in (
            token.replace("e", "%65"),
            token.replace("9", r"\u0039"),
            quote(token.replace("e", "%65")),
        ):
            secrets.learn(exchange(headers={"authorization": f"Bearer {disguised}"}, status=401))

            assert secrets.redact(token) == knowing((token, "token")).redact(token)
            assert secrets.redact(disguised).endswith("<token-1>")

    def test_three_parts_alone_make_no_jwt(self) -> None:
        """An opaque secret with two dots in it is hidden whole: its front parts are no claims."""
        secrets = knowing(("device-7.hidden-part.signature", "refresh-token"))

        assert secrets.redact("device-7.hidden-part.signature") == "<refresh-token-1>"

    def test_the_longest_match_counts(self) -> None:
        """Where one secret begins like another, a text is labelled by the whole of it, in whatever
        order they were learnt.
        """
        cut = REFRESH_TOKEN[:46]
        for order in ((cut, REFRESH_TOKEN), (REFRESH_TOKEN, cut)):
            secrets = knowing(*((value, "refresh-token") for value in order))

            labels = (
                secrets.redact(cut),
                secrets.redact(REFRESH_TOKEN),
                secrets.redact(f"{REFRESH_TOKEN}0"),
            )

            assert labels[0] != labels[1]
            assert f"{labels[1]}0" == labels[2]

    def test_the_user_in_a_refresh_token_is_no_secret(self) -> None:
        """An attack that presents a refresh token's front part, the user's id, does not make that
        id unreadable in every report.
        """
        secrets = knowing((REFRESH_TOKEN, "refresh-token"))
        user = REFRESH_TOKEN.partition(".")[0]
        for attack in (user, f"{user}."):
            secrets.learn(exchange(sent=json.dumps({"refreshToken": attack}).encode()))

        assert f"user {user}." == secrets.redact(f"user {user}.")
        # whose claims hold that id in base64
        assert TOKEN.rpartition(".")[0] in secrets.redact(TOKEN)

    def test_no_more_than_the_secret_is_replaced(self) -> None:
        """Text around and between secrets stays as it is, byte for byte."""
        alphabet = string.ascii_letters + string.digits + '+/=.-_%&"\\ \n'
        rng = random.Random(7)
        values = ["".join(rng.choices(string.hexdigits, k=rng.randint(6, 40))) for _ in range(30)]
        secrets = knowing(*((value, "token") for value in values))
        pieces = ["".join(rng.choices(alphabet, k=rng.randint(0, 9))) + "|" for _ in range(200)]
        chosen = rng.choices(values, k=200)

        redacted = secrets.redact(
            "".join(f"{piece}{value}|" for piece, value in zip(pieces, chosen, strict=True))
        )

        labels = {value: secrets.redact(value) for value in values}
        assert (
            "".join(f"{piece}{labels[value]}|" for piece, value in zip(pieces, chosen, strict=True))
            == redacted
        )


#: Words of our reports and of HTTP, which a server calls its tokens.
WORDS = [
    (
        "passed failed verdict outcome requirement inconclusive conformant version startedDateTime "
        "testsuite rolecall statement"
    ),
    (
        "findings expected response postData mimeType historyId fullName Content-Type "
        "application/json undefined localhost 127.0.0.1"
    ),
    (
        "ISSUE-status create-user-guest-token http://127.0.0.1:8080 guest@example.org "
        "20260101-101010-abcdef"
    ),
]


class TestWhatIsPublic:
    """A server does not decide what is hidden."""

    @pytest.mark.parametrize("word", " ".join(WORDS).split())
    @pytest.mark.parametrize("status", [200, 302])
    def test_a_server_that_calls_a_word_of_ours_a_token(self, word: str, status: int) -> None:
        """It is hidden where the server says so, and nowhere else: no outcome, name or address is
        lost.
        """
        secrets = Secrets()
        secrets.spare(
            "ISSUE-status",
            "create-user-guest-token",
            "http://127.0.0.1:8080",
            "guest@example.org",
            "20260101-101010-abcdef",
        )
        body = json.dumps({"token": word, "user": "599e1fcd9da1c72645c95886"})
        secrets.learn(
            exchange(
                status=status, got=body.encode(), got_headers=[("Location", f"/x#token={word}")]
            )
        )

        assert not secrets.found_in(f"the {word} of the day")
        assert secrets.redact(f'"the {word} of the day"') == f'"the {word} of the day"'
        assert '"token": "<token-1>"' in secrets.redact(body)

    def test_a_user_id_is_no_token(self) -> None:
        """A server whose refresh token is the user's id does not make the id unreadable."""
        secrets = Secrets()
        body = {
            "token": TOKEN,
            "refreshToken": "599e1fcd9da1c72645c95886",
            "user": "599e1fcd9da1c72645c95886",
        }
        secrets.learn(exchange(got=json.dumps(body).encode()))

        assert secrets.redact("user 599e1fcd9da1c72645c95886") == "user 599e1fcd9da1c72645c95886"

    @pytest.mark.parametrize("length", [24, 20, 12])
    def test_nor_is_a_part_of_it(self, length: int) -> None:
        """One whose refresh token is the beginning of that id does not either."""
        secrets = Secrets()
        user = "599e1fcd9da1c72645c95886"
        secrets.learn(
            exchange(
                got=json.dumps(
                    {"token": TOKEN, "refreshToken": user[:length], "user": user}
                ).encode()
            )
        )

        assert secrets.redact(f"user {user}") == f"user {user}"

    def test_a_jwt_without_a_signature(self) -> None:
        """What was forged without a signature, or cut before it, is evidence and can be read; one
        that a server gives is a token.
        """
        front = TOKEN.rpartition(".")[0]
        forged = jwt.encode(
            {"_id": "599e1fcd9da1c72645c95886", "scope": "admin"}, "", algorithm="none"
        )
        secrets = knowing((TOKEN, "token"))
        for sent in (front, f"{front}.", forged):
            secrets.learn(exchange(headers={"authorization": f"Bearer {sent}"}, status=401))
            assert secrets.redact(f"Bearer {sent}") == f"Bearer {sent}"
        secrets.learn(exchange(got=json.dumps({"token": forged}).encode()))

        assert secrets.redact(f"Bearer {forged}") == "Bearer <token-2>"

    def test_a_jwt_with_something_around_it(self) -> None:
        """A JWT that an attack extends or gives other claims loses its signature, and the rest can
        still be read.
        """
        header, claims, signature = TOKEN.split(".")
        secrets = knowing((TOKEN, "token"))
        for sent in (
            f"{TOKEN}x",
            f"x{TOKEN}",
            f"{TOKEN}, {TOKEN}",
            f"{header}.{claims[:-4]}AAAA.{signature}",
        ):
            secrets.learn(exchange(headers={"authorization": f"Bearer {sent}"}, status=401))

            assert secrets.redact(sent) == sent.replace(signature, "<token-1>")

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_token_that_begins_another(self, order: int) -> None:
        """A token that stands before the dot of another is hidden, too, whichever came first: it
        was received as a secret.
        """
        members = [
            ("refreshToken", "opaque-access-token-0001.r1"),
            ("token", "opaque-access-token-0001"),
        ][::order]
        secrets = Secrets()
        secrets.learn(exchange(got=json.dumps(dict(members)).encode()))

        redacted = [secrets.redact(value) for _, value in members]

        assert secrets.found_in("opaque-access-token-0001")
        assert "opaque" not in str(redacted)
        assert redacted[0] != redacted[1]

    def test_a_member_in_disguise(self) -> None:
        """A token whose member is written with escapes, in JSON in JSON, or in UTF-16 is learnt as
        any other.
        """
        for body in (
            rb'{"\u0074oken":"opaque-and-secret"}',
            json.dumps({"data": json.dumps({"token": "opaque-and-secret"})}).encode(),
            json.dumps({"token": "opaque-and-secret"}).encode("utf-16"),
            json.dumps({"token": "opaque-and-secret"}).encode("utf-16-be"),
            json.dumps({"token": "opaque-and-secret"}).encode("utf-32"),
        ):
            secrets = Secrets()
            seen = exchange(got=body)
            secrets.learn(seen)

            assert secrets.found_in("opaque-and-secret"), body
            assert secrets.found_in(seen.text), body
            assert "opaque" not in secrets.redact(seen.text).replace("\0", ""), body


class TestLearning:
    """Secrets are taken from the wire as they pass."""

    def test_credentials_that_were_sent(self) -> None:
        """Passwords and refresh tokens in a request's body, its query and its Authorization header
        are learnt.
        """
        secrets = Secrets()
        secrets.learn(exchange(sent=json.dumps({"email": "a@b", "password": PASSWORD}).encode()))
        secrets.learn(
            exchange(
                url=f"http://t/v2/auth/token?refreshToken={quote(REFRESH_TOKEN)}",
                headers={"authorization": f"Bearer {TOKEN}"},
            )
        )

        assert all(map(secrets.found_in, (PASSWORD, REFRESH_TOKEN, TOKEN)))

    @pytest.mark.parametrize(
        "name",
        [
            "token",
            "accessToken",
            "access_token",
            "refresh_token",
            "RefreshToken",
            "id_token",
            "apiKey",
            "jwt",
        ],
    )
    def test_tokens_that_were_received(self, name: str) -> None:
        """A token is learnt from an answer at any depth, also under a name that the specification
        does not give it.
        """
        secrets = Secrets()
        secrets.learn(
            exchange(got=json.dumps({"data": [{"auth": {name: "opaque-and-secret"}}]}).encode())
        )

        assert secrets.found_in("opaque-and-secret")

    def test_an_answer_that_was_cut(self) -> None:
        """Tokens are learnt from JSON that ends in the middle, the last one too."""
        body = json.dumps({"token": TOKEN, "refreshToken": REFRESH_TOKEN})[:-20].encode()
        secrets = Secrets()
        secrets.learn(exchange(got=body))

        redacted = secrets.redact(body.decode())

        assert TOKEN not in redacted
        assert REFRESH_TOKEN[26:40] not in redacted

    @pytest.mark.parametrize(
        "literal", [r"ab\/cd+ef==", r"ab\u002fcd\u002Bef==", r"\u0061b/cd+ef=\u003d"]
    )
    def test_a_writer_that_escapes_more(self, literal: str) -> None:
        """A token in JSON is learnt as the server wrote it and as it is meant, under one label."""
        body = f'{{"refreshToken":"{literal}"}}'
        secrets = Secrets()
        secrets.learn(exchange(got=body.encode()))

        assert secrets.redact(body) == '{"refreshToken":"<refresh-token-1>"}'
        assert secrets.redact("ab/cd+ef==") == "<refresh-token-1>"

    def test_a_jwt_anywhere(self) -> None:
        """A JWT is learnt from HTML and from a header, without a member's name."""
        places: dict[str, Any]
        for places in (
            {"got": f"<p>your token: {TOKEN}</p>".encode()},
            {"got_headers": [("Set-Cookie", f"session={TOKEN}")]},
        ):
            secrets = Secrets()
            secrets.learn(exchange(**places))

            assert secrets.found_in(TOKEN)

    def test_a_redirect_and_a_cookie(self) -> None:
        """Tokens are learnt from where a server sends the caller, and from cookies, whatever their
        name.
        """
        secrets = Secrets()
        secrets.learn(
            exchange(
                status=302,
                got_headers=[
                    ("Location", "http://elsewhere.example/#access_token=opaque%2Ftoken-1&state=x"),
                    ("Set-Cookie", "sid=0123456789abcdef0123; Path=/"),
                    ("Set-Cookie", "lang=en"),
                ],
            )
        )

        assert all(
            map(secrets.found_in, ("opaque/token-1", "opaque%2Ftoken-1", "0123456789abcdef0123"))
        )
        assert secrets.redact("state=x; lang=en; Path=/") == "state=x; lang=en; Path=/"

    def test_what_a_refusal_says_of_a_member(self) -> None:
        """The words of a refusal under a secret member's name are not secrets."""
        secrets = Secrets()
        secrets.learn(
            exchange(status=400, got=b'{"error":{"password":"is required","token":"invalid"}}')
        )

        assert (
            secrets.redact("the password is required, the token invalid")
            == "the password is required, the token invalid"
        )

    def test_a_token_in_a_refusal(self) -> None:
        """A refusal that gives a token all the same does not bring it into the report."""
        secrets = Secrets()
        secrets.learn(
            exchange(status=403, got=json.dumps({"refreshToken": REFRESH_TOKEN}).encode())
        )

        assert secrets.found_in(REFRESH_TOKEN)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"token":"\\ud800 lone surrogate"}',
            b'{"token":"\xff\xfe not UTF-8"}',
            b'{"token":"a\\nb\\u0000c"}',
            b'{"token":5}',
        ],
    )
    def test_strange_values(self, body: bytes) -> None:
        """A token of bytes that are no text is hidden, not stumbled over."""
        secrets = Secrets()
        secrets.learn(exchange(got=body))

        assert "surrogate" not in secrets.redact(body.decode("utf-8", "replace"))
        assert "not UTF-8" not in secrets.redact(body.decode("utf-8", "replace"))


class TestWhatBecomesASecret:
    """What is remembered of what passes, and what is not: a word is none, an id is none, what is
    known is no second one.
    """

    @pytest.mark.parametrize(
        ("header", "known"),
        [
            ("Bearer", False),  # the scheme alone
            ("Bearer opaque-credential", True),
            ("0123456789abcde", False),  # fifteen characters, alone: a word
            ("0123456789abcdef", True),
            ("Bearer  0123456789", True),
        ],
    )
    def test_a_header_that_was_sent(self, header: str, known: bool) -> None:
        """The credential behind the scheme is a secret; a header without one is, where it is no
        word.
        """
        secrets = Secrets()
        secrets.learn_sent(exchange(headers={"AUTHORIZATION": header}))

        assert secrets.found_in(f"so: {header.rpartition(' ')[2]};") == known

    def test_other_headers_are_no_credentials(self) -> None:
        """What stands in another header is not taken for one."""
        secrets = Secrets()
        secrets.learn_sent(
            exchange(
                headers={"accept": "application/vnd.example", "user-agent": "some/agent-of-1.0"}
            )
        )

        assert (
            secrets.redact("some/agent-of-1.0 application/vnd.example")
            == "some/agent-of-1.0 application/vnd.example"
        )

    @pytest.mark.parametrize(
        ("member", "label"),
        [
            ("password", "<password-1>"),
            ("new_password", "<password-1>"),
            ("oldPassword", "<token-1>"),
            ("refreshToken", "<refresh-token-1>"),
            ("refresh_token", "<refresh-token-1>"),
            ("apiKey", "<key-1>"),
            ("api_key", "<key-1>"),
            ("clientSecret", "<token-1>"),
            ("JWT", "<token-1>"),
        ],
    )
    @pytest.mark.parametrize("place", ["body", "query"])
    def test_the_label_says_what_it_was_called(self, member: str, label: str, place: str) -> None:
        """A secret is labelled by the member, or the parameter, that it came in."""
        value = "opaque-value-0815"
        sent: dict[str, Any] = (
            {"sent": json.dumps({member: value}).encode()}
            if place == "body"
            else {"url": f"http://t/x?a=1&{member}={value}"}
        )
        secrets = Secrets()
        secrets.learn_sent(exchange(**sent))

        assert secrets.redact(f"it is {value}.") == f"it is {label}."

    def test_a_cookie_has_a_label_of_its_own(self) -> None:
        """A cookie of sixteen characters is a secret, a shorter one is not; other header fields set
        none.
        """
        secrets = Secrets()
        fields = [
            ("SET-COOKIE", "a=0123456789abcdef"),
            ("set-cookie", "b=fedcba987654321"),
            ("x-cookie", "c=00112233445566778899"),
        ]
        secrets.learn_received(exchange(got_headers=fields))

        assert secrets.redact("0123456789abcdef fedcba987654321 00112233445566778899") == (
            "<cookie-1> fedcba987654321 00112233445566778899"
        )

    @pytest.mark.parametrize(("status", "begun"), [(200, None), (299, None), (0, 200)])
    def test_a_short_token_of_a_success(self, status: int, begun: int | None) -> None:
        """What a success calls a token is one from eight characters on, also where the answer broke
        off; less is hidden in its place.
        """
        seen = exchange(status=status, got=b'[{"token":"r4nd0m-7"},{"token":"sh0rt-7"}]')
        seen.begun = begun
        secrets = Secrets()
        secrets.learn_received(seen)

        assert secrets.redact("r4nd0m-7 sh0rt-7") == "<token-1> sh0rt-7"
        assert secrets.redact('"token":"sh0rt-7"') == '"token":"<token-2>"'

    @pytest.mark.parametrize(
        ("status", "begun"), [(300, None), (400, None), (0, None), (0, 400), (199, None)]
    )
    def test_a_short_token_of_a_refusal(self, status: int, begun: int | None) -> None:
        """What a refusal calls a token is one from sixteen characters on, and if it has no spaces:
        else it says what is wrong.
        """
        long, short, sentence = "0123456789abcdef", "fedcba987654321", "it is much too short"
        seen = exchange(
            status=status,
            got=json.dumps([{"token": value} for value in (long, short, sentence)]).encode(),
        )
        seen.begun = begun
        secrets = Secrets()
        secrets.learn_received(seen)

        assert (
            secrets.redact(f"{long} / {short} / {sentence}") == f"<token-1> / {short} / {sentence}"
        )

    def test_what_has_spaces_is_hidden_in_its_place(self) -> None:
        """A token with a space in it is like ordinary text: it is hidden where it stands as a
        value, and nowhere else.
        """
        secrets = Secrets()
        secrets.learn_received(exchange(got=b'{"token":"for the time being"}'))

        assert secrets.is_plain("for the time being")
        assert (
            secrets.redact('"token":"for the time being", for the time being')
            == '"token":"<token-1>", for the time being'
        )

    @pytest.mark.parametrize("value", [None, 5, "", ["x"], b"bytes-of-some-length"])
    def test_only_texts_are_secrets(self, value: object) -> None:
        """A value that is not text is not remembered as a secret."""
        secrets = Secrets()
        secrets.add(value, "password")

        assert (
            secrets.redact("None 5 ['x'] bytes-of-some-length")
            == "None 5 ['x'] bytes-of-some-length"
        )

    def test_a_number_is_no_secret(self) -> None:
        """A member that is called token and holds a number has no secret in it."""
        secrets = Secrets()
        secrets.learn_received(exchange(got=b'{"token": 1234567890123456}'))

        assert secrets.redact("1234567890123456") == "1234567890123456"

    def test_a_made_up_word_is_hidden_in_its_place_only(self) -> None:
        """A password of letters alone that an attack tries is a word of ordinary text, one of
        sixteen letters is not.
        """
        secrets = Secrets()
        secrets.learn_sent(exchange(sent=b'{"password":"Sesame"}'))
        secrets.learn_sent(exchange(sent=b'{"password":"abcdefghijklmnop"}'))

        assert secrets.redact('"password":"Sesame", Sesame') == '"password":"<password-1>", Sesame'
        assert secrets.redact("so: abcdefghijklmnop") == "so: <password-2>"

    def test_a_made_up_value_is_looked_at_once(self) -> None:
        """What was sent and taken for public stays so, also when it is sent again."""
        secrets = Secrets()
        secrets.publish("user-4711-of-chance")
        for _ in range(2):
            secrets.learn_sent(exchange(sent=b'{"password":"user-4711-of-chance"}'))

        assert secrets.redact("user-4711-of-chance") == "user-4711-of-chance"

    @pytest.mark.parametrize("added", ["", "x", "12345"])
    @pytest.mark.parametrize("front", [True, False])
    def test_an_id_with_next_to_nothing_is_no_secret(self, added: str, front: bool) -> None:
        """An id that is tried as a password with up to five characters more, at either end, stays
        an id.
        """
        secrets = Secrets()
        secrets.publish("user-4711-of-chance")
        tried = f"{added}user-4711-of-chance" if front else f"user-4711-of-chance{added}"
        secrets.learn_sent(exchange(sent=json.dumps({"password": tried}).encode()))

        assert secrets.redact(f"it is {tried}") == f"it is {tried}"

    def test_an_id_with_more_is_a_secret(self) -> None:
        """With six characters more it may be a password of somebody's."""
        secrets = Secrets()
        secrets.publish("user-4711-of-chance")
        secrets.learn_sent(exchange(sent=b'{"password":"user-4711-of-chance-12345"}'))

        assert secrets.redact("it is user-4711-of-chance-12345") == "it is <password-1>"

    def test_a_secret_that_is_also_an_id_stays_one(self) -> None:
        """What is known as a secret does not become public by being called an id."""
        secrets = knowing(("opaque-value-0815", "token"))
        secrets.publish("opaque-value-0815")
        secrets.learn_sent(exchange(sent=b'{"password":"opaque-value-0815x"}'))

        assert secrets.redact("opaque-value-0815") == "<token-1>"
        assert secrets.redact("opaque-value-0815x") == "<password-1>"

    def test_ids_are_learnt_from_answers_with_tokens_alone(self) -> None:
        """Where nothing is called a token, ids are not noted: any list would fill the memory."""
        secrets = Secrets()
        secrets.learn_received(exchange(got=b'{"id":"an-id-of-a-list-17"}'))
        secrets.learn_sent(exchange(sent=b'{"password":"an-id-of-a-list-17"}'))
        secrets.learn_received(
            exchange(got=b'{"user":"an-id-of-a-user-18","token":"opaque-value-0815"}')
        )
        secrets.learn_sent(exchange(sent=b'{"password":"an-id-of-a-user-18"}'))

        assert (
            secrets.redact("an-id-of-a-list-17 an-id-of-a-user-18")
            == "<password-1> an-id-of-a-user-18"
        )

    @pytest.mark.parametrize("name", ["_id", "id", "user", "userId", "sub"])
    def test_an_id_in_claims_is_public(self, name: str) -> None:
        """Who a token is about is read from its claims, too; other texts in them are, from six
        characters on.
        """
        token = jwt.encode(
            {name: "user-4711-of-chance", "role": "reader-of-all", "n": 5, "x": "abc"}, "k" * 32
        )
        secrets = knowing((token, "token"))
        for tried in ("user-4711-of-chance", "reader-of-all"):
            secrets.learn_sent(exchange(sent=json.dumps({"password": tried}).encode()))

        assert (
            secrets.redact("user-4711-of-chance reader-of-all")
            == "user-4711-of-chance reader-of-all"
        )

    @pytest.mark.parametrize("claims", ["bm90IGpzb24", "WzFd", "bm90-", "e30"])
    def test_claims_that_are_none(self, claims: str) -> None:
        """What looks like a JWT and has no claims is hidden by its signature all the same."""
        token = f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJlLW9mLWl0"
        secrets = knowing((token, "token"))

        assert secrets.redact(token) == f"eyJhbGciOiJIUzI1NiJ9.{claims}.<token-1>"

    def test_an_ordinary_word_is_one_in_any_case(self) -> None:
        """A secret that is a word of reports in other letters is hidden in its place; from a
        hundred characters on nothing is a word.
        """
        secrets = Secrets()
        secrets.spare("Something of Ours", "x" * 101)
        for value in ("SOMETHING", "thing of ours", "x" * 100, "x" * 101):
            secrets.add(value, "password")

        assert [
            secrets.is_plain(value)
            for value in ("SOMETHING", "thing of ours", "x" * 100, "x" * 101)
        ] == [True] * 3 + [False]
        assert not secrets.is_plain("something")

    def test_a_short_secret_in_disguise_is_short(self) -> None:
        """Escapes make a value no longer than it is."""
        secrets = knowing(("%41%42%43", "password"))

        assert secrets.is_plain("%41%42%43")


class TestFloods:
    """What a target may make us remember has bounds; beyond them a value is hidden in its place."""

    def test_so_many_of_one_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of an answer with more, the first are remembered; the next answer has as many again."""
        monkeypatch.setattr(module, "MOST_PER_ANSWER", 2)
        secrets = Secrets()
        secrets.learn_received(exchange(got=b'[{"token":"opaque-1-xyz"},{"token":"opaque-2-xyz"}]'))
        assert not secrets.is_flooded

        secrets.learn_received(
            exchange(
                got=b'[{"token":"opaque-3-xyz"},{"token":"opaque-4-xyz"},{"token":"opaque-5-xyz"}]'
            )
        )

        assert secrets.is_flooded
        assert (
            secrets.redact("opaque-2-xyz opaque-4-xyz opaque-5-xyz")
            == "<token-2> <token-4> opaque-5-xyz"
        )
        assert secrets.redact('{"token":"opaque-5-xyz"}') == '{"token":"<token>"}'

    def test_so_many_of_one_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a run with more, the first are remembered; what we know ourselves is, however many
        there were.
        """
        monkeypatch.setattr(module, "MOST_PER_RUN", 2)
        secrets = Secrets()
        secrets.learn_received(
            exchange(
                got=b'[{"token":"opaque-1-xyz"},{"token":"opaque-2-xyz"},{"token":"opaque-3-xyz"}]'
            )
        )
        secrets.add("of-our-own-0815", "password")

        assert secrets.is_flooded
        assert (
            secrets.redact("opaque-2-xyz opaque-3-xyz of-our-own-0815")
            == "<token-2> opaque-3-xyz <password-1>"
        )

    def test_so_many_characters_of_one_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Twelve characters each: two of them, and one of a single character less, fill
        thirty-five.
        """
        monkeypatch.setattr(module, "MOST_CHARACTERS", 35)
        secrets = Secrets()
        for value in ("opaque-1-xyz", "opaque-2-xyz", "opaque-3-xyz", "opaque-4-xy"):
            secrets.learn_received(exchange(got=json.dumps({"token": value}).encode()))

        assert secrets.is_flooded
        assert (
            secrets.redact("opaque-1-xyz opaque-2-xyz opaque-3-xyz opaque-4-xy")
            == "<token-1> <token-2> opaque-3-xyz <token-3>"
        )

    def test_a_secret_of_the_greatest_length(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of just so many characters is remembered, received or sent, a longer one is not."""
        monkeypatch.setattr(module, "LONGEST", 12)
        secrets = Secrets()
        secrets.learn_received(
            exchange(got=b'[{"token":"opaque-1-xyz"},{"token":"opaque-2-wxyz"}]')
        )
        secrets.learn_sent(exchange(sent=b'[{"token":"opaque-3-xyz"},{"token":"opaque-4-wxyz"}]'))

        assert secrets.redact("opaque-1-xyz opaque-2-wxyz opaque-3-xyz opaque-4-wxyz") == (
            "<token-1> opaque-2-wxyz <token-2> opaque-4-wxyz"
        )

    def test_so_many_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A few words that a server calls tokens are remembered, and all of our passwords."""
        monkeypatch.setattr(module, "MOST_PLAIN", 1)
        secrets = Secrets()
        secrets.learn_received(exchange(got=b'[{"token":"passed"}]'))
        assert not secrets.is_flooded
        secrets.learn_received(exchange(got=b'[{"token":"failed"}]'))
        secrets.add("verdict", "password")

        assert secrets.is_flooded
        assert [secrets.is_plain(word) for word in ("passed", "failed", "verdict")] == [
            True,
            False,
            True,
        ]

    def test_so_many_members(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a body with more members that are called so, no more are looked at, and it counts as a
        flood.
        """
        monkeypatch.setattr(module, "_MOST_FOUND", 2)
        few, many = Secrets(), Secrets()
        few.learn_received(exchange(got=b'[{"token":"opaque-1-xyz"},{"token":"opaque-2-xyz"}]'))
        many.learn_received(
            exchange(
                got=b'[{"token":"opaque-1-xyz"},{"token":"opaque-2-xyz"},{"token":"opaque-3-xyz"}]'
                * 2
            )
        )

        assert (few.is_flooded, many.is_flooded) == (False, True)
        assert many.redact("opaque-3-xyz") == "<token-3>"

    def test_in_a_flood_words_stay_and_sentences_too(self) -> None:
        """What is hidden in its place alone is no short word and no sentence: those say what is
        wrong.
        """
        secrets = knowing(("of-our-own-0815", "token"))
        secrets.learn_received(
            exchange(got=json.dumps({"token": "x" * (module.LONGEST + 1)}).encode())
        )

        assert secrets.redact(
            '{"token":"12345678"} {"token":"1234567"} {"token":"is too short"}'
        ) == ('{"token":"<token>"} {"token":"1234567"} {"token":"is too short"}')
        assert not secrets.found_in('{"token":"12345678"}')

    def test_a_large_body_of_our_own_is_looked_through_at_its_front(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request that is longer is one that we made up for its length."""
        monkeypatch.setattr(module, "_SENT", 40)
        secrets = Secrets()
        secrets.learn_sent(
            exchange(sent=b'{"token":"opaque-1-xyz"}' + b" " * 16 + b'{"token":"opaque-2-xyz"}')
        )

        assert secrets.redact("opaque-1-xyz opaque-2-xyz") == "<token-1> opaque-2-xyz"

    def test_a_text_that_is_too_much_like_a_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where looking would take too long the text is withheld, and counts as one that holds a
        secret.
        """
        secrets = knowing(("opaque-value-0815", "token"))
        monkeypatch.setattr("rolecall.needles._COMPARISONS", -10_000)

        assert (
            secrets.redact("it is opaque-value-0815!")
            == "<not shown: too much of it is like a secret>"
        )
        assert secrets.found_in("it is opaque-value-0815!")
        assert secrets.stands_in("it is opaque-value-0815!")


class TestDocuments:
    """Texts of our own documents."""

    SECRETS = ("opaque-value-0815", "token")

    def test_texts_at_any_depth(self) -> None:
        """Lists, tuples and objects are gone through; numbers stay, and names are ours."""
        secrets = knowing(self.SECRETS)
        document = {
            "opaque-value-0815": ["opaque-value-0815", {"x": ("opaque-value-0815", 5, None, True)}]
        }

        assert secrets.redacted(document) == {
            "opaque-value-0815": ["<token-1>", {"x": ["<token-1>", 5, None, True]}]
        }

    def test_texts_under_some_members(self) -> None:
        """Where members are named, only what is under them is redacted, at any depth below."""
        secrets = knowing(self.SECRETS)
        text = "opaque-value-0815"
        document = {
            "actual": [{"deep": text}],
            "name": text,
            "inner": [{"actual": text, "name": text}],
        }

        assert secrets.redacted(document, frozenset({"actual"})) == {
            "actual": [{"deep": "<token-1>"}],
            "name": text,
            "inner": [{"actual": "<token-1>", "name": text}],
        }
        assert secrets.redacted(text, frozenset({"actual"})) == text

    def test_a_text_of_our_own_is_searched_as_it_stands(self) -> None:
        """What we wrote has our escapes only: a secret in it is found raw, and not behind escapes
        of others.
        """
        secrets = knowing(("opaque/value<0815", "token"))

        assert secrets.stands_in("so: opaque/value<0815.")
        assert secrets.stands_in("so: opaque/value&lt;0815.")
        assert not secrets.stands_in("so: opaque%2Fvalue%3C0815.")
        assert not secrets.stands_in("so: nothing.")

    def test_a_text_without_secrets_is_given_back(self) -> None:
        """A text without secrets is given back as the same object."""
        text = "nothing at all"

        assert knowing(self.SECRETS).redact(text) is text

    def test_secrets_side_by_side(self) -> None:
        """The same one twice in a row has its label twice; one that is kept in pieces has one."""
        long = "".join(f"{number:06x}" for number in range(0, 16**6, 9973))[:9000]
        secrets = knowing(self.SECRETS, (long, "token"))

        assert secrets.redact("opaque-value-0815" * 2) == "<token-1><token-1>"
        assert secrets.redact(f"({long})") == "(<token-2>)"
        assert secrets.redact(f"{long}, {long}") == "<token-2>, <token-2>"

    @pytest.mark.parametrize("length", [4096, 4097, 8192, 8193])
    def test_a_long_secret_is_whole_however_it_is_cut(self, length: int) -> None:
        """No piece of one is left, at any length."""
        long = "".join(f"{number:06x}" for number in range(0, 16**6, 9973))[:length]

        assert knowing((long, "token")).redact(f"<{long}>") == "<<token-1>>"

    def test_halves_of_characters(self) -> None:
        """A text that no encoding can write is redacted like any other."""
        assert (
            knowing(("opaque\ud800-0815", "token")).redact("x opaque\ud800-0815 \udfff")
            == "x <token-1> \udfff"
        )


class TestWhatIsLookedFor:
    """The spellings of a secret, byte by byte: those that our own files have, and those that no
    reader of escapes undoes.
    """

    @pytest.mark.parametrize(
        "secret",
        [
            "opaque",
            "opaquW",
            "opaque-value-0815/+",
            'q"u\\o/te <&> it',
            "größe~ÿ/?>",
            "€uro-secret",
            "\ud800half",
        ],
    )
    def test_all_of_them(self, secret: str) -> None:
        """As it is, with + for a space, in JSON, in JSON in JSON, in XML, in hexadecimal, in
        base64, and misread.
        """
        raw = secret.encode("utf-8", "surrogatepass")
        inner = json.dumps(secret).removeprefix('"').removesuffix('"')
        plain = {raw, *(level.text for level in levels(raw))}
        expected = plain | {text.replace(b" ", b"+") for text in plain}
        expected |= {inner.encode(), json.dumps(inner).removeprefix('"').removesuffix('"').encode()}
        expected |= {
            secret.replace("&", "&amp;")
            .replace("<", "&lt;")
            .replace(">", "&gt;")
            .encode("utf-8", "surrogatepass")
        }
        expected |= {raw.hex().encode(), raw.hex().upper().encode()}
        # a character of base64 is six bits: those that hold bits of the secret alone
        for before in range(3):
            whole = base64.b64encode(b"\0" * before + raw + b"\0\0")
            known = whole[math.ceil(8 * before / 6) : 8 * (before + len(raw)) // 6]
            expected |= {known, known.translate(bytes.maketrans(b"+/", b"-_"))}
        if not secret.isascii():
            for written, read in (
                ("utf-8", "latin-1"),
                ("latin-1", "utf-8"),
                ("utf-16-le", "utf-8"),
                ("utf-16-be", "utf-8"),
            ):
                with contextlib.suppress(UnicodeEncodeError):
                    data = secret.encode(written)
                    misread = data.decode(read, "replace").replace("\0", "")
                    expected |= {data.replace(b"\0", b""), misread.encode("utf-8", "surrogatepass")}

        assert module._spellings(secret) == expected

    def test_the_first_to_be_written_so_has_it(self) -> None:
        """Two secrets with a spelling in common: what is written so is the first one."""
        secrets = knowing(("opaque value 0815", "token"), ("opaque+value+0815", "token"))

        assert secrets.redact("opaque value 0815, opaque+value+0815") == "<token-1>, <token-1>"

    def test_a_signature_under_other_claims_is_the_same_secret(self) -> None:
        """It has one label and one number, whichever token it came with, and where it came alone
        before.
        """
        header, claims, signature = TOKEN.split(".")
        other = f"{header}.{claims[:-4]}AAAA.{signature}"

        for values in ((TOKEN, other), (signature, TOKEN)):
            secrets = knowing(
                *((value, "token") for value in values), ("opaque-value-0815", "token")
            )
            assert (
                secrets.redact(f"{values[1]} opaque-value-0815")
                == f"{values[1].rpartition('.')[0]}.<token-1> <token-2>"
            )

    @pytest.mark.parametrize("order", [1, -1])
    def test_the_longest_is_the_whole(self, order: int) -> None:
        """Where one begins like another, whichever was known first."""
        values = ["opaque-value-0815", "opaque-value-0815-and-more"][::order]
        secrets = knowing(*((value, "token") for value in values))

        assert [secrets.redact(value) for value in values] == ["<token-1>", "<token-2>"]

    @pytest.mark.parametrize("order", [1, -1])
    def test_the_longest_of_those_like_ordinary_text(self, order: int) -> None:
        """As `test_the_longest_is_the_whole`, in their places."""
        values = ["exam", "exam-ple"][::order]
        secrets = Secrets()
        secrets.spare("exam-ple")
        for value in values:
            secrets.add(value, "password")

        assert [secrets.redact(f'"password":"{value}"') for value in values] == [
            '"password":"<password-1>"',
            '"password":"<password-2>"',
        ]

    def test_a_secret_behind_half_an_escape(self) -> None:
        """What the reading of escapes would take apart is found as it stands."""
        assert knowing(("41-opaque-0815", "token")).redact("%41-opaque-0815") == "%<token-1>"

    def test_only_what_is_known_for_sure_is_found(self) -> None:
        """A word in its place is hidden, and is not a leak: neither as it stands nor behind
        escapes.
        """
        secrets = knowing(("guest", "password"))

        assert secrets.redact("%22password%22:%22guest%22") == "%22password%22:%22<password-1>%22"
        assert not secrets.found_in('"password":"guest" %22password%22:%22guest%22')

    @pytest.mark.parametrize(
        ("password", "text", "hidden"),
        [
            ("12345", '["x","12345"]', True),
            ("x7!z", '{"said":"x7!z"}', True),
            ("x7!", '{"said":"x7!"}', False),  # too short
            ("abcd", '{"said":"abcd"}', False),  # a word
            ("bot@e", '{"said":"bot@e"}', False),  # ordinary text has it
            ("BOT@E", '{"said":"BOT@E"}', False),
            ("12345", "it is 12345", False),
            ("12345", json.dumps(json.dumps({"said": "12345"})), True),
        ],
    )
    def test_a_strange_one_is_hidden_in_quotation_marks(
        self, password: str, text: str, hidden: bool
    ) -> None:
        """A short password that is not a word stands as a value of its own nowhere else."""
        secrets = Secrets()
        secrets.spare("bot@example.org")
        secrets.add(password, "password")

        assert secrets.redact(text) == (text.replace(password, "<password-1>") if hidden else text)

    def test_a_long_one_in_one_piece_twice(self) -> None:
        """Two labels, as of any other secret."""
        long = "".join(f"{number:06x}" for number in range(0, 16**6, 9973))[:4096]

        assert knowing((long, "token")).redact(long * 2) == "<token-1><token-1>"

    def test_a_known_one_keeps_its_label_in_a_flood(self) -> None:
        """What is known is told from what is not."""
        secrets = knowing(("opaque-value-0815", "token"))
        secrets.learn_received(
            exchange(got=json.dumps({"token": "x" * (module.LONGEST + 1)}).encode())
        )

        assert secrets.redact('{"token":"opaque-value-0815"}') == '{"token":"<token-1>"}'


class TestStrangeWriters:
    """What is sent and received need not be written as anybody should."""

    @pytest.mark.parametrize("credential", ["opaque%ff-value-0815", "opaque value-0815", "%ff%fe"])
    def test_a_credential_that_is_no_text(self, credential: str) -> None:
        """Escapes that stand for no character, and a space within."""
        secrets = Secrets()
        secrets.learn_sent(exchange(headers={"authorization": f"Bearer {credential}"}))

        assert secrets.redact(f"it is {credential}.") == "it is <token-1>."

    def test_a_query_with_a_question_mark_in_it(self) -> None:
        """The query begins at the first one."""
        secrets = Secrets()
        secrets.learn_sent(exchange(url="http://t/x?token=opaque-value-0815&next=/a?b=1"))

        assert secrets.redact("opaque-value-0815") == "<token-1>"

    def test_a_parameter_beside_a_jwt(self) -> None:
        """Both are learnt, the JWT as a token."""
        secrets = Secrets()
        secrets.learn_sent(exchange(url=f"http://t/x?refreshToken=opaque-value-0815&x={TOKEN}"))

        assert (
            secrets.redact(f"opaque-value-0815 {TOKEN}")
            == f"<refresh-token-1> {TOKEN.rpartition('.')[0]}.<token-1>"
        )

    def test_a_jwt_in_a_body_that_is_no_text(self) -> None:
        """It is learnt from among bytes that are not text."""
        secrets = Secrets()
        secrets.learn_received(exchange(got=b"\xff\xfe " + TOKEN.encode()))

        assert secrets.redact(TOKEN).endswith(".<token-1>")

    def test_an_escape_that_is_none(self) -> None:
        """JSON has no such escape: the value is learnt as it is written."""
        secrets = Secrets()
        secrets.learn_received(exchange(got=rb'{"token":"opaque\q-value-0815"}'))

        assert secrets.redact(r"opaque\q-value-0815") == "<token-1>"

    def test_an_empty_token(self) -> None:
        """An empty token is not a secret."""
        secrets = Secrets()
        secrets.learn_received(exchange(got=b'{"token":"","refreshToken":"opaque-value-0815"}'))

        assert secrets.redact('"token":"", "x":""') == '"token":"", "x":""'

    def test_the_same_token_again_takes_no_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer that says a token three times has one."""
        monkeypatch.setattr(module, "MOST_PER_ANSWER", 2)
        secrets = Secrets()
        secrets.learn_received(
            exchange(
                got=b'[{"token":"opaque-1-xyz"},{"token":"opaque-1-xyz"},{"token":"opaque-2-xyz"}]'
            )
        )

        assert not secrets.is_flooded

    def test_made_up_words_have_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of words that attacks try, as many are looked for as of a server's."""
        monkeypatch.setattr(module, "MOST_PLAIN", 1)
        secrets = Secrets()
        secrets.learn_sent(exchange(sent=b'[{"password":"Sesame"},{"password":"Simsim"}]'))

        assert [secrets.is_plain(word) for word in ("Sesame", "Simsim")] == [True, False]

    def test_what_a_refusal_says_in_words_is_not_remembered_at_all(self) -> None:
        """Not even to be hidden in its place: it is what a reader has to see."""
        said = '{"token":"it is much too short"}'
        secrets = Secrets()
        secrets.learn_received(exchange(status=400, got=said.encode()))

        assert secrets.redact(said) == said


class TestIds:
    """What a token is about is read from it, and stays readable; what else it says is no id."""

    def login(self, refresh_token: str, **claims: object) -> Secrets:
        """The secrets of an answer that says who it is about in its claims alone."""
        secrets = Secrets()
        body = {"token": jwt.encode(claims, "k" * 32), "refreshToken": refresh_token}
        secrets.learn_received(exchange(got=json.dumps(body).encode()))
        return secrets

    @pytest.mark.parametrize("user", ["user-4711-of-chance", "i" * 64])
    def test_an_id_that_is_given_as_a_token(self, user: str) -> None:
        """A server whose refresh tokens are its users' ids."""
        assert self.login(user, _id=user).redact(f"user {user}") == f"user {user}"

    def test_a_text_as_long_as_no_id(self) -> None:
        """Sixty-five characters are not an id, whatever they are called."""
        assert self.login("i" * 65, _id="i" * 65).redact("i" * 65) == "<refresh-token-1>"

    def test_another_claim_that_is_given_as_a_token(self) -> None:
        """What is called a token and is not an id is a token."""
        assert (
            self.login("reader-of-all", _id="u1", role="reader-of-all").redact("so: reader-of-all")
            == "so: <refresh-token-1>"
        )

    def test_a_claim_that_is_tried_as_a_password(self) -> None:
        """Six characters of a claim are public, also when they are sent."""
        secrets = self.login("opaque-value-0815", _id="u1", zone="abc-12")
        secrets.learn_sent(exchange(sent=b'{"password":"abc-12"}'))

        assert secrets.redact("abc-12") == "abc-12"

    def test_a_part_of_an_id_where_nothing_else_is_known(self) -> None:
        """A refresh token that is the front of the id in the same answer, without a JWT
        beside it.
        """
        secrets = Secrets()
        secrets.learn_received(
            exchange(got=b'{"refreshToken":"599e1fcd9da1","user":"599e1fcd9da1c72645c95886"}')
        )

        assert secrets.redact("user 599e1fcd9da1c72645c95886") == "user 599e1fcd9da1c72645c95886"
