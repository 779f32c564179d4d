"""A notebook as percent text, to read and edit in a terminal or an editor."""

from __future__ import annotations

from typing import Any


def view(notebook: Any, outputs: bool = False) -> str:
    """The notebook as ``# %%`` text; with `outputs`, text outputs follow as comments."""
    import copy

    import jupytext

    notebook = copy.deepcopy(notebook)
    if outputs:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source += _as_comments(cell.outputs)
    notebook.metadata = {"jupytext": {"notebook_metadata_filter": "-all"}}
    for cell in notebook.cells:
        cell.pop("attachments", None)
    return jupytext.writes(notebook, fmt="py:percent")


def apply(text: str, notebook: Any | None) -> Any:
    """Edited percent text laid over `notebook`: outputs and attachments of kept cells survive."""
    import jupytext
    from jupytext.combine import combine_inputs_with_outputs

    edited = jupytext.reads(text, fmt="py:percent")
    if notebook is None:
        return edited
    attachments = {
        cell.source: cell.attachments for cell in notebook.cells if cell.get("attachments")
    }
    merged = combine_inputs_with_outputs(edited, notebook, fmt="py:percent")
    for cell in merged.cells:
        if cell.source in attachments:
            cell["attachments"] = attachments[cell.source]
    return merged


def _as_comments(outputs: list[Any]) -> str:
    lines: list[str] = []
    for output in outputs:
        if output.output_type == "stream":
            text = output.text
        elif output.output_type == "error":
            text = f"{output.ename}: {output.evalue}"
        else:
            text = output.data.get("text/plain", "")
            if "image/png" in output.data:
                text = f"[picture] {text}"
        lines += ["#> " + line for line in "".join(text).rstrip("\n").split("\n")]
    return "\n" + "\n".join(lines) if lines else ""
