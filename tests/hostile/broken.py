"""Submissions that are broken, odd or booby-trapped before anything runs."""

import base64
import copy
import gzip
import io
import json
import os
import socket
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import mini_course as mini
from corpus import FULL, MEMO, NONE, OTHERS, Targets, answer, case, wrong_ridge

NAME = mini.NOTEBOOK


def _stub(answer: str) -> str:
    """What nbgrader releases in the place of `answer`."""
    head = answer.split("    ### BEGIN SOLUTION")[0]
    return f"{head}    # YOUR CODE HERE\n    raise NotImplementedError()"


RIDGE_STUB, ATTAINABLE_STUB = _stub(mini.RIDGE), _stub(mini.ATTAINABLE)


def _data(folder: Path) -> dict[str, Any]:
    return json.loads((folder / NAME).read_text(encoding="utf-8"))


def _store(folder: Path, data: Any, name: str = NAME) -> None:
    (folder / name).write_text(json.dumps(data), encoding="utf-8")


def _marks(cell: dict[str, Any]) -> dict[str, Any]:
    metadata = cell["metadata"]
    return (metadata.get("nbgrader") or {}) if isinstance(metadata, dict) else {}


def _cell(data: dict[str, Any], grade_id: str) -> dict[str, Any]:
    return next(c for c in data["cells"] if _marks(c).get("grade_id") == grade_id)


def _without(data: dict[str, Any], *grade_ids: str) -> None:
    data["cells"] = [c for c in data["cells"] if _marks(c).get("grade_id") not in grade_ids]


# ------------------------------------------------------------------------- files that are not


@case(NONE, "the notebook is an empty file", "notebook-empty")
def empty_file(folder: Path, _: Targets) -> None:
    (folder / NAME).write_bytes(b"")


@case(NONE, "the notebook is 4 KiB of NUL, as a crash of the machine leaves it", "notebook-empty")
def nul_bytes(folder: Path, _: Targets) -> None:
    (folder / NAME).write_bytes(b"\0" * 4096)


@case(NONE, "the notebook is cut in the middle", "notebook-not-json")
def truncated(folder: Path, _: Targets) -> None:
    text = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(text[: len(text) // 2])


@case(NONE, "the notebook is Latin-1 text", "notebook-not-text")
def not_utf_8(folder: Path, _: Targets) -> None:
    data = _data(folder)
    _cell(data, "memo")["source"] = "Für die zweite Lösung"
    (folder / NAME).write_bytes(json.dumps(data, ensure_ascii=False).encode("latin-1"))


@case(NONE, "git left both sides of a merge in the file", "notebook-half-merged")
def half_merged(folder: Path, _: Targets) -> None:
    text = (folder / NAME).read_text(encoding="utf-8")
    lines = text.split("\n")
    lines[5:5] = ["<<<<<<< HEAD", '   "a": 1,', "=======", '   "a": 2,', ">>>>>>> mine"]
    (folder / NAME).write_text("\n".join(lines), encoding="utf-8")


@case(NONE, "metadata nested 100,000 levels deep", "notebook-too-deep")
def nested_deep(folder: Path, _: Targets) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    text = (folder / NAME).read_text(encoding="utf-8").rstrip()
    (folder / NAME).write_text(f'{{"deep": {deep},' + text[1:], encoding="utf-8")


@case(NONE, "a list where the notebook belongs", "not-a-notebook")
def list_for_notebook(folder: Path, _: Targets) -> None:
    _store(folder, [_data(folder)])


@case(NONE, "its cells are a dictionary", "not-a-notebook")
def cells_are_a_dictionary(folder: Path, _: Targets) -> None:
    data = _data(folder)
    data["cells"] = {str(i): cell for i, cell in enumerate(data["cells"])}
    _store(folder, data)


@case(FULL, "notebook format 3, with worksheets", "format-upgraded")
def format_3(folder: Path, _: Targets) -> None:
    data = _data(folder)
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            cell["input"] = cell.pop("source")
            cell["language"] = "python"
    sheets = [{"cells": data["cells"][:4]}, {"cells": data["cells"][4:]}]
    _store(folder, {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": sheets})


@case(NONE, "a notebook format that does not exist yet", "notebook-format")
def format_9(folder: Path, _: Targets) -> None:
    _store(folder, {**_data(folder), "nbformat": 9})


@case(NONE, "10,000 cells", "too-many-cells")
def ten_thousand_cells(folder: Path, _: Targets) -> None:
    data = _data(folder)
    empty = {"cell_type": "code", "metadata": {}, "source": "", "outputs": []}
    data["cells"] += [{**empty, "execution_count": None} for _ in range(10_000)]
    _store(folder, data)


@case(NONE, "100 MB of stored output in the notebook", "notebook-too-large")
def hundred_megabytes(folder: Path, _: Targets) -> None:
    data = _data(folder)
    text = {"output_type": "stream", "name": "stdout", "text": "x" * 100_000_000}
    _cell(data, "ridge")["outputs"] = [text]
    _store(folder, data)


@case(NONE, "the notebook of another assignment under its own name", "no-notebook")
def another_assignment(folder: Path, _: Targets) -> None:
    data = _data(folder)
    for cell in data["cells"]:
        if _marks(cell):
            _marks(cell)["grade_id"] = "other-" + _marks(cell)["grade_id"]
    (folder / NAME).unlink()
    _store(folder, data, "arch-05.ipynb")


@case(NONE, "a folder has the notebook's name", "no-notebook")
def folder_for_notebook(folder: Path, _: Targets) -> None:
    (folder / NAME).unlink()
    (folder / NAME).mkdir()


@case(NONE, "the folder is empty", "no-notebook")
def nothing_handed_in(folder: Path, _: Targets) -> None:
    for path in folder.iterdir():
        path.unlink()


# --------------------------------------------------------------------------- text and numbers


@case(FULL, "a byte order mark before the notebook", "encoding-mended")
def byte_order_mark(folder: Path, _: Targets) -> None:
    (folder / NAME).write_bytes(b"\xef\xbb\xbf" + (folder / NAME).read_bytes())


@case(FULL, "the notebook saved as UTF-16 by an editor", "encoding-mended")
def utf_16(folder: Path, _: Targets) -> None:
    (folder / NAME).write_bytes((folder / NAME).read_text(encoding="utf-8").encode("utf-16"))


@case(FULL, "half a surrogate pair and a NUL in a text", "encoding-mended")
def half_a_character(folder: Path, _: Targets) -> None:
    data = _data(folder)
    _cell(data, "memo")["source"] = MEMO + " \ud83d \0"
    _store(folder, data)


@case(FULL, "an integer of 10,000 digits in the metadata", "json-mended")
def endless_integer(folder: Path, _: Targets) -> None:
    text = (folder / NAME).read_text(encoding="utf-8").rstrip()
    (folder / NAME).write_text(f'{{"big": {"9" * 10_000},' + text[1:], encoding="utf-8")


@case(FULL, "NaN and Infinity, which are not JSON", "json-mended")
def not_a_number(folder: Path, _: Targets) -> None:
    data = _data(folder)
    data["metadata"]["score"] = [float("nan"), float("inf")]
    _cell(data, "test-ridge")["metadata"]["nbgrader"]["points"] = float("nan")
    _store(folder, data)


@case(FULL, "the key `cells` twice, first empty", "json-mended")
def doubled_keys(folder: Path, _: Targets) -> None:
    text = (folder / NAME).read_text(encoding="utf-8").lstrip()
    (folder / NAME).write_text('{"cells": [],' + text[1:], encoding="utf-8")


# ---------------------------------------------------------------------------- names and places


@case(FULL, "the browser called it `arch-02 (1).ipynb`", "notebook-renamed")
def renamed_by_browser(folder: Path, _: Targets) -> None:
    (folder / NAME).rename(folder / "arch-02 (1).ipynb")


@case(FULL, "saved as `arch-02_final.ipynb.txt`", "notebook-renamed")
def renamed_as_text(folder: Path, _: Targets) -> None:
    (folder / NAME).rename(folder / "arch-02_final.ipynb.txt")


@case(FULL, "two renamed versions, one with fewer answers", "several-notebooks")
def two_versions(folder: Path, _: Targets) -> None:
    (folder / NAME).rename(folder / "arch-02_final.ipynb")
    data = _data_of(folder / "arch-02_final.ipynb")
    stub = copy.deepcopy(data)
    cell = _cell(stub, "attainable")
    cell["source"] = ATTAINABLE_STUB
    _store(folder, stub, "arch-02 (1).ipynb")


def _data_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@case(NONE, "two renamed versions with as many, but other answers", "which-notebook")
def two_versions_alike(folder: Path, _: Targets) -> None:
    data = _data(folder)
    (folder / NAME).unlink()
    _store(folder, data, "arch-02_final.ipynb")
    _cell(data, "ridge")["source"] = mini.WRONG["ridge"]
    _store(folder, data, "arch-02_final_final.ipynb")


@case(OTHERS, "a fuller copy lies beside the notebook", "several-notebooks", lost="ridge")
def fuller_copy_beside(folder: Path, _: Targets) -> None:
    _store(folder, _data(folder), "arch-02-copy.ipynb")
    answer(folder, "ridge", RIDGE_STUB)


@case(FULL, "all files lie in a folder of their own", "folder-nested")
def nested_folder(folder: Path, _: Targets) -> None:
    inner = folder / "my work" / "arch-02"
    inner.mkdir(parents=True)
    for path in list(folder.iterdir()):
        if path.is_file() and path.name != "timestamp.txt":
            path.rename(inner / path.name)


@case(FULL, "file names with line feeds, quotes, bidi marks and no UTF-8", "name-left-out")
def odd_file_names(folder: Path, _: Targets) -> None:
    for name in (b"a\nb.txt", b"\xff\xfe.csv", "rtl\u202egnp.exe".encode(), b" led.txt"):
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_text("x")
    (folder / "<img src=x onerror=alert(1)>.txt").write_text("x")
    (folder / "--help").write_text("x")


@case(FULL, "numpy.py, syslab/, sitecustomize.py and other stand-ins", "shadow-left-out")
def shadowing_modules(folder: Path, _: Targets) -> None:
    fake = "raise SystemExit('a stand-in was imported')\n"
    for name in ("numpy.py", "torch.py", "sitecustomize.py", "conftest.py", "json.py"):
        (folder / name).write_text(fake)
    (folder / "ipython_config.py").write_text(fake)
    for package in ("syslab", "IPython", "evil-1.0.dist-info"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(fake)
    (folder / "mine.py").write_text("HELPER = 1\n")


@case(FULL, "folders and files in the way of the course's own files", "shadow-left-out")
def in_the_way_of_course_files(folder: Path, _: Targets) -> None:
    (folder / "bandwidth.csv").unlink()
    (folder / "bandwidth.csv").mkdir()
    (folder / "bandwidth.csv" / "mine.txt").write_text("x")


@case(FULL, "a web page beside the notebook, for the marker to open", "page-left-out")
def page_beside_the_notebook(folder: Path, _: Targets) -> None:
    (folder / "figures.html").write_text("<script>document.title = 'owned'</script>")


@case(FULL, "start-up files in hidden folders", "hidden-left-out")
def hidden_files(folder: Path, _: Targets) -> None:
    startup = folder / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import builtins; builtins.print = lambda *a, **k: None\n")
    (folder / ".env").write_text("TOKEN=1\n")


@case(FULL, "5,000 small files beside the notebook", "crowd-left-out")
def five_thousand_files(folder: Path, _: Targets) -> None:
    for number in range(5000):
        (folder / f"{number}.tmp").write_bytes(b"")


@case(FULL, "folders nested 60 levels deep", "deep-left-out")
def deep_folders(folder: Path, _: Targets) -> None:
    (folder / "/".join(["d"] * 60)).mkdir(parents=True)


@case(FULL, "a sparse file of 1 TB beside the notebook", "large-left-out", unsafe="copies 1 TB")
def sparse_terabyte(folder: Path, _: Targets) -> None:
    with open(folder / "data.bin", "wb") as file:
        file.truncate(10**12)


# ------------------------------------------------------------------- links and special files


@case(NONE, "the notebook is a symbolic link to a file of the grader", "link")
def notebook_is_a_link(folder: Path, targets: Targets) -> None:
    (folder / NAME).unlink()
    (folder / NAME).symlink_to(targets.secret)


@case(NONE, "the notebook is a hard link", "link")
def notebook_is_a_hard_link(folder: Path, targets: Targets) -> None:
    os.link(folder / NAME, targets.outside / "kept.ipynb")


@case(NONE, "the folder is a link to another student's submission", "link")
def claims_a_neighbours_folder(folder: Path, targets: Targets) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(targets.neighbour, target_is_directory=True)


@case(NONE, "the notebook is a pipe that nobody writes to", "not-a-file", unsafe="waits for ever")
def notebook_is_a_pipe(folder: Path, _: Targets) -> None:
    (folder / NAME).unlink()
    os.mkfifo(folder / NAME)


@case(FULL, "links to the secret and to /, a pipe and a socket", "special-left-out")
def special_files_beside(folder: Path, targets: Targets) -> None:
    (folder / "mine.json").unlink(missing_ok=True)
    (folder / "mine.json").symlink_to(targets.secret)
    (folder / "root").symlink_to("/", target_is_directory=True)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe.csv")
    if os.path.exists("/proc/self/fd"):  # a socket's path must be short
        here = os.open(folder, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{here}/s.sock")
        os.close(here)


# -------------------------------------------------------------------------------- archives


def _zip(folder: Path, extra: Any = None, name: str = "arch-02.zip") -> None:
    """Move the submission into a zip; `extra(archive)` adds to it."""
    paths = [p for p in folder.iterdir() if p.is_file() and p.name != "timestamp.txt"]
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"arch-02/{path.name}")
        if extra:
            extra(archive)
    for path in paths:
        path.unlink()


@case(FULL, "a harmless zip in place of the files, from a Mac", "zip-opened")
def harmless_zip(folder: Path, _: Targets) -> None:
    _zip(folder, lambda z: z.writestr("__MACOSX/arch-02/._arch-02.ipynb", b"\0\5\x16\7"))


@case(NONE, "the zip climbs into another student's folder", "zip-unsafe-path")
def zip_climbs_out(folder: Path, _: Targets) -> None:
    _zip(folder, lambda z: z.writestr("../../neighbour/arch-02/arch-02.ipynb", "{}"))


@case(NONE, "a file and a folder of the zip have the same name", "zip-unsafe-path")
def zip_of_two_minds(folder: Path, _: Targets) -> None:
    def both(archive: zipfile.ZipFile) -> None:
        archive.writestr("arch-02/notes", "x")
        archive.writestr("arch-02/notes/more", "x")

    _zip(folder, both)


@case(FULL, "paths in the zip longer than a file system takes", "deep-left-out", "name-left-out")
def zip_of_long_paths(folder: Path, _: Targets) -> None:
    def long(archive: zipfile.ZipFile) -> None:
        archive.writestr("arch-02/" + "d/" * 5000 + "x", "x")
        archive.writestr("arch-02/" + "\u00e9" * 300, "x")

    _zip(folder, long)


@case(NONE, "the zip holds an absolute path", "zip-unsafe-path")
def zip_absolute(folder: Path, targets: Targets) -> None:
    _zip(folder, lambda z: z.writestr(str(targets.outside / "planted"), "x"))


@case(NONE, "the zip holds a symbolic link", "zip-link")
def zip_with_link(folder: Path, targets: Targets) -> None:
    link = zipfile.ZipInfo("arch-02/link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    _zip(folder, lambda z: z.writestr(link, str(targets.secret)))


@case(NONE, "300 MB of zeros in a zip of 300 kB", "zip-too-large")
def zip_bomb(folder: Path, _: Targets) -> None:
    def zeros(archive: zipfile.ZipFile) -> None:
        with archive.open("arch-02/zeros", "w", force_zip64=True) as file:
            for _ in range(75):
                file.write(bytes(4_000_000))

    _zip(folder, zeros)


@case(NONE, "the notebook is the bomb, and the zip lies about its size", "zip-damaged")
def zip_that_lies(folder: Path, _: Targets) -> None:
    data = _data(folder)
    data["metadata"]["pad"] = " " * 3_000_000
    _store(folder, data)
    size_bytes = (folder / NAME).stat().st_size
    _zip(folder)
    packed = (folder / "arch-02.zip").read_bytes()
    lie = packed.replace(size_bytes.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (folder / "arch-02.zip").write_bytes(lie)


@case(NONE, "a zip inside a zip", "zip-nested")
def zip_in_zip(folder: Path, _: Targets) -> None:
    _zip(folder, name="inner.zip")
    _zip(folder)


@case(NONE, "the zip asks for a password", "zip-encrypted")
def zip_with_password(folder: Path, _: Targets) -> None:
    _zip(folder)
    packed = bytearray((folder / "arch-02.zip").read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = packed.find(signature)
        while at >= 0:
            packed[at + offset] |= 1
            at = packed.find(signature, at + 1)
    (folder / "arch-02.zip").write_bytes(bytes(packed))


@case(NONE, "the zip is cut short", "zip-damaged")
def zip_truncated(folder: Path, _: Targets) -> None:
    _zip(folder)
    packed = (folder / "arch-02.zip").read_bytes()
    (folder / "arch-02.zip").write_bytes(packed[: len(packed) // 2])


@case(NONE, "two zips, last week's and this week's", "several-archives")
def two_zips(folder: Path, _: Targets) -> None:
    _zip(folder)
    (folder / "old.zip").write_bytes((folder / "arch-02.zip").read_bytes())


@case(NONE, "a tar.gz in place of the files", "archive-kind")
def tar_in_place(folder: Path, _: Targets) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder / NAME, "arch-02.ipynb")
    (folder / NAME).unlink()
    (folder / "arch-02.tar.gz").write_bytes(gzip.compress(stream.getvalue()))


# ------------------------------------------------------------------------------------- cells


@case(FULL, "the notebook says it is written in Julia", "other-language")
def julia(folder: Path, _: Targets) -> None:
    data = _data(folder)
    spec = {"name": "julia-1.10", "display_name": "Julia 1.10", "language": "julia"}
    data["metadata"].update(kernelspec=spec, language_info={"name": "julia"})
    _store(folder, data)


@case(FULL, "numbers, None and strings among the cells", "cells-damaged")
def cells_that_are_not(folder: Path, _: Targets) -> None:
    data = _data(folder)
    data["cells"][2:2] = [7, None, "cell", {"cell_type": "code"}, {"cell_type": 3, "source": ""}]
    _store(folder, data)


@case(OTHERS, "the text of an answer is a list of numbers", "cells-damaged", lost="ridge")
def source_of_numbers(folder: Path, _: Targets) -> None:
    data = _data(folder)
    _cell(data, "ridge")["source"] = [1, 2, 3]
    _store(folder, data)


@case(FULL, "every cell has the same id", "ids-mended")
def doubled_cell_ids(folder: Path, _: Targets) -> None:
    data = _data(folder)
    for cell in data["cells"]:
        cell["id"] = "same"
    _store(folder, data)


@case(FULL, "metadata are lists, flags are text, a grade id is a number", "marks-mended")
def metadata_of_wrong_types(folder: Path, _: Targets) -> None:
    data = _data(folder)
    data["metadata"] = ["kernelspec"]
    _cell(data, "test-ridge")["metadata"] = ["nbgrader"]
    _marks(_cell(data, "attainable"))["solution"] = "yes"
    _marks(_cell(data, "test-attainable"))["points"] = {"points": 3}
    _marks(_cell(data, "setup"))["grade_id"] = 5
    _store(folder, data)


@case(FULL, "both test cells were deleted", "cells-missing")
def tests_deleted(folder: Path, _: Targets) -> None:
    data = _data(folder)
    _without(data, "test-ridge", "test-attainable")
    _store(folder, data)


@case(OTHERS, "an answer cell was deleted", "cells-missing", lost="ridge")
def answer_deleted(folder: Path, _: Targets) -> None:
    data = _data(folder)
    _without(data, "ridge")
    _store(folder, data)


@case(OTHERS, "no cell is left at all", "marks-lost", lost="ridge attainable")
def no_cells(folder: Path, _: Targets) -> None:
    data = _data(folder)
    data["cells"] = []
    _store(folder, data)


@case(FULL, "a program dropped every mark of nbgrader", "marks-lost")
def marks_dropped(folder: Path, _: Targets) -> None:
    data = _data(folder)
    for cell in data["cells"]:
        cell["metadata"] = {}
    _store(folder, data)


@case(FULL, "the answer is there twice, the right one last", "cells-doubled")
def answer_doubled(folder: Path, _: Targets) -> None:
    data = _data(folder)
    first = copy.deepcopy(_cell(data, "ridge"))
    first.update(id="pasted", source=mini.WRONG["ridge"])
    data["cells"].insert(3, first)
    _store(folder, data)


@case(FULL, "copies of a test cell whose flags are all off", "cells-doubled")
def doubled_without_flags(folder: Path, _: Targets) -> None:
    data = _data(folder)
    twin = copy.deepcopy(_cell(data, "test-ridge"))
    twin["id"] = "twin"
    _marks(twin).update(grade=False, locked=False)
    data["cells"].insert(2, twin)
    _store(folder, data)


@case(FULL, "cells of another assignment were pasted in", "cells-unknown")
def pasted_from_elsewhere(folder: Path, _: Targets) -> None:
    data = _data(folder)
    other = copy.deepcopy(_cell(data, "test-ridge"))
    other.update(id="elsewhere", source="1/0")
    _marks(other).update(grade_id="test-littles-law", points=100)
    data["cells"].append(other)
    _store(folder, data)


# ----------------------------------------------------------- changed marks, as an attack


@case(OTHERS, "the test cell has 1,000 points", lost="ridge")
def points_raised(folder: Path, _: Targets) -> None:
    wrong_ridge(folder)
    data = _data(folder)
    _marks(_cell(data, "test-ridge"))["points"] = 1000
    _store(folder, data)


@case(OTHERS, "the test cell claims to be an ungraded answer", lost="ridge")
def flags_changed(folder: Path, _: Targets) -> None:
    wrong_ridge(folder)
    data = _data(folder)
    cell = _cell(data, "test-ridge")
    _marks(cell).update(grade=False, solution=True, locked=False)
    cell["source"] = "2.0"
    _store(folder, data)


@case(OTHERS, "a tag makes the test cell be skipped", "metadata-dropped", lost="ridge")
def skipped_by_a_tag(folder: Path, _: Targets) -> None:
    wrong_ridge(folder)
    data = _data(folder)
    _cell(data, "test-ridge")["metadata"]["tags"] = ["skip-execution"]
    _store(folder, data)


@case(OTHERS, "the test cell was turned into Markdown", lost="ridge")
def made_markdown(folder: Path, _: Targets) -> None:
    wrong_ridge(folder)
    data = _data(folder)
    cell = _cell(data, "test-ridge")
    cell["cell_type"] = "markdown"
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)
    _store(folder, data)


@case(OTHERS, "the stored output of the test cell claims full points", lost="ridge")
def score_in_stored_output(folder: Path, _: Targets) -> None:
    wrong_ridge(folder)
    data = _data(folder)
    result = {"output_type": "execute_result", "execution_count": 5, "metadata": {}}
    _cell(data, "test-ridge")["outputs"] = [{**result, "data": {"text/plain": "2.0"}}]
    _store(folder, data)


@case(FULL, "handed in, it says, in the year 2999", "time-future")
def from_the_future(folder: Path, _: Targets) -> None:
    (folder / "timestamp.txt").write_text("2999-01-01 00:00:00.000000 UTC")


@case(FULL, "the time of handing in is a link to a secret", "time-mended")
def time_is_a_link(folder: Path, targets: Targets) -> None:
    (folder / "timestamp.txt").unlink()
    (folder / "timestamp.txt").symlink_to(targets.secret)


# ------------------------------------------------------------------------ aimed at the pages


@case(FULL, "scripts in the stored outputs of every cell")
def script_in_outputs(folder: Path, _: Targets) -> None:
    data = _data(folder)
    html = "<script>document.title='owned-by-output'</script>"
    output = {"output_type": "display_data", "metadata": {}}
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                {**output, "data": {"text/html": html}},
                {**output, "data": {"application/javascript": "document.title='owned'"}},
            ]
    _store(folder, data)


@case(FULL, "the written answer holds a script that would set its own grade", "active-content")
def script_in_answer(folder: Path, _: Targets) -> None:
    data = _data(folder)
    _cell(data, "memo")["source"] = (
        f"{MEMO}\n\n<script>fetch('/formgrader/api/grades',{{method:'PUT'}});"
        "document.title='owned-by-memo'</script>\n\n"
        "<img src=x onerror=\"document.title='owned-by-memo'\">"
    )
    _store(folder, data)


@case(FULL, "the page title, a tag and an attachment try to break out of the page")
def markup_in_metadata(folder: Path, _: Targets) -> None:
    data = _data(folder)
    html = "</title><script>document.title='owned-by-metadata'</script>"
    data["metadata"]["title"] = html
    data["metadata"]["authors"] = [{"name": html}]
    cell = _cell(data, "memo")
    cell["metadata"]["slideshow"] = {"slide_type": html}
    packed = base64.b64encode(html.encode()).decode()
    cell["attachments"] = {"x.png": {"text/html": packed, "image/png": [packed]}}
    _store(folder, data)
