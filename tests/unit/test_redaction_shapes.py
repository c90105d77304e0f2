"""What is told of secrets for a replay: their labels, and the form of tokens and keys."""

from __future__ import annotations

import jwt
import pytest

from rolecall.redaction import Secrets
from tests.unit.test_redaction import exchange

USER = "599e1fcd9da1c72645c95886"
TOKEN = jwt.encode({"_id": USER}, "k" * 32)


def knowing(value: str, kind: str) -> Secrets:
    """The secrets of a run that was told of one."""
    secrets = Secrets()
    secrets.add(value, kind)
    return secrets


@pytest.mark.parametrize("kind", ["token", "refresh-token", "key", "cookie"])
@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (TOKEN, [["base64url", "32"]]),
        (f"{USER}.28167e54e423275c", [["public", USER], ["like", ".99999f99f999999f"]]),
        ("28167e54E423275C", [["like", "99999f99F999999F"]]),
        ("A0-gZ9_zk.4/b", [["like", "A9-aA9_aa.9/a"]]),
        ("0fG9aaaaaaaa", [["like", "9aA9aaaaaaaa"]]),
        ("0fg9AAAAAAAA", [["like", "9aa9AAAAAAAA"]]),
    ],
)
def test_the_form_of_a_secret(value: str, shape: list[list[str]], kind: str) -> None:
    """Digits, small and capital letters and what is public keep their places, and nothing else is
    told; of a JWT the length of its signature is.
    """
    assert knowing(value, kind).shapes() == {f"<{kind}-1>": shape}


@pytest.mark.parametrize(("signature", "size"), [("AAECAwQFBg", 7), ("AAECAAAX", 6), ("AAE", 2)])
def test_a_signature_of_any_length(signature: str, size: int) -> None:
    """The number of bytes of a signature is told, whatever it ends in."""
    token = f"{TOKEN.rpartition('.')[0]}.{signature}"
    assert knowing(token, "token").shapes() == {"<token-1>": [["base64url", str(size)]]}


@pytest.mark.parametrize("signature", ["abcde", "aaaaaaaaaaaaaB"])
def test_a_signature_that_is_no_base64_is_told_by_its_letters(signature: str) -> None:
    """A JWT whose signature no library would have written has the form of those letters."""
    shape = ["like", "fffff" if signature == "abcde" else "fffffffffffffF"]
    token = f"{TOKEN.rpartition('.')[0]}.{signature}"
    assert knowing(token, "token").shapes() == {"<token-1>": [shape]}


def test_a_signature_has_one_form() -> None:
    """What is signed alike has one label and one form, whatever it stood in."""
    secrets = knowing(TOKEN, "token")
    shorter, _, _ = jwt.encode({}, "k" * 32).rpartition(".")
    secrets.add(f"{shorter}.{TOKEN.rpartition('.')[2]}", "key")
    assert secrets.shapes() == {"<token-1>": [["base64url", "32"]]}


def test_passwords_and_signing_keys_have_no_form() -> None:
    """Nothing is told of what no test makes another of, and the others are."""
    secrets = knowing("correct horse battery", "password")
    secrets.add("staple staple staple", "signing-key")
    secrets.add("0123456789", "key")
    assert secrets.shapes() == {"<key-1>": [["like", "9999999999"]]}


def test_a_secret_is_named_by_its_label() -> None:
    """What is no secret is named by itself."""
    secrets = knowing("correct horse battery", "password")
    assert secrets.label_of("correct horse battery") == "<password-1>"
    assert secrets.label_of("guest") == "guest"


@pytest.mark.parametrize("start", [0, 10])
@pytest.mark.parametrize("shown", [5, 6])
def test_a_copy_that_is_known_in_part_is_a_secret_where_it_shows_too_much(
    start: int, shown: int
) -> None:
    """Of a token in a header part of the signature is known already: where six characters of it
    would be shown, wherever they stand, the whole of it is a secret of its own from then on.
    """
    front, _, signature = TOKEN.rpartition(".")
    shown_behind = max(shown - start, 0)
    known = signature[start : len(signature) - shown_behind]
    secrets = knowing(known if start else f"{front}.{known}", "token")
    secrets.learn(exchange(headers={"Authorization": f"Bearer {TOKEN}"}))

    learnt = "<token-2>"
    parts = f"{signature[:start]}<token-1>{signature[len(signature) - shown_behind :]}"
    is_learnt = start + shown_behind >= 6
    assert secrets.redact(f"{TOKEN}!") == f"{front}.{learnt if is_learnt else parts}!"
