"""Reading a notebook in JupyterLab changes nothing that git would show."""

import copy
import json

from syslab.course import lab
from syslab.course.notebooks import canonical


def test_the_kernels_details_are_not_saved(course_root):
    path = course_root / "START.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    saved = copy.deepcopy(notebook)
    saved["metadata"]["language_info"] |= {"version": "3.12.1", "file_extension": ".py"}
    lab.tidy_before_saving({"type": "notebook", "content": saved}, path="START.ipynb")
    assert saved == notebook


def test_another_language_is_left_alone():
    content = {"metadata": {"kernelspec": {"name": "ir"}, "language_info": {"name": "R"}}}
    before = copy.deepcopy(content)
    lab.tidy_before_saving({"type": "notebook", "content": content})
    assert content == before


def test_files_that_are_no_notebooks_are_left_alone():
    model = {"type": "file", "content": "text"}
    lab.tidy_before_saving(model)
    assert model == {"type": "file", "content": "text"}


def test_jupyterlab_is_told_to_tidy(course_root):
    settings = json.loads((course_root / ".jupyter/jupyter_server_config.json").read_text())
    hook = settings["FileContentsManager"]["pre_save_hook"]
    assert hook == f"{lab.__name__}.{lab.tidy_before_saving.__name__}"
    assert canonical.LANGUAGE_INFO == {"name": "python"}
