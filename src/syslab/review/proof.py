"""Showing that a planted defect bites: its test fails on the change, and passes once repaired."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from syslab.review.form import Pull, write_tree
from syslab.review.truths import Defect

TIME_S = 60


def repaired(pull: Pull, defects: Iterable[Defect]) -> dict[str, str]:
    """The new files with the repairs of `defects` made: path -> text.

    Raises
    ------
    ValueError
        When the text to replace does not occur exactly once.
    """
    tree = {each.path: each.after for each in pull.files}
    for defect in defects:
        for edit in defect.repair:
            count = tree[edit.file].count(edit.old)
            if count != 1:
                raise ValueError(
                    f"{pull.name}, {defect.id}: the text to repair occurs {count} times in "
                    f"{edit.file}, not once: {edit.old!r}"
                )
            tree[edit.file] = tree[edit.file].replace(edit.old, edit.new)
    return tree


def failure(test: str, tree: dict[str, str]) -> str:
    """Run the script `test` beside the files of `tree`; its assertion message, or "" if it passed.

    Raises
    ------
    RuntimeError
        When the script ends otherwise than by silence or an ``AssertionError``.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_tree(tree, folder)
        (Path(folder) / "planted_test.py").write_text(test, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-B", "planted_test.py"], cwd=folder, text=True,
            capture_output=True, timeout=TIME_S,
        )  # fmt: skip
    if done.returncode == 0:
        return ""
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if not last.startswith("AssertionError"):
        raise RuntimeError(f"the test did not end in an AssertionError:\n{done.stderr}")
    return last.partition(": ")[2] or "AssertionError"
