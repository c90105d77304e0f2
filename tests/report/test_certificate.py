"""The Statement of a run: what it says, and that it is one by in-toto's own schema."""

from __future__ import annotations

import json

import pytest

from rolecall.dsse import Envelope
from rolecall.report.certificate import CERTIFICATE, is_due
from rolecall.schema_validation import validation_errors
from tests.support.certified_runs import SPEC, made_run


def payload() -> bytes:
    """The Statement of a made run."""
    return Envelope.parse(made_run().files()[CERTIFICATE]).payload


def test_it_follows_its_schema() -> None:
    """The Statement is what schemas/certificate.schema.json says."""
    assert [] == validation_errors("certificate", json.loads(payload()))


def test_it_follows_in_totos_schema() -> None:
    """The Statement and its predicate are what the published protobuf messages of in-toto take,
    ours being the only field that they do not know.
    """
    pytest.importorskip("in_toto_attestation", reason="in the dependency group dev")
    from google.protobuf import json_format
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import (
        TestResult as PredicateMessage,
    )
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

    statement = json_format.Parse(payload(), StatementMessage())
    Statement.copy_from_pb(statement).validate()
    predicate = json.loads(payload())["predicate"]
    assert predicate.pop("rolecall")
    message = json_format.ParseDict(predicate, PredicateMessage())
    for descriptor in message.configuration:
        ResourceDescriptor.copy_from_pb(descriptor).validate()

    assert "PASSED" == message.result
    assert predicate["passedTests"] == list(message.passed_tests)


def test_it_names_what_is_required_and_what_was_run() -> None:
    """Required are all cells and the requirements that decide; of a whole run all were executed."""
    ours = json.loads(payload())["predicate"]["rolecall"]
    deciding = [id for id, entry in SPEC.requirements.items() if entry.decides]

    assert {"requirements": deciding, "cells": list(map(str, SPEC.cells))} == ours["required"]
    assert ours["required"] == ours["executed"]
    assert [] == ours["not_covered"]


def test_it_names_tables_suite_and_strength_by_digest() -> None:
    """Each entry of the configuration has a digest; the kill table's figures stand beside its."""
    configuration = json.loads(payload())["predicate"]["configuration"]
    by_name = {entry["name"]: entry for entry in configuration}
    permissions = by_name["conformance/web1on1_v2/permissions.md"]

    assert f"sha256:{permissions['digest']['sha256']}" == SPEC.digests["permissions"]
    assert by_name["rolecall"]["uri"].startswith("pkg:pypi/rolecall@")
    assert by_name["docs/kill-table.md"]["annotations"]["faults"] > 700


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("verdict", "not-conformant"),
        ("verdict", "inconclusive"),
        ("verdict", "part-passed"),
        ("exit_code", 5),
        ("exit_code", 7),
        ("exit_code", 8),
        ("selected", True),
        ("read_only", True),
    ],
)
def test_only_a_whole_conformant_run_is_certified(member: str, value: object) -> None:
    """Anything short of that is not: the verdict, what it left behind, or a part of the suite."""
    assert is_due(made_run().results)
    assert not is_due(made_run().results | {member: value})
