"""Redaction over a whole run: drawn tokens and ids, floods of them, and two threads at once.

Longer than 400 lines because the ways in which servers may show a secret stand side by side.
"""

from __future__ import annotations

import base64
import json
import random
import string
import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import jwt
import pytest

from rolecall.jwts import jwts_in
from rolecall.redaction import LONGEST, MOST_PER_ANSWER, MOST_PER_RUN, Secrets
from tests.unit.test_redaction import REFRESH_TOKEN, TOKEN, escaped, exchange, knowing

#: Shapes of refresh tokens: with the user's id before a dot, without one, behind the secret,
#: without the id, and a UUID.
SHAPES = {
    "dot": lambda user, rng: f"{user}.{hexadecimal(rng, 80)}",
    "no dot": lambda user, rng: f"{user}{hexadecimal(rng, 80)}",
    "behind": lambda user, rng: f"{hexadecimal(rng, 80)}.{user}",
    "behind, no dot": lambda user, rng: f"{hexadecimal(rng, 40)}{user}",
    "opaque": lambda user, rng: base64.urlsafe_b64encode(rng.randbytes(40)).decode(),
    "uuid": lambda user, rng: "-".join(hexadecimal(rng, length) for length in (8, 4, 4, 4, 12)),
    "short": lambda user, rng: hexadecimal(rng, 12),
    "strange": lambda user, rng: "".join(rng.choices(string.ascii_letters + "+/=:@!$&'()*", k=30)),
}
#: Shapes of ids: as in the specification, UUIDs, numbers.
IDS = {
    "hexadecimal": lambda rng: hexadecimal(rng, 24),
    "uuid": lambda rng: "-".join(hexadecimal(rng, length) for length in (8, 4, 4, 4, 12)),
    "number": lambda rng: str(rng.randrange(10**9, 10**10)),
    "name": lambda rng: "user_" + "".join(rng.choices(string.ascii_letters + string.digits, k=16)),
}


def hexadecimal(rng: random.Random, length: int) -> str:
    """So many hexadecimal digits."""
    return "".join(rng.choices("0123456789abcdef", k=length))


#: How a server gives a secret away without writing it down as it is.
SPREAD: dict[str, Callable[[str], str]] = {
    "reversed": lambda secret: secret[::-1],
    "reversed, in an error": lambda secret: f"no such token: {secret[::-1]}!",
    "reversed, escaped": lambda secret: json.dumps(quote(secret[::-1], safe="")),
    "two members": lambda secret: json.dumps(dict(zip("ab", halves(secret), strict=True))),
    "neighbours": lambda secret: json.dumps(["x", *halves(secret), "y"]),
    "with a blank": lambda secret: " ".join(halves(secret)),
}


def halves(secret: str) -> tuple[str, str]:
    """Both halves of what is secret of it."""
    decisive = secret.rpartition(".")[2]
    return decisive[: len(decisive) // 2], decisive[len(decisive) // 2 :]


class TestDrawn:
    """For drawn ids, passwords and tokens: nothing public is hidden, and no secret is left."""

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("id_shape", IDS)
    def test_a_whole_conversation(self, shape: str, id_shape: str) -> None:
        """Log-ins and refreshes with tokens of this shape, whole, cut, extended and altered: ids
        and claims stay, secrets go.
        """
        rng = random.Random(f"{shape} {id_shape}")
        for _ in range(15):
            self._converse(IDS[id_shape](rng), rng, SHAPES[shape])

    def _converse(self, user: str, rng: random.Random, shape: Callable[..., str]) -> None:
        # Longer than 40 lines because it is a whole conversation, from secrets to redacted texts.
        email = f"{hexadecimal(rng, 6)}@example.org"
        password = "".join(
            rng.choices(
                string.ascii_letters + string.digits + "!@#$%^&*_-<>\"'\\ +", k=rng.randint(8, 24)
            )
        )
        secrets = Secrets()
        secrets.spare(email)
        secrets.add(password, "password")
        texts = []
        tokens = {password}
        for _ in range(3):
            refresh_token = shape(user, rng)
            token = jwt.encode(
                {"_id": user, "scope": "admin", "jti": hexadecimal(rng, 32)}, hexadecimal(rng, 40)
            )
            tokens |= {refresh_token, token.rpartition(".")[2]}
            login = {"email": email, "password": password}
            answer = {
                "tokenType": "Bearer",
                "token": token,
                "refreshToken": refresh_token,
                "user": user,
                "scope": "admin",
            }
            seen = [exchange(sent=json.dumps(login).encode(), got=json.dumps(answer).encode())]
            half = len(refresh_token) // 2
            for unissued in (
                user,
                f"{user}.",
                user[:-1],
                user[: len(user) // 2],
                refresh_token[:half],
                refresh_token[:-1],
            ):
                sent = json.dumps({"refreshToken": unissued, "clientId": email})
                url = f"http://t/v2/auth/token?refreshToken={quote(unissued)}"
                bearer = {"authorization": f"Bearer {token}"}
                seen.append(
                    exchange(
                        url=url,
                        headers=bearer,
                        sent=sent.encode(),
                        status=400,
                        got=json.dumps({"said": user}).encode(),
                    )
                )
            for entry in seen:
                secrets.learn(entry)
                texts += [
                    entry.url,
                    entry.text,
                    entry.request_body.decode(),
                    *entry.request_headers.values(),
                ]
            texts += [
                token,
                refresh_token,
                f"{user}: {refresh_token}",
                quote(refresh_token),
                escaped(password, "&<>'\""),
            ]
        redacted = [secrets.redact(text) for text in texts]

        everything = "\n".join(redacted)
        assert not [secret for secret in tokens if secret in everything]
        assert not any(map(secrets.found_in, redacted))
        assert redacted == [secrets.redact(text) for text in redacted]
        for public in (
            f'{{"said": "{user}"}}',
            user,
            email,
            token.rpartition(".")[0],
            f"/v2/users/{user}",
            user[:-1],
        ):
            assert secrets.redact(public) == public
        assert redacted.count(f'{{"said": "{user}"}}') == 18
        labels = {secret: secrets.redact(secret) for secret in tokens}
        assert len(set(labels.values())) == len(labels)


class TestBounds:
    """What a target may make us remember, and how long it may make us think."""

    def test_a_flood_of_tokens(self) -> None:
        """Of an answer with thousands of tokens that are nearly the same, few are remembered, all
        are hidden, and it is soon done.
        """
        values = [f"s3cr3t-{number:05}-s3cr3t" for number in range(20_000)]
        body = json.dumps([{"token": value, "id": "599e1fcd9da1c72645c95886"} for value in values])
        secrets = Secrets()
        started = time.process_time()
        secrets.learn(exchange(got=body.encode()))
        redacted = secrets.redact(body)

        assert secrets.is_flooded
        assert "s3cr3t" not in redacted
        assert redacted.count("599e1fcd9da1c72645c95886") == 20_000
        assert not secrets.found_in(redacted)
        assert time.process_time() - started < 10  # a second; it was ten minutes

    def test_many_answers_with_tokens(self) -> None:
        """In a whole run no more than a bounded number is remembered, and what comes later is
        hidden by its member's name.
        """
        secrets = Secrets()
        for number in range(MOST_PER_RUN // MOST_PER_ANSWER + 2):
            secrets.learn(
                exchange(
                    got=json.dumps(
                        [{"token": f"{number}-{place}-opaque"} for place in range(MOST_PER_ANSWER)]
                    ).encode()
                )
            )
        late = json.dumps({"token": "9999-opaque-and-late", "user": "a user"})
        secrets.learn(exchange(got=late.encode()))

        assert secrets.redact(late) == '{"token": "<token>", "user": "a user"}'
        assert secrets.redact("5-5-opaque") == f"<token-{5 * MOST_PER_ANSWER + 6}>"

    @pytest.mark.parametrize(
        "text",
        [
            "A" * 200_000,
            "AAAAAAAB" * 25_000,
            "ab" * 100_000,
            '"token":"' * 20_000,
            "%41" * 60_000,
            "eyJ" * 70_000,
        ],
    )
    def test_a_text_made_to_keep_us_busy(self, text: str) -> None:
        """Secrets that are much alike, and a text that is much like all of them, cost a bounded
        effort; the text is given up.
        """
        secrets = knowing(
            *(("A" * length + "B", "token") for length in range(16, 200)),
            *(("ab" * length, "token") for length in range(8, 99)),
        )
        started = time.process_time()
        for status in (200, 403):
            secrets.learn(
                exchange(
                    url=f"http://t/?x={text[:2000]}",
                    status=status,
                    got=text.encode(),
                    got_headers=[("Link", text[:60_000])],
                )
            )
        secrets.redact(text)
        secrets.found_in(text)

        assert time.process_time() - started < 10  # half a second

    def test_a_very_long_token(self) -> None:
        """A token of many kilobytes is hidden whole, under one label; one that is too long is
        hidden where its member says so.
        """
        rng = random.Random(3)
        for length, label in ((50_000, "<token-1>"), (LONGEST + 1, "<token>")):
            body = json.dumps({"token": hexadecimal(rng, length)})
            secrets = Secrets()
            secrets.learn(exchange(got=body.encode()))

            assert secrets.redact(body) == f'{{"token": "{label}"}}'

    def test_jwts_are_found_in_linear_time(self) -> None:
        """A text that begins a JWT everywhere and ends none is looked through once; a JWT behind
        all that is found.
        """
        token = f"{TOKEN}"
        for noise in (
            "eyJ" * 400_000,
            "eyJ." * 300_000,
            "eyJa.b." * 200_000,
            "eyJa.eyJb" * 100_000,
            "a" * 1_000_000,
        ):
            started = time.process_time()

            assert list(jwts_in(f"{noise} {token}"))[-1] == token
            assert time.process_time() - started < 10  # a tenth of a second; it was hours

    @pytest.mark.parametrize("before", ["", "n", "u0022", "Bearer ", "www.example.", '"', "="])
    def test_a_jwt_behind_anything(self, before: str) -> None:
        """A JWT is found behind characters that could begin one, as an escape leaves them."""
        assert list(jwts_in(f"{before}{TOKEN}, {TOKEN}.")) == [TOKEN, TOKEN]


class TestCutAnswers:
    """Answers end where they like, and what they began is half known from then on."""

    @pytest.mark.parametrize(
        "secret",
        [TOKEN, "eyJ1c2VyIjoiNTk5ZTFmIn0" + "q7TKCUb2Tqbqqh7t" * 3],
        ids=["JWT", "opaque"],
    )
    def test_an_altered_token_after_a_cut_one(self, secret: str) -> None:
        """Wherever an answer was cut in a token, no more than a few characters of what is secret in
        its altered copies are shown.
        """
        decisive = secret.rpartition(".")[2]
        for cut in range(8, len(secret)):
            secrets = Secrets()
            secrets.learn(exchange(got=f'{{"token": "{secret[:cut]}'.encode()))
            for back in (len(decisive), len(decisive) // 2, 1):
                place = len(secret) - back
                letter = "A" if secret[place] != "A" else "B"
                altered = secret[:place] + letter + secret[place + 1 :]
                secrets.learn(exchange(headers={"Authorization": f"Bearer {altered}"}))

                shown = secrets.redact(f"Bearer {altered}.")

                assert not any(decisive[at : at + 8] in shown for at in range(len(decisive) - 7)), (
                    f"cut at {cut}, altered at {place}: {shown}"
                )


class TestPartsAndReversed:
    """What a server spells backwards, or spreads over members and items."""

    @pytest.mark.parametrize("secret", [TOKEN, REFRESH_TOKEN], ids=["JWT", "refresh token"])
    @pytest.mark.parametrize("spell", SPREAD.values(), ids=SPREAD)
    def test_nothing_of_it_is_shown(self, secret: str, spell: Callable[[str], str]) -> None:
        """Turned round, or in two halves, no eight characters of what is secret are shown."""
        secrets = Secrets()
        secrets.learn(exchange(got=json.dumps({"token": secret}).encode()))
        decisive = secret.rpartition(".")[2]

        shown = secrets.redact(spell(secret))

        assert not any(decisive[at : at + 8] in shown for at in range(len(decisive) - 7)), shown
        assert decisive[::-1] not in shown
        assert secrets.found_in(spell(secret))
        assert not secrets.found_in(shown)

    def test_a_label_says_what_stood_there(self) -> None:
        """A part and a reversed secret are told from the secret, which a replay puts in again."""
        secrets = Secrets()
        secrets.learn(exchange(got=json.dumps({"token": TOKEN}).encode()))
        signature = TOKEN.rpartition(".")[2]

        shown = secrets.redact(f"{signature[:21]}, {signature[::-1]}, {signature}")

        assert shown == "<part of token-1>, <reversed token-1>, <token-1>"

    def test_every_way_to_cut_one_in_two(self) -> None:
        """Wherever a token is cut in two, at most fourteen characters of a piece are shown."""
        secrets = Secrets()
        secrets.learn(exchange(got=json.dumps({"token": REFRESH_TOKEN}).encode()))
        decisive = REFRESH_TOKEN.rpartition(".")[2]

        for cut in range(1, len(decisive)):
            shown = secrets.redact(json.dumps([decisive[:cut], decisive[cut:]]))

            assert not any(decisive[at : at + 15] in shown for at in range(len(decisive) - 14))

    def test_the_password_of_the_target_file(self) -> None:
        """The halves of a password of sixteen characters are hidden, also with escapes."""
        secrets = Secrets()
        secrets.add("Xk/2q&Lm9+vTz7Rw", "password")

        shown = secrets.redact(json.dumps(["Xk/2q&Lm", "9+vTz7Rw"]).replace("/", r"\/"))

        assert shown == '["<part of password-1>", "<part of password-1>"]'

    def test_ids_and_our_own_words_stay(self) -> None:
        """A user's id that a token begins with, and what stands in our reports, is no part."""
        id = "599e1fcd9da1c72645c95886"
        secrets = Secrets()
        secrets.spare("the sentence of a report")
        grant = {"token": id + "8167e54e423275c0d948ce2efcaa", "user": id}
        secrets.learn(exchange(got=json.dumps(grant).encode()))
        secrets.learn(exchange(got=b'{"token":"a-report-startedDateTime-serverIPAddress"}'))

        for text in (f"GET /v2/users/{id}", "the sentence of a report", "startedDateTime"):
            assert secrets.redact(text) == text

    def test_what_was_made_up_has_no_parts(self) -> None:
        """A forged value that shares its beginning with what is public hides nothing of that."""
        secrets = Secrets()
        made_up = "rolecall-of-the-run-" + "x" * 30
        secrets.learn(exchange(headers={"Authorization": f"Bearer {made_up}"}))

        assert secrets.redact(made_up[:25]) == made_up[:25]
        assert secrets.redact(made_up) == "<token-1>"

    def test_a_part_beside_a_whole_one(self) -> None:
        """A part that would reach into another secret ends there, and both are hidden."""
        first, second = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u", "u" + "9Zy8Xw7Vu6Ts5Rq4Po3Nm2Lk1Ji0-h"
        secrets = Secrets()
        for number, value in enumerate((first + second[0] * 4, second)):
            secrets.learn(exchange(got=json.dumps({"token": value, "n": number}).encode()))

        assert secrets.redact(f"{first}{second}") == "<part of token-1><token-2>"

    def test_parts_that_overlap(self) -> None:
        """Where the end of one part is the beginning of another, nothing of either is shown."""
        first, second = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv", "St0Uv9Zy8Xw7Vu6Ts5Rq4Po3Nm2Lk1Ji"
        secrets = Secrets()
        for value in (first, second):
            secrets.learn(exchange(got=json.dumps({"token": value}).encode()))

        text = f"{first[2:]}{second[5:-2]}"

        assert secrets.redact(text) == "<part of token-1><part of token-2>"


class TestThreads:
    """Secrets are learnt on the run's thread while pytest's thread redacts."""

    def test_redaction_while_learning(self) -> None:
        """A secret that was learnt before a text is redacted is never left in it, however many are
        being learnt meanwhile.
        """
        secrets = Secrets()
        learnt: list[str] = []
        stop = threading.Event()
        problems: list[str] = []

        def learn() -> None:
            rng = random.Random(1)
            for _ in range(300):
                value = "".join(rng.choices(string.ascii_letters, k=24))
                secrets.add(value, "token")
                learnt.append(value)
            stop.set()

        def redact() -> None:
            try:
                while not stop.is_set():
                    known = learnt[-40:]
                    text = secrets.redact(" ".join(known))
                    problems.extend(value for value in known if value in text)
            except Exception as error:  # noqa: BLE001  # what the test looks for
                problems.append(repr(error))

        threads = [threading.Thread(target=target) for target in (redact, redact, learn)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert not problems
        assert len(learnt) == len({secrets.redact(value) for value in learnt})

    def test_two_threads_that_learn_the_same(self) -> None:
        """A secret that two threads learn at the same moment gets one label."""
        for attempt in range(50):
            secrets, value, barrier = Secrets(), f"secret-number-{attempt}", threading.Barrier(2)

            def learn(
                secrets: Secrets = secrets, value: str = value, barrier: threading.Barrier = barrier
            ) -> None:
                barrier.wait()
                secrets.add(value, "token")

            threads = [threading.Thread(target=learn) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            secrets.add("the next one", "token")

            assert secrets.redact(f"{value} the next one") == "<token-1> <token-2>"
