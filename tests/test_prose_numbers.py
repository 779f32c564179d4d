"""The numbers in the prose of every notebook are recomputed from its code.

In a process of its own per notebook and without a kernel; cells that rest on clock readings do
not run, and no number may depend on them (`syslab.course.notebooks.prose.recompute`).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syslab.course.notebooks import canonical, command, prose

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 300

RECOMPUTE = """
import sys
from syslab.course.notebooks import canonical, prose
problems = prose.recompute(canonical.read(sys.argv[1]))
print("\\n".join(problems), file=sys.stderr)
sys.exit(1 if problems else 0)
"""


@pytest.mark.parametrize("path", command.notebooks(), ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_agrees_with_code(path, tmp_path):
    if not prose.tagged(canonical.read(path)):
        return  # nothing is claimed
    done = subprocess.run(
        [sys.executable, "-c", RECOMPUTE, path.name],
        cwd=path.parent,
        env={
            **os.environ,
            "MPLBACKEND": "Agg",
            "SYSLAB_NO_PROGRESS": "1",
            "SYSLAB_STATE": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
