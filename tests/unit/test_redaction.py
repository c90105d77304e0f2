"""Redaction: no spelling of a secret gets through, and what is left can still be read."""

from __future__ import annotations

import base64
import html
import json
import math
import random
import re
import string
from urllib.parse import quote, quote_plus, urlencode

import jwt
import pytest

from rolecall.evidence import Exchange
from rolecall.secrets import Secrets

PASSWORD = 'p&ss/w"rd +<ö>=~!'
REFRESH_TOKEN = "599e1fcd9da1c72645c95886." + "28167e54e423275c0d948ce2efcaa481d4ab229ea53800502c26adae924a217f924fe2ba343d78ac"
TOKEN = jwt.encode({"_id": "599e1fcd9da1c72645c95886", "scope": "admin", "iat": 1, "exp": 86401}, "k" * 32)


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
    "percent, lower case": lambda secret: re.sub("%..", lambda match: match.group().lower(), quote(secret, safe="")),
    "form": quote_plus,
    "query": lambda secret: urlencode({"p": secret}),
    "path": quote,
    "as a browser does": lambda secret: quote(secret, safe="!'()*"),
    "JSON": json.dumps,
    "JSON, unescaped": lambda secret: json.dumps(secret, ensure_ascii=False),
    "JSON as PHP writes it": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "HTML text": lambda secret: html.escape(secret, quote=False),
    "HTML as PHP writes it": lambda secret: html.escape(secret).replace("&#x27;", "&#039;").replace("&quot;", "&#34;"),
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
    "UTF-16 the other way round": lambda secret: secret.encode("utf-16-be").decode("utf-8", "replace"),
    "UTF-8, read as Latin-1": lambda secret: secret.encode().decode("latin-1"),
    "Latin-1, read as UTF-8": lambda secret: secret.encode("latin-1").decode("utf-8", "replace"),
}


def escaped(text: str, characters: str, *, upper: bool = False) -> str:
    r"""The inside of a JSON text in which these characters are written \u0026."""
    hexadecimal = "04X" if upper else "04x"
    return "".join(
        f"\\u{ord(character):{hexadecimal}}" if character in characters else json.dumps(character, ensure_ascii=False)[1:-1]
        for character in text
    )


class TestSpellings:
    """However a secret is written, it is known."""

    @pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
    @pytest.mark.parametrize("secret", [PASSWORD, REFRESH_TOKEN, "base64+url/safe==like"])
    def test_escaped(self, secret: str, spelling: object) -> None:
        """A secret that was escaped for a URL, JSON or HTML is replaced whole."""
        written = spelling(secret)  # type: ignore[operator]
        secrets = knowing((secret, "password"))

        assert secrets.found_in(f"before {written} after")
        redacted = secrets.redact(f"before {written} after")

        assert "<password-1>" in redacted
        assert redacted.startswith("before ")
        assert redacted.endswith(" after")
        assert not secrets.found_in(redacted)
        assert not any(piece in redacted for piece in (secret[:6], secret[-6:]))
        assert len(redacted) < len("before <password-1> after") + 70  # for what some writers put around it

    @pytest.mark.parametrize("encode", SPELLINGS.values(), ids=SPELLINGS)
    def test_what_follows_is_not_lost(self, encode: object) -> None:
        """Only the escapes that belong to a secret go with it: its neighbours stay as they were written."""
        written = encode(PASSWORD)  # type: ignore[operator]
        secrets = knowing((PASSWORD, "password"))

        redacted = secrets.redact(rf"\u0041%42&amp;|{written}|\u0043%44&lt;")

        assert redacted.startswith(r"\u0041%42&amp;|")
        assert redacted.endswith(r"|\u0043%44&lt;")

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    @pytest.mark.parametrize("before", ["", "u", "us", "user:"])
    @pytest.mark.parametrize("after", ["", ":", "::", ":tail"])
    @pytest.mark.parametrize("secret", [PASSWORD, REFRESH_TOKEN, "123456", "1234567"])
    def test_base64_at_every_alignment(self, secret: str, before: str, after: str, encode: object) -> None:
        """In base64, where a secret may begin at any of three positions, none of its inner characters is left."""
        written = encode((before + secret + after).encode()).decode()  # type: ignore[operator]
        secrets = knowing((secret, "password"))

        redacted = secrets.redact(f"Basic {written}")

        assert "<password-1>" in redacted
        front, back = redacted.removeprefix("Basic ").rstrip("=").split("<password-1>")
        assert len(front) <= math.ceil(len(before) * 8 / 6) + 1  # what else is a neighbour, or a character shared with one
        assert len(back) <= math.ceil(len(after) * 8 / 6) + 1

    def test_a_basic_header(self) -> None:
        """A Basic header that the harness sent is known as a whole, and its password wherever it stands."""
        header = "Basic " + base64.b64encode(f"guest@example.org:{PASSWORD}".encode()).decode()
        secrets = knowing((PASSWORD, "password"))
        secrets.learn(exchange(headers={"Authorization": header}))

        assert secrets.redact(header) == "Basic <token-1>"
        assert secrets.redact(f"guest@example.org:{PASSWORD}") == "guest@example.org:<password-1>"

    @pytest.mark.parametrize("word", ["guest", "password", "a"])
    def test_a_password_that_is_a_word(self, word: str) -> None:
        """A password that may be a word of any text is taken out of the requests that carry it, and every other text stays."""
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

    @pytest.mark.parametrize("word", ["guest", "requirement", "x7Q!z", "12345", "exam", "bot@example"])
    def test_one_that_is_like_ordinary_text(self, word: str) -> None:
        """One that stands in ordinary text is hidden where it is a value of its own, in whatever notation, and only there."""
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
        assert secrets.redact(f'"the {word} of the day", {word}s') == f'"the {word} of the day", {word}s'

    @pytest.mark.parametrize(
        "password",
        ["<password-1>", "password-1", "<token-1>", "assword-12>", "n-100000", "<refresh-token-7>", "en-4711", "00017>"],
    )
    def test_one_that_reads_like_a_label(self, password: str) -> None:
        """A password that reads like one of our labels is hidden all the same, and is in no label."""
        others = [f"token-of-number-{number}x" for number in range(20)]
        for place in (0, 10):
            secrets = knowing(
                *((other, "token") for other in others[:place]), (password, "password"), *((other, "token") for other in others)
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
            exchange(headers={"authorization": f"Bearer {REFRESH_TOKEN}"}, got=json.dumps({"token": REFRESH_TOKEN}).encode())
        )

        assert secrets.redact(REFRESH_TOKEN) == "<refresh-token-1>"

    def test_a_jwt_keeps_header_and_claims(self) -> None:
        """Of a JWT only the signature is taken away: its claims are evidence, and without it nobody can use it."""
        secrets = knowing((TOKEN, "token"))

        redacted = secrets.redact(f"Bearer {TOKEN}")

        assert f"Bearer {TOKEN.rpartition('.')[0]}.<token-1>" == redacted
        assert not secrets.found_in(redacted)

    @pytest.mark.parametrize("token", [TOKEN, REFRESH_TOKEN])
    def test_a_secret_in_disguise_is_the_same_one(self, token: str) -> None:
        """A token that is sent with escapes in it, whole, is the one that it is meant as, and has its label."""
        secrets = knowing((token, "token"))
        for disguised in (token.replace("e", "%65"), token.replace("9", r"\u0039"), quote(token.replace("e", "%65"))):
            secrets.learn(exchange(headers={"authorization": f"Bearer {disguised}"}, status=401))

            assert secrets.redact(token) == knowing((token, "token")).redact(token)
            assert secrets.redact(disguised).endswith("<token-1>")

    def test_three_parts_alone_make_no_jwt(self) -> None:
        """An opaque secret with two dots in it is hidden whole: its front parts are no claims."""
        secrets = knowing(("device-7.hidden-part.signature", "refresh-token"))

        assert secrets.redact("device-7.hidden-part.signature") == "<refresh-token-1>"

    def test_the_longest_match_counts(self) -> None:
        """Where one secret begins like another, a text is labelled by the whole of it, in whatever order they were learnt."""
        cut = REFRESH_TOKEN[:46]
        for order in ((cut, REFRESH_TOKEN), (REFRESH_TOKEN, cut)):
            secrets = knowing(*((value, "refresh-token") for value in order))

            labels = secrets.redact(cut), secrets.redact(REFRESH_TOKEN), secrets.redact(f"{REFRESH_TOKEN}0")

            assert labels[0] != labels[1]
            assert f"{labels[1]}0" == labels[2]

    def test_the_user_in_a_refresh_token_is_no_secret(self) -> None:
        """An attack that presents a refresh token's front part, the user's id, does not make that id unreadable in every report."""
        secrets = knowing((REFRESH_TOKEN, "refresh-token"))
        user = REFRESH_TOKEN.partition(".")[0]
        for attack in (user, f"{user}."):
            secrets.learn(exchange(sent=json.dumps({"refreshToken": attack}).encode()))

        assert f"user {user}." == secrets.redact(f"user {user}.")
        assert TOKEN.rpartition(".")[0] in secrets.redact(TOKEN)  # whose claims hold that id in base64

    def test_no_more_than_the_secret_is_replaced(self) -> None:
        """Text around and between secrets stays as it is, byte for byte."""
        alphabet = string.ascii_letters + string.digits + '+/=.-_%&"\\ \n'
        rng = random.Random(7)
        values = ["".join(rng.choices(string.hexdigits, k=rng.randint(6, 40))) for _ in range(30)]
        secrets = knowing(*((value, "token") for value in values))
        pieces = ["".join(rng.choices(alphabet, k=rng.randint(0, 9))) + "|" for _ in range(200)]
        chosen = rng.choices(values, k=200)

        redacted = secrets.redact("".join(f"{piece}{value}|" for piece, value in zip(pieces, chosen, strict=True)))

        labels = {value: secrets.redact(value) for value in values}
        assert "".join(f"{piece}{labels[value]}|" for piece, value in zip(pieces, chosen, strict=True)) == redacted


#: Words of our reports and of HTTP, which a server calls its tokens.
WORDS = [
    "passed failed verdict outcome requirement inconclusive conformant version startedDateTime testsuite rolecall statement",
    "findings expected response postData mimeType historyId fullName Content-Type application/json undefined localhost 127.0.0.1",
    "ISSUE-status create-user-guest-token http://127.0.0.1:8080 guest@example.org 20260101-101010-abcdef",
]


class TestWhatIsPublic:
    """A server does not decide what is hidden."""

    @pytest.mark.parametrize("word", " ".join(WORDS).split())
    @pytest.mark.parametrize("status", [200, 302])
    def test_a_server_that_calls_a_word_of_ours_a_token(self, word: str, status: int) -> None:
        """It is hidden where the server says so, and nowhere else: no outcome, name or address is lost."""
        secrets = Secrets()
        secrets.spare(
            "ISSUE-status", "create-user-guest-token", "http://127.0.0.1:8080", "guest@example.org", "20260101-101010-abcdef"
        )
        body = json.dumps({"token": word, "user": "599e1fcd9da1c72645c95886"})
        secrets.learn(exchange(status=status, got=body.encode(), got_headers=[("Location", f"/x#token={word}")]))

        assert not secrets.found_in(f"the {word} of the day")
        assert secrets.redact(f'"the {word} of the day"') == f'"the {word} of the day"'
        assert '"token": "<token-1>"' in secrets.redact(body)

    def test_a_user_id_is_no_token(self) -> None:
        """A server whose refresh token is the user's id does not make the id unreadable."""
        secrets = Secrets()
        body = {"token": TOKEN, "refreshToken": "599e1fcd9da1c72645c95886", "user": "599e1fcd9da1c72645c95886"}
        secrets.learn(exchange(got=json.dumps(body).encode()))

        assert secrets.redact("user 599e1fcd9da1c72645c95886") == "user 599e1fcd9da1c72645c95886"

    @pytest.mark.parametrize("length", [24, 20, 12])
    def test_nor_is_a_part_of_it(self, length: int) -> None:
        """One whose refresh token is the beginning of that id does not either."""
        secrets = Secrets()
        user = "599e1fcd9da1c72645c95886"
        secrets.learn(exchange(got=json.dumps({"token": TOKEN, "refreshToken": user[:length], "user": user}).encode()))

        assert secrets.redact(f"user {user}") == f"user {user}"

    def test_a_jwt_without_a_signature(self) -> None:
        """What was forged without a signature, or cut before it, is evidence and can be read; one that a server gives is a token."""
        front = TOKEN.rpartition(".")[0]
        forged = jwt.encode({"_id": "599e1fcd9da1c72645c95886", "scope": "admin"}, None, algorithm="none")
        secrets = knowing((TOKEN, "token"))
        for sent in (front, f"{front}.", forged):
            secrets.learn(exchange(headers={"authorization": f"Bearer {sent}"}, status=401))
            assert secrets.redact(f"Bearer {sent}") == f"Bearer {sent}"
        secrets.learn(exchange(got=json.dumps({"token": forged}).encode()))

        assert secrets.redact(f"Bearer {forged}") == "Bearer <token-2>"

    def test_a_jwt_with_something_around_it(self) -> None:
        """A JWT that an attack extends or gives other claims loses its signature, and the rest can still be read."""
        header, claims, signature = TOKEN.split(".")
        secrets = knowing((TOKEN, "token"))
        for sent in (f"{TOKEN}x", f"x{TOKEN}", f"{TOKEN}, {TOKEN}", f"{header}.{claims[:-4]}AAAA.{signature}"):
            secrets.learn(exchange(headers={"authorization": f"Bearer {sent}"}, status=401))

            assert secrets.redact(sent) == sent.replace(signature, "<token-1>")

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_token_that_begins_another(self, order: int) -> None:
        """A token that stands before the dot of another is hidden, too, whichever came first: it was received as a secret."""
        members = [("refreshToken", "opaque-access-token-0001.r1"), ("token", "opaque-access-token-0001")][::order]
        secrets = Secrets()
        secrets.learn(exchange(got=json.dumps(dict(members)).encode()))

        redacted = [secrets.redact(value) for _, value in members]

        assert secrets.found_in("opaque-access-token-0001")
        assert "opaque" not in str(redacted)
        assert redacted[0] != redacted[1]

    def test_a_member_in_disguise(self) -> None:
        """A token whose member is written with escapes, in JSON in JSON, or in UTF-16 is learnt as any other."""
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
        """Passwords and refresh tokens in a request's body, its query and its Authorization header are learnt."""
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
        "name", ["token", "accessToken", "access_token", "refresh_token", "RefreshToken", "id_token", "apiKey", "jwt"]
    )
    def test_tokens_that_were_received(self, name: str) -> None:
        """A token is learnt from an answer at any depth, also under a name that the specification does not give it."""
        secrets = Secrets()
        secrets.learn(exchange(got=json.dumps({"data": [{"auth": {name: "opaque-and-secret"}}]}).encode()))

        assert secrets.found_in("opaque-and-secret")

    def test_an_answer_that_was_cut(self) -> None:
        """Tokens are learnt from JSON that ends in the middle, the last one too."""
        body = json.dumps({"token": TOKEN, "refreshToken": REFRESH_TOKEN})[:-20].encode()
        secrets = Secrets()
        secrets.learn(exchange(got=body))

        redacted = secrets.redact(body.decode())

        assert TOKEN not in redacted
        assert REFRESH_TOKEN[26:40] not in redacted

    @pytest.mark.parametrize("literal", [r"ab\/cd+ef==", r"ab\u002fcd\u002Bef==", r"\u0061b/cd+ef=\u003d"])
    def test_a_writer_that_escapes_more(self, literal: str) -> None:
        """A token in JSON is learnt as the server wrote it and as it is meant, under one label."""
        body = f'{{"refreshToken":"{literal}"}}'
        secrets = Secrets()
        secrets.learn(exchange(got=body.encode()))

        assert secrets.redact(body) == '{"refreshToken":"<refresh-token-1>"}'
        assert secrets.redact("ab/cd+ef==") == "<refresh-token-1>"

    def test_a_jwt_anywhere(self) -> None:
        """A JWT is learnt from a page of HTML and from a header, where no member says what it is."""
        for places in (
            {"got": f"<p>your token: {TOKEN}</p>".encode()},
            {"got_headers": [("Set-Cookie", f"session={TOKEN}")]},
        ):
            secrets = Secrets()
            secrets.learn(exchange(**places))

            assert secrets.found_in(TOKEN)

    def test_a_redirect_and_a_cookie(self) -> None:
        """Tokens are learnt from where a server sends the caller, and from cookies, whatever their name."""
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

        assert all(map(secrets.found_in, ("opaque/token-1", "opaque%2Ftoken-1", "0123456789abcdef0123")))
        assert secrets.redact("state=x; lang=en; Path=/") == "state=x; lang=en; Path=/"

    def test_what_a_refusal_says_of_a_member(self) -> None:
        """A refusal that explains itself under the member's name does not make its words secrets."""
        secrets = Secrets()
        secrets.learn(exchange(status=400, got=b'{"error":{"password":"is required","token":"invalid"}}'))

        assert secrets.redact("the password is required, the token invalid") == "the password is required, the token invalid"

    def test_a_token_in_a_refusal(self) -> None:
        """A refusal that gives a token all the same does not bring it into the report."""
        secrets = Secrets()
        secrets.learn(exchange(status=403, got=json.dumps({"refreshToken": REFRESH_TOKEN}).encode()))

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
