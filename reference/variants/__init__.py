"""Servers that differ without being wrong, trouble that is nobody's verdict, and a server that watches."""

from rolecall.reference.variants import answers, network, refreshing, tokens, trouble, watching
from rolecall.reference.variants.registry import VARIANTS, Variant

__all__ = ["VARIANTS", "Variant", "answers", "network", "refreshing", "tokens", "trouble", "watching"]
