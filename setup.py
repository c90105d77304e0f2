"""What the package is, pyproject.toml says; this file only keeps setuptools from one warning that does not apply here."""

import warnings

from setuptools import setup

# `pip install --editable .` ends with a box of asterisks: a folder named `rolecall` in the working directory could be imported
# in place of the package. This happens wherever folders are mapped (`package-dir`), and no folder of this project is named so.
warnings.filterwarnings("ignore", message="Editable installation")

setup()
