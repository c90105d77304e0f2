"""The load generator: tokens issued and refreshed at any rate, every answer still checked."""

from importlib.util import find_spec


def missing() -> list[str]:
    """What the extra ``load`` brings and is not there."""
    return [name for name in ("locust", "msgspec", "orjson", "pybase64") if find_spec(name) is None]
