"""Redaction over a whole run: drawn tokens and ids, floods of them, and two threads at once."""

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
from tests.unit.test_redaction import TOKEN, escaped, exchange, knowing

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
