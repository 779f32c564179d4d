"""The late policy of ``course.toml`` as nbgrader applies it, by any of its commands and by ours.

nbgrader's ``AssignLatePenalties`` asks a plugin for the penalty of every late submission while it
autogrades; ``LatePolicy`` is that plugin. Due dates, time stamps and extensions are the gradebook's
and in UTC, so the machine's time zone plays no part, and the same submission always loses the same.

A penalty is a share of the points, and hand-marked points come after autograding: the same step
runs again before feedback is made (``RefreshLatePenalty``).
"""

from __future__ import annotations

from pathlib import Path

from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from traitlets import List

from syslab.course import manifest, paths


def penalty(policy: manifest.Late, score: float, late_s: float) -> float:
    """Points that a submission worth `score` loses when it is `late_s` seconds late."""
    return max(0.0, score) * policy.percent(late_s) / 100


class LatePolicy(LateSubmissionPlugin):
    """Penalties by the table ``[late]`` of ``course.toml``; none without it."""

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float | None:
        policy = manifest.load(self._manifest(), check_folders=False).late
        return penalty(policy, score, total_seconds_late) or None

    def _manifest(self) -> Path:
        """Of the course nbgrader works in; a temporary course has none and names its own."""
        root = self.config.CourseDirectory.get("root")
        here = Path(root) / paths.MANIFEST if isinstance(root, str) else None
        return here if here is not None and here.is_file() else paths.root() / paths.MANIFEST


class RefreshLatePenalty(AssignLatePenalties):
    """Bring the penalty up to date with the marks before the feedback page tells it."""

    # Set by the HTML exporter for every preprocessor; without the trait each page logs a warning.
    display_data_priority = List(config=True)
