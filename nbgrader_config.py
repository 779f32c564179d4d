"""nbgrader's configuration: read by the `nbgrader` command, by JupyterLab and by `syslab`.

It works wherever the command is run inside the course. JupyterLab's assignment list reads its
configuration from the folder it puts assignments in, so `work/` gets a two-line file that
points back here.
"""

import contextlib
import os
import sys
from pathlib import Path

from syslab.grading import marking

ROOT = Path(__file__).resolve().parent
EXCHANGE = ROOT / "exchange"
WORK = ROOT / "work"

POINTER = """\
# JupyterLab's assignment list looks for its configuration here; the real one is a folder up.
from pathlib import Path

load_subconfig("nbgrader_config.py", path=str(Path(__file__).resolve().parent.parent))  # noqa: F821
"""

# nbgrader calls `alembic` by name for a new gradebook; it lies beside this Python, which need not
# be on the PATH when JupyterLab or `syslab` is started without activating the environment.
_programs = str(Path(sys.executable).parent)
if _programs not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join([_programs, os.environ.get("PATH", "")])

# A read-only checkout can still be graded from; only the exchange is then out of reach.
with contextlib.suppress(OSError):
    EXCHANGE.mkdir(exist_ok=True)
    WORK.mkdir(exist_ok=True)
    if not (WORK / "nbgrader_config.py").exists():
        (WORK / "nbgrader_config.py").write_text(POINTER, encoding="utf-8")


def _own_files() -> dict[str, list[str]]:
    """Files a learner replaces with their own (`own: NAME` in source/<assignment>/helpers.txt)."""
    own: dict[str, list[str]] = {}
    for listing in sorted(ROOT.glob("source/*/helpers.txt")):
        lines = listing.read_text(encoding="utf-8").splitlines()
        names = [line[4:].strip() for line in lines if line.startswith("own:")]
        if names:
            own[listing.parent.name] = names
    return own


c = get_config()

c.CourseDirectory.course_id = "principal-ai-systems"
c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.db_url = (
    os.environ.get("SYSLAB_GRADEBOOK_URL") or f"sqlite:///{ROOT / 'gradebook.db'}"
)
# The demonstration in autograded/ is in no gradebook: feedback for all students would stop there.
c.CourseDirectory.student_id_exclude = "demo-typical"
# Author's files that stay in source/: rubrics, comment banks, the list of helper files, and the
# planted pull requests with their truths.
# Anything else there is copied to the learner and has to be listed in helpers.txt.
c.CourseDirectory.ignore = [
    ".ipynb_checkpoints",
    "*.pyc",
    "__pycache__",
    "feedback",
    ".DS_Store",
    "helpers.txt",
    "rubric*.toml",
    "comments*.toml",
    "pulls",
    "truths",
]

c.Exchange.root = str(EXCHANGE)
c.Exchange.assignment_dir = str(WORK)
# Takes plain files only, and nothing that somebody else put there in a learner's name.
c.ExchangeFactory.collect = "syslab.grading.collect.PlainCollect"
c.Exchange.cache = str(ROOT / ".syslab" / "nbgrader_cache")

# Measurements take longer than nbgrader's 30 s; a notebook that names a kernel this machine does
# not have runs on the course's own.
c.ExecutePreprocessor.timeout = 120
c.ExecutePreprocessor.kernel_name = "python3"
c.ExecutePreprocessor.record_timing = False
c.ExecutePreprocessor.extra_arguments = [
    "--HistoryManager.hist_file=:memory:",
    "--IPKernelApp.log_level=ERROR",  # a notice about TCP for every notebook otherwise
]

# nbgrader takes any text on stderr for a failure; a correct answer that warns keeps its points.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"(?s).*"

# Deleted, renamed or relabelled test cells come back before grading.
c.OverwriteCells.add_missing_cells = True
c.Autograde.exclude_overwriting = _own_files()
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "syslab.grading.restore.RestoreCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Lateness costs what the table [late] of course.toml says; nothing without it.
c.AssignLatePenalties.plugin_class = "syslab.grading.late.LatePolicy"

# The reasons reach the learner, the hidden tests do not.
c.GenerateFeedback.preprocessors = [
    "syslab.grading.late.RefreshLatePenalty",
    "nbgrader.preprocessors.GetGrades",
    "syslab.grading.feedback.HideHiddenTests",
    "syslab.grading.feedback_summary.Summarise",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]

# Formgrader shows the rubric of source/<assignment>/rubric.toml beside every hand-marked cell.
marking.configure(c)
