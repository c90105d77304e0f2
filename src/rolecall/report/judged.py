"""An objective of a load run as it was judged, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def observed(judged: Mapping[str, Any], nothing: str = "nothing was measured") -> str:
    """What an objective was judged by, with its unit; ``nothing`` where nothing was measured."""
    value = judged["observed"]
    return nothing if value is None else f"{value:.4g} {judged['unit']}".rstrip()
