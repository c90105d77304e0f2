"""The packages: all under ``src/``, and the three top-level folders that pyproject.toml maps into ``rolecall``."""

from setuptools import find_packages, setup

MAPPED = ["rolecall.conformance", "rolecall.conformance.web1on1_v2", "rolecall.load", "rolecall.schemas"]

setup(packages=[*find_packages("src"), *MAPPED])
