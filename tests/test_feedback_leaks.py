"""No way of showing a hidden test gets its text onto a feedback page."""

import base64
import html
import textwrap

import nbformat
import pytest

from syslab.grading import feedback

SECRET = 'check.value("a slow memory", lambda: ridge_of(989e12, 1e12), 989.0)'
TEST = f"""check = Check("arch-02/ridge", points=2)
### BEGIN HIDDEN TESTS
with check.hidden():
    {SECRET}
### END HIDDEN TESTS
check.score()"""
COLOURED = SECRET.replace("lambda", "\x1b[38;5;28mlambda\x1b[39m")


def shown(output):
    """Everything of an output as it stands in the notebook of the page."""
    answer = nbformat.v4.new_code_cell("print(In)", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TEST), answer])
    return str(feedback.hide(notebook).cells)


def stream(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def data(mime, text):
    return nbformat.v4.new_output("display_data", data={mime: text})


@pytest.mark.parametrize(
    "output",
    [
        stream(f"before\n{SECRET}\nafter"),
        stream(f"     12 {SECRET}"),
        stream(COLOURED),
        stream("\n".join(textwrap.wrap(SECRET, 30))),
        stream(repr([TEST])),
        data("text/plain", repr(SECRET)),
        data("text/html", f"<pre>{html.escape(SECRET)}</pre>"),
        data("text/markdown", f"`{SECRET}`"),
        data("text/latex", SECRET),
        data("image/svg+xml", f"<svg><text>{html.escape(SECRET)}</text></svg>"),
        data("application/javascript", f"alert({SECRET!r})"),
        nbformat.v4.new_output("error", ename="E", evalue=SECRET, traceback=[COLOURED]),
        nbformat.v4.new_output("error", ename=SECRET, evalue="", traceback=[]),
    ],
)
def test_the_text_of_a_hidden_test_is_not_on_the_page(output):
    text = shown(output)
    assert "989" not in text
    assert "a slow memory" not in text
    assert feedback.HIDDEN_LINE in text


@pytest.mark.parametrize(
    "output",
    [
        stream("FAIL (hidden)  a slow memory: off by a factor of 8\n"),
        stream("989e12 FLOP/s over 1e12 B/s are 989.0 FLOP/B\n"),
        data("image/png", base64.b64encode(b"picture").decode()),
        nbformat.v4.new_output("error", ename="KeyError", evalue="'L3'", traceback=["line 3"]),
    ],
)
def test_reasons_and_the_learners_own_output_stay(output):
    text = shown(nbformat.from_dict(output))
    assert str(output) in text
    assert feedback.HIDDEN_LINE not in text
