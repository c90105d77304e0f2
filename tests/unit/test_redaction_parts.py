"""Redaction of parts of secrets, of secrets turned round, and of answers that were cut."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from rolecall.redaction import Secrets, _holds_claims
from tests.unit.test_redaction import REFRESH_TOKEN, TOKEN, exchange, knowing

#: Of chance, with the letters in it with which claims begin.
BEGINS_INSIDE = "tFcReyJghsGmH7bnLJ2wvq0Zk7Vd2XpLw9gDhI_MrRb"
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


def received(*tokens: str) -> Secrets:
    """Secrets that a server sent, one an answer."""
    secrets = Secrets()
    for token in tokens:
        secrets.learn(exchange(got=json.dumps({"token": token}).encode()))
    return secrets


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

    @pytest.mark.parametrize(
        "secret",
        [TOKEN, REFRESH_TOKEN, BEGINS_INSIDE, f"{TOKEN.rpartition('.')[0]}.{BEGINS_INSIDE}"],
        ids=["JWT", "refresh token", "opaque with eyJ in it", "JWT with eyJ in its signature"],
    )
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

    @pytest.mark.parametrize("front", ["users%3A", "a%2Fb%3D", "fourteen-charsé", "é", "a+b=/~"])
    def test_an_id_with_strange_signs_stays(self, front: str) -> None:
        """Neither an id that holds escapes of URLs, nor one with letters beyond ASCII, is a part of
        the tokens that begin with it.
        """
        secrets = Secrets()
        ids = [front + digits * 8 for digits in ("0a1b", "7c3d")]
        for number, id in enumerate(ids * 2):
            claims = base64.urlsafe_b64encode(json.dumps({"_id": id}).encode()).decode().rstrip("=")
            grant = {
                "token": f"eyJhbGciOiJIUzI1NiJ9.{claims}.{f'S{number}gn' * 11}",
                "refreshToken": f"{id}.{f'{number}5e7' * 20}",
                "user": id,
            }
            secrets.learn(exchange(got=json.dumps(grant).encode()))

        for id in ids:
            assert secrets.redact(f"id {id}") == f"id {id}"

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

    def test_a_part_that_reaches_into_a_whole_one(self) -> None:
        """What stands of it before the whole one is too short to be a part, and stays."""
        first, second = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u", "Gh4Ij5Xw7Vu6Ts5Rq4Po3Nm2Lk1Ji0-h"
        secrets = received(first, second)

        assert secrets.redact(f"{first[:9]}{second}, {first[:15]}") == (
            "Ab1Cd2Ef3<token-2>, <part of token-1>"
        )

    def test_a_whole_one_in_a_part(self) -> None:
        """Where a token holds another, what stands behind that one is hidden, and nothing of it
        twice.
        """
        inner = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u"
        outer = f"Zq8+Wx7-Vy6.{inner}~9Zy8Xw7Vu6Ts5Rq4Po3"
        secrets = received(inner, outer)

        assert secrets.redact(f"{outer[8:]}!") == "Vy6.<token-1><part of token-2>!"

    def test_a_part_in_a_part(self) -> None:
        """Where a token holds the beginning of another, all behind that is hidden."""
        inner = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u"
        outer = f"Zq8+Wx7-Vy6.{inner[:18]}~9Zy8Xw7Vu6Ts5Rq4Po3"
        secrets = received(inner, outer)

        assert secrets.redact(f"{outer[8:]}!") == "Vy6.<part of token-1><part of token-2>!"

    def test_the_half_of_a_password_in_a_part(self) -> None:
        """It is hidden with the part that it stands in, and what follows is hidden as well."""
        secrets = received(first := "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u")
        secrets.add("Cd2Ef3Gh-xY7zW9!", "password")

        shown = secrets.redact(f"{first[:20]}, -xY7zW9!")

        assert shown == "<part of token-1>, <part of password-1>"

    def test_two_parts_that_begin_at_one_place(self) -> None:
        """Both are named, the shorter one first."""
        secrets = received(first := "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u")
        secrets.add("Ab1Cd2Ef-xY7zW9!", "password")

        assert secrets.redact(f"{first[:20]}!") == "<part of password-1><part of token-1>!"

    def test_a_part_with_an_escape_behind_it(self) -> None:
        """It stands in the text as it is and as it is read, and is hidden once."""
        secrets = received(first := "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u")

        assert secrets.redact(f"{first[:20]}, %41") == "<part of token-1>, %41"

    def test_a_part_among_escapes(self) -> None:
        """A part that is written with escapes, and behind some, is hidden as far as it goes."""
        secrets = received(first := "Ab/1Cd/2Ef/3Gh/4Ij/5Kl/6Mn/7Op/8Qr/9St/0-u")
        everything = "".join(f"%{ord(character):02x}" for character in first)
        part = first[:30].replace("/", r"\/")

        assert secrets.redact(f"%41%42 {part}, %43") == "%41%42 <part of token-1>, %43"
        assert secrets.redact(f"{everything} {part}") == "<token-1> <part of token-1>"

    def test_one_that_is_turned_round_among_escapes(self) -> None:
        """It is hidden where it stands, and no more than it."""
        secrets = received(first := "Ab/1Cd/2Ef/3Gh/4Ij/5Kl/6Mn/7Op/8Qr/9St/0-u")
        turned = first[::-1].replace("/", r"\/")

        assert secrets.redact(f"%41%42 {turned}, %43") == "%41%42 <reversed token-1>, %43"

    def test_a_part_that_two_secrets_have(self) -> None:
        """It is named after the one that was learnt first."""
        secrets = received(
            first := "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u", f"{first[:15]}9Zy8Xw7Vu6Ts5Rq4Po3"
        )

        assert secrets.redact(f"{first[:15]}!") == "<part of token-1>!"

    @pytest.mark.parametrize("alike", [15, 16, 30])
    @pytest.mark.parametrize("order", [1, -1])
    def test_tokens_that_begin_or_end_alike(self, alike: int, order: int) -> None:
        """What tells them apart is hidden in a part of each."""
        same = "Xk2-qLm9.vTz7RwB4Yh8Nc3-Jd6PfGs5"[:alike]
        ends = ("Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0-u", "9Zy8Xw7Vu6Ts5Rq4Po3Nm2Lk1Ji0-hZZ", "A0" * 16)
        tokens = [(same + end)[::order] for end in ends]
        secrets = received(*tokens)

        for token, end in zip(tokens, ends, strict=True):
            piece = token[: alike + 16] if order == 1 else token[-alike - 16 :]
            shown = secrets.redact(piece)
            assert not any(text in shown for text in (same[:8], same[::-1][:8]))
            assert not any(end[:16][::order][at : at + 4] in shown for at in range(12)), shown

    def test_a_beginning_that_is_ordinary_text(self) -> None:
        """A token that begins like a text of ours is hidden from where it is like none."""
        secrets = Secrets()
        secrets.spare("rolecall-nightly-target")
        token = "rolecall-nightly-target-Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8"
        secrets.learn(exchange(got=json.dumps({"token": token}).encode()))

        shown = secrets.redact(f"{token[:20]}, {token[-20:]}")

        assert shown == "rolecall-nightly-tar, <part of token-1>"

    def test_a_part_that_ends_in_half_a_character(self) -> None:
        """A segment is so many bytes, and the part goes on to the end of the character."""
        secrets = Secrets()
        secrets.add("Xk2qLm9vTz7RwBö4Yh8Nc3Jd6PfGs5", "password")

        shown = secrets.redact("Xk2qLm9vTz7RwBö4Yh, Nc3Jd6PfGs5")

        assert shown == "<part of password-1>, Nc3Jd6PfGs5"

    def test_the_longest_that_is_looked_for_turned_round(self) -> None:
        """A secret in one piece is, and one that is ordinary text when it is turned round is not,
        in any case.
        """
        longest = "".join(f"{number:06x}" for number in range(0, 16**6, 9973))[:4096]
        secrets = knowing((longest, "token"), ("nekoTsseccA", "password"))

        assert secrets.redact(f"{longest[::-1]}!") == "<reversed token-1>!"
        assert secrets.redact('"AccessToken", "accessToken"') == '"AccessToken", "accessToken"'


class TestAlteredCopies:
    """Of an altered token a part is known, which does not make the rest of it known."""

    ALTERED = TOKEN[:-3] + ("A" if TOKEN[-3] != "A" else "B") + TOKEN[-2:]
    FRONT = TOKEN.rpartition(".")[0]

    def test_an_altered_copy_beside_a_known_one(self) -> None:
        """Its signature is a secret of its own, though a part of it would be hidden anyway."""
        secrets = knowing((TOKEN, "token"))
        secrets.learn(exchange(headers={"Authorization": f"Bearer {TOKEN}, {self.ALTERED}"}))

        assert secrets.redact(f"{self.ALTERED}!") == f"{self.FRONT}.<token-2>!"

    def test_two_altered_copies(self) -> None:
        """Without a known one beside them they are one secret, as they were sent."""
        secrets = knowing((TOKEN, "token"))
        sent = f"{self.ALTERED}, {self.ALTERED}"
        secrets.learn(exchange(headers={"Authorization": f"Bearer {sent}"}))

        assert secrets.redact(f"Bearer {sent}") == "Bearer <token-2>"

    def test_tokens_in_what_takes_too_long_to_look_at(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of them is a secret of its own, as where something known stands beside it."""
        secrets = knowing(("opaque-value-0815", "token"))
        with monkeypatch.context() as patched:
            patched.setattr("rolecall.needles._COMPARISONS", -10_000)
            secrets.learn(exchange(headers={"Authorization": f"Bearer opaque-value-0815, {TOKEN}"}))

        assert secrets.redact(f"{TOKEN}!") == f"{self.FRONT}.<token-2>!"

    def test_a_signature_that_takes_too_long_to_look_at(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where it cannot be found out whether it is known, it is taken for a secret."""
        secrets = knowing((TOKEN, "token"))
        with monkeypatch.context() as patched:
            patched.setattr("rolecall.needles._COMPARISONS", -10_000)
            secrets.learn(exchange(headers={"Authorization": f"Bearer {self.ALTERED}, {TOKEN}"}))

        assert secrets.redact(f"{self.ALTERED}!") == f"{self.FRONT}.<token-2>!"


@pytest.mark.parametrize(
    ("secret", "holds"),
    [
        ("v1:" + base64.urlsafe_b64encode(b'{"user":"7","role":"guest"}').decode(), True),
        (TOKEN.rpartition(".")[2], False),
        (BEGINS_INSIDE, False),
    ],
    ids=["claims", "signature", "first-letters-by-chance"],
)
def test_claims_in_a_secret(secret: str, holds: bool) -> None:
    """Parts of a secret that holds claims would be in each token of its user: it is told by text
    that goes on behind the first letters of claims.
    """
    assert _holds_claims(secret) is holds
