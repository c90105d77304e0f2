"""What a run cannot test with a target file as it is, and what would make it so."""

from __future__ import annotations

from collections.abc import Iterator

from rolecall.spec.model import API_KEY, API_KEYS, INTRUSIVE, SIGNING_KEY, Specification
from rolecall.target import Target

_KEYS = "create_path under [api_keys], or a ready-made key for each role in [api_keys.tokens]"


def untestable(spec: Specification, target: Target, bank: str = "") -> Iterator[dict[str, str]]:
    """``what`` will not be tested, and what to ``give`` for it.

    ``bank``: when the bank's tokens will have expired, if they have not.
    """
    keys = target.api_keys
    lacking = [] if keys.create_path else [role for role in spec.roles if role not in keys.tokens]
    if lacking:
        cells = [cell for cell in spec.cells if cell.credential == API_KEY and cell.role in lacking]
        yield {
            "what": f"{len(cells)} cells with API keys of {', '.join(lacking)}"
            + ("" if keys else _also(spec, API_KEYS)),
            "give": _KEYS,
        }
    expiry = target.expiry
    elsewhere = expiry.clock_url or expiry.signing_key or expiry.command or expiry.wait
    if not expiry:
        yield {
            "what": f"that tokens expire{_also(spec, '', 'Expiry')}",
            "give": "bank under [expiry]; it needs a second run a day later",
        }
    elif bank and not elsewhere:
        yield {
            "what": f"that tokens expire, tonight{_also(spec, '', 'Expiry')}",
            "give": f"clock_url or signing_key_env under [expiry], or wait: {bank}",
        }
    if not expiry.signing_key:
        yield {
            "what": f"tokens made with the server's key{_also(spec, SIGNING_KEY)}",
            "give": "signing_key_env and algorithm under [expiry]",
        }
    yield {
        "what": f"what may lock an account out{_also(spec, INTRUSIVE)}",
        "give": "the option --intrusive",
    }


def _also(spec: Specification, capability: str, feature: str = "") -> str:
    """How many requirements rest on it, in words."""
    ids = [
        id
        for id, entry in spec.requirements.items()
        if (entry.capability == capability if capability else entry.feature == feature)
    ]
    return f" ({len(ids)} requirements: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})"
