"""The script of a run's page under Node: what it makes of each cell."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rolecall.report
from rolecall.report import report_page_data

NODE = shutil.which("node")
JUDGE = Path(rolecall.report.__file__).parent / "assets" / "judge.js"
_PROGRAM = """
const judge = require(process.argv[1]);
const {cells, run} = judge.read(JSON.parse(require("fs").readFileSync(0, "utf8")));
const judged = cells.map(cell => {
  const {outcome, why, pieces} = judge.judge(cell, cell.pieces, run);
  return {name: cell.name, stated: cell.outcome, outcome, why, pieces,
    agrees: judge.agrees(cell.outcome, outcome)};
});
console.log(JSON.stringify(judged));
"""


def judged_again(results: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every cell with what the page's script makes of it: name, stated, outcome, why, agrees."""
    assert NODE is not None
    data = json.dumps(report_page_data.data(results, evidence))
    command = [NODE, "-e", _PROGRAM, str(JUDGE)]
    ended = subprocess.run(
        command, input=data, capture_output=True, text=True, timeout=60, check=True
    )
    judged: list[dict[str, Any]] = json.loads(ended.stdout)
    return judged
