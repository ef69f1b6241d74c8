"""Prints the oldest versions that ``pyproject.toml`` promises, as constraints for pip.

``pip install -c <(python tests/lower_bounds.py) -e ".[test]"`` installs exactly these.
"""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

for requirement in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
    name, bound = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
    print(f"{name}=={bound}")
