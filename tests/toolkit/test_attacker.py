"""The attacker: what an attack did not bring about is not its finding."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from rolecall.outcomes import Finding
from rolecall.toolkit.attacker import Attacker
from tests.support.exchanges import exchange

REQUEST: Any = Mock(fixture=None)


def attacked(status: int, usual: int) -> None:
    """Judge an answer to an attack, where the same request without it has the usual status."""
    attacker = Attacker.__new__(Attacker)
    answer = exchange(status=status)
    judge = Mock(side_effect=Finding("403", f"{status}", answer))
    plainly = AsyncMock(return_value=exchange(status=usual))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attacker, "judge_denied", judge, raising=False)
        patch.setattr(attacker, "_expect_shut", plainly, raising=False)
        asyncio.run(attacker.expect_denied(answer, REQUEST, Mock()))


def test_the_same_refusal_without_the_attack_is_no_finding() -> None:
    """A refusal of an unusual status that comes without the attack as well is its cell's matter."""
    attacked(404, usual=404)


@pytest.mark.parametrize(("status", "usual"), [(200, 403), (404, 403), (500, 500), (302, 302)])
def test_what_the_attack_brought_about_is_a_finding(status: int, usual: int) -> None:
    """Another status than without the attack is a finding, and so is what is no refusal."""
    with pytest.raises(Finding):
        attacked(status, usual)
