#!/usr/bin/env python3
"""Make the four variants of source/code-review, and seal what is planted into its hidden tests.

    .venv/bin/python scripts/seal_truths.py            # write what is out of date
    .venv/bin/python scripts/seal_truths.py --check    # only say so; exit status 1 then

Reads pulls/ and truths/, where every change has three defects: a blocker, a major, a minor. A
variant plants two of them in each change. Writes variant-1.txt to variant-4.txt (released) and, in
code-review.ipynb, the lines from `planted = (` to `left_out = ...` of each hidden test.
"""

import sys
from pathlib import Path

from syslab import review
from syslab.course.notebooks import canonical
from syslab.course.oracles import code_review
from syslab.review.form import Pull
from syslab.review.proof import repaired
from syslab.review.truths import Defect, Truth

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "source" / "code-review"
# Which of the three is left out of the i-th change: in each variant every one of them four times.
# The first three variants agree nowhere, the fourth agrees with each of them in four changes.
LEFT_OUT = (
    lambda i: i % 3,
    lambda i: (i + 1) % 3,
    lambda i: (i + 2) % 3,
    lambda i: (i + i // 4) % 3,
)


def truth_of(name: str) -> Truth:
    """What is planted in the change `name`, all of it."""
    return review.load_truth(SOURCE, review.pull(name, SOURCE))


def left_out(name: str) -> tuple[Defect, ...]:
    """The defect that is repaired in each of the four variants."""
    by_weight = sorted(truth_of(name).defects, key=lambda defect: -defect.weight)
    at = review.pulls(SOURCE).index(name)
    return tuple(by_weight[choose(at)] for choose in LEFT_OUT)


def text_of(pull: Pull, tree: dict[str, str]) -> str:
    """The TOML of `pull` with the new files of `tree`."""
    parts = [f"title = {_quoted(pull.title)}", f"description = {_quoted(pull.description)}"]
    for each in pull.files:
        parts += ["", "[[file]]", f"path = {_quoted(each.path)}"]
        parts += [f"before = {_quoted(each.before)}", f"after = {_quoted(tree[each.path])}"]
    return "\n".join(parts) + "\n"


def variant(number: int) -> str:
    """The packed text of variant `number`."""
    texts = {}
    for name in review.pulls(SOURCE):
        pull = review.pull(name, SOURCE)
        texts[name] = text_of(pull, repaired(pull, [left_out(name)[number - 1]]))
    return code_review.pack(texts)


def sealed_lines(name: str) -> str:
    """The lines of the hidden test of `name` that hold its truth."""
    text = (SOURCE / "truths" / f"{name}.toml").read_text(encoding="utf-8")
    sealed = review.seal(text)
    pieces = [sealed[at : at + 90] for at in range(0, len(sealed), 90)]
    ids = ", ".join(f'"{defect.id}"' for defect in left_out(name))
    return "planted = (\n" + "\n".join(f'    "{p}"' for p in pieces) + f")\nleft_out = ({ids})\n"


def with_truth(source: str, name: str) -> str:
    """The test cell `source` with the truth of `name` as it is on file."""
    head, found, rest = source.partition("planted = (\n")
    if not found:
        raise ValueError(f"the hidden test of {name} has no line 'planted = ('")
    tail = rest[rest.index("left_out = (") :].partition("\n")[2]
    return head + sealed_lines(name) + tail


def _quoted(text: str) -> str:
    """`text` as a basic TOML string, on one line."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def main(check: bool) -> int:
    late = []
    for number in code_review.VARIANTS:
        path = SOURCE / f"variant-{number}.txt"
        wanted = variant(number)
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            late.append(path.name)
            if not check:
                path.write_text(wanted, encoding="utf-8")
    path = SOURCE / "code-review.ipynb"
    if path.is_file():
        notebook = canonical.read(path)
        tests = {f"test-{name}": name for name in review.pulls(SOURCE)}
        stale = []
        for cell in notebook.cells:
            name = tests.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
            if name and (wanted := with_truth(cell.source, name)) != cell.source:
                stale.append(name)
                cell.source = wanted
        late += [f"{path.name}, test-{name}" for name in stale]
        if stale and not check:
            canonical.write(notebook, path)
    for each in late:
        print("out of date:" if check else "written:", each)
    return 1 if check and late else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
