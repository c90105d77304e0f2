"""Variants in which somebody before the server answers for it."""

from __future__ import annotations

import pytest

from tests.reference.asking import Api
from tests.reference.test_variants import vary


@pytest.mark.parametrize(
    ("name", "status"), [("maintenance-page", 200), ("maintenance-redirect", 302)]
)
def test_maintenance(name: str, status: int) -> None:
    """The six-hundredth request is answered by a gateway, and not in JSON."""

    async def story(api: Api) -> None:
        for _ in range(599):
            assert (await api.ask("OPTIONS", "/v2/users")).status_code == 204
        answer = await api.ask("OPTIONS", "/v2/users")
        assert answer.status_code == status
        assert not answer.content.startswith(b"{")

    vary(name, story)
