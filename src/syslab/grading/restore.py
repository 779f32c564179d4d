"""Bring a submitted notebook back into a form that grades fairly, before nbgrader runs it."""

from __future__ import annotations

import re
from typing import Any

from nbgrader.preprocessors import OverwriteCells
from nbgrader.utils import compute_checksum

from syslab.course.workbook import insertion_index, mark


class RestoreCells(OverwriteCells):
    """nbgrader's OverwriteCells that survives what learners do to cells.

    A cell whose grade id the gradebook does not know loses its marks (nbgrader would refuse the
    notebook). The marks of a known one (graded, solution, locked, points) are set from the
    gradebook, not from the submission. Missing graded cells are put back behind the nearest
    earlier cell that is there; nbgrader raises KeyError when that one is missing too.
    """

    _cells: dict[str, tuple[dict[str, Any], str]] | None = None  # marks and source by grade id

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        self._cells = None
        return super().preprocess(nb, resources)

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        grade_id = (cell.metadata.get("nbgrader") or {}).get("grade_id")
        if grade_id is None:
            cell.metadata.pop("nbgrader", None)
            return cell, resources
        if self._cells is None:  # all at once: nbgrader asks the database four times for each
            self._cells = self._from_gradebook()
        if grade_id not in self._cells:
            self.log.warning("Cell '%s' is not part of the assignment: marks removed", grade_id)
            del cell.metadata["nbgrader"]
            return cell, resources
        marks, source = self._cells[grade_id]
        cell.metadata["nbgrader"] = dict(marks)
        self.update_cell_type(cell, marks["cell_type"])
        if marks["locked"] and compute_checksum(cell) != marks["checksum"]:
            self.log.debug("Cell '%s' differs and is set back", grade_id)
            cell.source = source
            if compute_checksum(cell) != marks["checksum"]:
                raise RuntimeError(f"Inconsistent checksums for cell {grade_id}")
        return cell, resources

    def _from_gradebook(self) -> dict[str, tuple[dict[str, Any], str]]:
        notebook = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        points = {c.name: c.max_score for c in (*notebook.grade_cells, *notebook.task_cells)}
        graded, tasks, solutions = (
            {cell.name for cell in cells}
            for cells in (notebook.grade_cells, notebook.task_cells, notebook.solution_cells)
        )
        found = {}
        for cell in notebook.source_cells:
            marks = {
                "schema_version": 3,
                "grade_id": cell.name,
                "grade": cell.name in graded,
                "solution": cell.name in solutions,
                "locked": cell.locked,
                "task": cell.name in tasks,
                "cell_type": cell.cell_type,
                "checksum": cell.checksum,
            }
            if cell.name in points:
                marks["points"] = points[cell.name]
            found[cell.name] = (marks, cell.source)
        return found

    def add_missing_grade_cells(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        source = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        order = [cell.name for cell in source.source_cells]
        texts = {cell.name: cell for cell in source.source_cells}
        solutions = {cell.name for cell in source.solution_cells}
        points = {cell.name: cell.max_score for cell in source.grade_cells}
        marks = [mark(cell) for cell in nb.cells]
        for grade_id in order:
            if grade_id not in points or grade_id in marks:
                continue
            self.log.warning("Graded cell '%s' is missing and is put back", grade_id)
            cell = self.missing_cell_transform(
                texts[grade_id], points[grade_id], is_solution=grade_id in solutions
            )
            cell["id"] = "restored-" + re.sub(r"[^A-Za-z0-9_-]", "-", grade_id)[:50]
            at = insertion_index(marks, order, grade_id)
            nb.cells.insert(at, cell)
            marks.insert(at, grade_id)
        return nb, resources
