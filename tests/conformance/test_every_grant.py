"""What the run's own log-ins and refreshes are held to, in memory."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from conformance.test_every_grant import written
from rolecall.evidence import Evidence
from rolecall.spec.loading import load_specification
from rolecall.toolkit.responses import Responses
from tests.support.clients import target

URL = "http://target.example/v2"


@pytest.mark.parametrize("id", ["599e1fcd9da1c72645c95886", "users:7+é%2F&a=b=="])
def test_a_user_that_was_written_to_is_known_by_the_id_that_documents_have(id: str) -> None:
    """Whom the run wrote to is known also where the address of a user is not its id as it is."""
    evidence = Evidence()
    evidence.record(
        method="PATCH",
        url=f"{URL}/users/{quote(id, safe='')}",
        request_headers={},
        request_body=b'{"role":"admin"}',
        caller="admin (token)",
    ).status = 200
    responses = Responses(evidence, load_specification(), target(URL))

    assert written(responses, "role") == {id}
    assert written(responses) == {id}
    assert not written(responses, "password")
