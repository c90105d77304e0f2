"""What stands in a replay for the secrets that the evidence does not hold."""

from __future__ import annotations

import re

import jwt

from rolecall.redaction import Secrets
from rolecall.replay.stand_ins import StandIns
from tests.support.exchanges import exchange

USER = "5f0000000000000000000abc"
REFRESH_TOKEN = f"{USER}.c0ffee00c0ffee00c0ffee00c0ffee00"
TOKEN = jwt.encode({"_id": USER}, "a key of no server, long enough for its HMAC", "HS256")


def learnt() -> Secrets:
    """The secrets of a run that was granted two tokens."""
    secrets = Secrets()
    body = f'{{"token":"{TOKEN}","refreshToken":"{REFRESH_TOKEN}","user":"{USER}"}}'
    secrets.learn_received(exchange(body=body.encode()))
    return secrets


def test_what_was_redacted_has_its_form_again() -> None:
    """A JWT has header, claims and a signature as long as before, a refresh token its user's id and
    letters of the same kinds; neither is the secret.
    """
    secrets = learnt()
    stand_ins = StandIns(secrets.shapes())
    token = stand_ins.fill(secrets.redact(TOKEN))
    assert token.rpartition(".")[0] == TOKEN.rpartition(".")[0]
    assert len(token) == len(TOKEN)
    refresh_token = stand_ins.fill(secrets.redact(REFRESH_TOKEN))
    assert re.fullmatch(
        rf"{USER}\.[a-f]\d[a-f]{{4}}00[0-9a-f]{{24}}|{USER}\.\w{{32}}", refresh_token
    )
    assert not secrets.found_in(f"{token} {refresh_token}")


def test_the_same_label_is_the_same_secret() -> None:
    """A token that comes again is the same one, and another label is another."""
    shapes = {label: [["base64url", "32"]] for label in ("<token-1>", "<token-2>")}
    once, again, other = StandIns(shapes).fill("<token-1> <token-1> <token-2>").split()
    assert once == again
    assert once != other


def test_nothing_is_told_of_passwords() -> None:
    """A password's form stands nowhere."""
    secrets = Secrets()
    secrets.add("correct horse battery staple", "password")
    assert secrets.shapes() == {}
    assert len(StandIns({}).fill(secrets.label_of("correct horse battery staple"))) == 20


def test_what_a_test_made_up_is_found_beside_the_recorded_request() -> None:
    """A password of chance takes the place of its label in what is answered."""
    stand_ins = StandIns({})
    found = stand_ins.fits('{"password":"<password-7>"}', '{"password":"new"}')
    assert found == {"<password-7>": "new"}
    stand_ins.bind(found or {})
    assert stand_ins.fill("you said <password-7>") == "you said new"
    assert stand_ins.fits("<password-7>", "another") is None


def test_a_label_in_a_url_is_laid_beside_what_is_sent() -> None:
    """The escapes of URLs make no difference."""
    found = StandIns({}).fits("/token?refreshToken=<refresh-token-1>", "/token?refreshToken=a%2Bb")
    assert found == {"<refresh-token-1>": "a+b"}


def test_other_requests_do_not_fit() -> None:
    """What differs beside the secrets is another request."""
    assert StandIns({}).fits("a <token-1> b", "a secret c") is None
    assert StandIns({}).fits("<token-1> <token-1>", "one other") is None
