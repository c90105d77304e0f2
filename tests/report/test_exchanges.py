"""What a report shows of a test's exchanges."""

from __future__ import annotations

from rolecall.evidence import Exchange
from rolecall.redaction import Secrets
from rolecall.report import exchanges
from tests.support.exchanges import exchange

PASSWORD = "a-password-that-is-quite-long-3141592653589793"


def written(*them: Exchange) -> str:
    """The text of exchanges by a caller who knows the password."""
    secrets = Secrets()
    secrets.add(PASSWORD, "password")
    return exchanges.write(them, secrets.redact)


def test_request_and_answer_stand_as_on_the_wire() -> None:
    """Both are shown with headers and bodies, a line between them, and who sent it."""
    it = exchange(
        "POST",
        request_headers={"accept": "text/x"},
        request_body=b'{"a":1}',
        headers=[("x-b", "c")],
        body=b"[2]",
        at=1503620624.0,
    )

    assert written(it) == (
        "### exchange 1, 2017-08-25T00:23:44.000Z, as guest (token)\n"
        'POST http://target.example/v2/users\naccept: text/x\n{"a":1}\n\n200\nx-b: c\n[2]'
    )


def test_one_that_was_not_answered_says_why() -> None:
    """In the place of a status stands what went wrong."""
    assert written(exchange(status=0, error="the answer was cut off")).endswith(
        "\n\nthe answer was cut off"
    )


def test_no_secret_is_cut_in_half() -> None:
    """Of a long body only the beginning is shown, and a secret that stands at the cut is not shown
    by half.
    """
    for position in range(3900, 4005, 7):
        body = b"x" * position + PASSWORD.encode() + b"y" * 500
        text = written(exchange("POST", request_body=body, body=body))

        assert PASSWORD[:8] not in text
        assert "characters)" in text  # it was cut
