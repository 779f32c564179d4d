"""Bring a submitted notebook back into a form that grades fairly, before nbgrader runs it."""

from __future__ import annotations

import re
from typing import Any

from nbgrader.api import MissingEntry
from nbgrader.preprocessors import OverwriteCells

from syslab.course.workbook import insertion_index, mark


class RestoreCells(OverwriteCells):
    """nbgrader's OverwriteCells that survives what learners do to cells.

    A cell whose grade id the gradebook does not know loses its marks (nbgrader would refuse the
    notebook). The marks of a known one (graded, solution, locked, points) are set from the
    gradebook, not from the submission. Missing graded cells are put back behind the nearest
    earlier cell that is there; nbgrader raises KeyError when that one is missing too.
    """

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        grade_id = (cell.metadata.get("nbgrader") or {}).get("grade_id")
        if grade_id is None:
            cell.metadata.pop("nbgrader", None)
            return cell, resources
        try:
            known = self.gradebook.find_source_cell(grade_id, self.notebook_id, self.assignment_id)
        except MissingEntry:
            self.log.warning("Cell '%s' is not part of the assignment: marks removed", grade_id)
            del cell.metadata["nbgrader"]
            return cell, resources
        cell.metadata["nbgrader"] = self._marks(known)
        self.update_cell_type(cell, known.cell_type)
        return super().preprocess_cell(cell, resources, cell_index)

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

    def _marks(self, source_cell: Any) -> dict[str, Any]:
        notebook = source_cell.notebook
        points = {c.name: c.max_score for c in (*notebook.grade_cells, *notebook.task_cells)}
        name = source_cell.name
        task = any(c.name == name for c in notebook.task_cells)
        marks = {
            "schema_version": 3,
            "grade_id": name,
            "grade": any(c.name == name for c in notebook.grade_cells),
            "solution": any(c.name == name for c in notebook.solution_cells),
            "locked": source_cell.locked,
            "task": task,
            "cell_type": source_cell.cell_type,
            "checksum": source_cell.checksum,
        }
        if name in points:
            marks["points"] = points[name]
        return marks
