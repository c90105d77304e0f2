"""Violations are counted exactly; the few samples that are kept hold no secret."""

from __future__ import annotations

import json

import pytest

from rolecall.loadgen.checks.violations import KINDS, LONGEST, Violation, Violations
from rolecall.spec.loading import load_specification
from tests.spec.test_tables import EXEMPT
from tests.support.token_answers import LOGIN, USER, answer, document, jwt


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_breaks_a_requirement(name: str) -> None:
    """A kind names a requirement of the tables that accuses, or the row of the catalogue that is
    left to the load scenarios.
    """
    kind = KINDS[name]

    assert kind.statement.endswith(".")
    if kind.requirement not in EXEMPT:
        assert load_specification().requirements[kind.requirement].level != "observe"


def test_all_are_counted_and_few_are_kept() -> None:
    """However many there are of a kind, the count is exact and the samples are the first ones."""
    violations = Violations(most=3)

    for number in range(1000):
        violations.report("shape", f"number {number}", LOGIN, answer())
    violations.report("lifetime", "exp - iat is 1 s", LOGIN, answer())

    assert violations.counts == {"shape": 1000, "lifetime": 1}
    assert violations.total == 1001
    assert [sample.message for sample in violations.samples] == [
        "number 0",
        "number 1",
        "number 2",
        "exp - iat is 1 s",
    ]


def test_a_sample_shows_the_exchange_without_its_secrets() -> None:
    """Password, refresh token, bearer and the token's signature are labels; header and claims of
    the token stay readable.
    """
    violations = Violations()
    body = document()
    token, refresh_token = body["token"], body["refreshToken"]
    request = (
        b"GET /v2/auth/token?refreshToken=%s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "
        b"%s\r\n\r\n"
    )

    violations.report(
        "shape",
        f"it says {refresh_token}",
        request % (refresh_token.encode(), token.encode()),
        answer(body),
    )
    violations.report("shape", "a log-in", LOGIN, answer(body))

    for sample in violations.samples:
        text = json.dumps(sample.pack())
        for secret in (
            refresh_token,
            refresh_token.partition(".")[2],
            token,
            token.rpartition(".")[2],
            "Sesame-1",
        ):
            assert secret not in text
        assert token.rpartition(".")[0] in sample.exchange
        assert "HTTP/1.1 200 OK\ncontent-type: application/json\n\n" in sample.exchange
    assert '"password":"<password-1>"' in violations.samples[1].exchange
    assert "authorization: Bearer " in violations.samples[0].exchange


def test_secrets_of_the_run_are_hidden_wherever_they_come_up() -> None:
    """What the run knows to be secret is hidden also where nothing says that it is: in a history,
    in an error.
    """
    violations = Violations([("Tr0ub4dor&3", "password")])

    violations.report("race-without-winner", "see there", history="somebody said Tr0ub4dor&3")
    violations.report("shape", "it is not JSON", LOGIN, answer(b"no such password: Tr0ub4dor&3"))

    assert violations.samples[0].exchange == "somebody said <password-1>"
    assert "Tr0ub4dor" not in violations.samples[1].exchange


def test_a_long_exchange_is_cut_after_its_secrets_are_hidden() -> None:
    """A huge answer is cut, and no secret is cut in two and so overlooked."""
    violations = Violations()
    token = jwt({"_id": USER, "padding": "x" * LONGEST}, signature="s" * 43)

    violations.report("shape", "too much", LOGIN, answer(document(token=token, more="y" * 100_000)))

    (sample,) = violations.samples
    assert len(sample.exchange) < 2 * LONGEST + 100
    assert "s" * 20 not in sample.exchange
    assert "characters more)" in sample.exchange


def test_a_message_can_be_written_anywhere_and_is_short() -> None:
    """A message holds no half character and is short, whatever a server sent."""
    violations = Violations()

    violations.report(
        "another-user", f"user \ud800{'x' * 10_000}", history="\udfff" + "y" * 1_000_000
    )

    (sample,) = violations.samples
    sample.message.encode()
    sample.exchange.encode()
    assert len(sample.message) < 1000
    assert len(sample.exchange) < 20_000


def test_a_request_without_an_answer_is_shown_alone() -> None:
    """Where there was no answer, the sample is the request."""
    violations = Violations()

    violations.report("denied-allowed", "hm", b"GET /v2/users HTTP/1.1\r\nhost: x\r\n\r\n")

    assert violations.samples[0].exchange == "GET /v2/users HTTP/1.1\nhost: x"


def test_a_worker_sends_what_is_new_and_the_master_adds_it_up() -> None:
    """Counts and samples of all workers arrive once each, and the master keeps few of each kind as
    well.
    """
    workers, master = [Violations(most=2, started=0.0) for _ in range(3)], Violations(most=2)

    for worker in workers:
        for _ in range(4):
            worker.report("shape", "wrong", LOGIN, answer())
            master.merge(worker.take())
        assert worker.take() == {}

    assert master.counts == {"shape": 12}
    assert [sample.kind for sample in master.samples] == ["shape", "shape"]
    assert master.samples[0].at > 0


def test_a_sample_survives_the_way() -> None:
    """A violation that was sent is the same on the other side."""
    violation = Violation("shape", "wrong", "GET /", 1.5)

    assert Violation.unpack(json.loads(json.dumps(violation.pack()))) == violation


def test_advice_is_no_violation() -> None:
    """What is of a requirement of level hardening is told, with count and samples, and is neither
    counted as a violation nor shown among them; on the master, too.
    """
    violations, master = Violations(started=0.0), Violations(started=0.0)
    violations.report("race-mixture", "two of four", history="a history")
    violations.report("shape", "wrong", LOGIN, answer())
    master.merge(violations.take())

    for one in (violations, master):
        assert one.total == 1
        assert [sample.kind for sample in one.samples] == ["shape"]
        (advice,) = one.advised()
        assert (advice["kind"], advice["requirement"], advice["count"]) == (
            "race-mixture",
            "SEC-R11",
            1,
        )
        assert advice["samples"][0]["exchange"] == "a history"
        assert advice["statement"] == KINDS["race-mixture"].statement


def test_what_the_specification_does_not_say_advises() -> None:
    """A kind decides where its requirement decides in the suite: SEC-R11 and SEC-I18 are of level
    hardening, so that what names them is advice; no other kind is.
    """
    requirements = load_specification().requirements
    for kind in KINDS.values():
        required = requirements.get(kind.requirement)  # SEC-A17 is a case, of several requirements
        assert kind.advises is (required is not None and not required.decides)
        assert kind.advises is (kind.requirement in ("SEC-R11", "SEC-I18"))
