"""The one place that names the HTTP library.

httpx is what the customer asked for, and has had no release since December 2024. httpx2 continues
it under a new import name; with ``ROLECALL_HTTPX=httpx2`` it takes httpx's place, and ``tox -e
httpx2`` proves that the switch is one line.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

import httpx

if not TYPE_CHECKING and os.environ.get("ROLECALL_HTTPX") == "httpx2":
    httpx = import_module("httpx2")

__all__ = ["httpx"]
