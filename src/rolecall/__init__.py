"""Rolecall: calls every role on every operation of the Web1on1 REST API and proves the answers."""

from importlib.metadata import version

__version__ = version("rolecall")
