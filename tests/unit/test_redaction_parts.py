"""Redaction of parts of secrets, of secrets turned round, and of answers that were cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from rolecall.redaction import Secrets
from tests.unit.test_redaction import REFRESH_TOKEN, TOKEN, exchange

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
