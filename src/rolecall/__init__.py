"""Rolecall: calls every role on every operation of the Web1on1 REST API and proves the answers."""

from importlib.metadata import version
from pathlib import Path

# In a checkout `schemas/` lies beside `src/` and holds no Python: an editable install finds only
# packages with an `__init__.py`.
_checkout = Path(__file__).parents[2]
if (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

__version__ = version("rolecall")
