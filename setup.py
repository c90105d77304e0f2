"""The packages: all under ``src/``, and the top-level folders that pyproject.toml maps into
``rolecall``.
"""

import warnings

from setuptools import find_packages, setup

MAPPED = [
    "rolecall.conformance",
    "rolecall.conformance.web1on1_v2",
    "rolecall.load",
    "rolecall.schemas",
]

# `pip install --editable .` ends with a box of asterisks: a folder named `rolecall` in the working
# directory could be imported in place of the package. This happens wherever folders are mapped
# (`package-dir`), and no folder of this project is named so.
warnings.filterwarnings("ignore", message="Editable installation")

setup(packages=[*find_packages("src"), *MAPPED])
