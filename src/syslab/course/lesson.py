"""What lesson and bench pages use: commit a prediction, reveal, answer a quick check.

predict("ridge", None, unit="FLOP/B", low=1, high=10_000)   # your number for None
reveal("ridge", hardware.ridge("bf16"), unit="FLOP/B")
quick_check("which-slot")          # from questions.toml beside the notebook
"""

from __future__ import annotations

import difflib
import functools
import html
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_committed: dict[str, Any] = {}
_offered: dict[str, Mapping[str, str]] = {}


class _Refused(ValueError):
    """A ValueError that a notebook shows as one line, without our own frames."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not committed: {self}"]


def predict(
    key: str,
    value: float | str | None,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Commit a prediction before the answer is shown.

    Parameters
    ----------
    key
        Name of the prediction on this page.
    value
        The learner's number (or option letter); None while undecided.
    unit, low, high
        What a number means and the range that is taken seriously, bounds included.
    options
        Letters and what they stand for, when the prediction is a choice.

    Raises
    ------
    ValueError
        When the value is not a number, is outside the range, or is not among the options.
    """
    if options:
        _offered[key] = dict(options)
        for letter, text in options.items():
            print(f"  {letter}) {text}")
    if value is None:
        asked = f"one letter of {', '.join(options)}" if options else f"a number{_span(low, high)}"
        suffix = f" {unit}" if unit and not options else ""
        print(f"Not committed. Write {asked}{suffix} in place of None, then run.")
        return
    if options:
        value = str(value).strip().lower()
        if value not in options:
            raise _Refused(f"prediction {value!r} is not one of {', '.join(options)}")
        shown = f"{value}) {options[value]}"
    else:
        value = _number(value)
        if (low is not None and value < low) or (high is not None and value > high):
            said = f"prediction {value:g} is not a number{_span(low, high)} {unit}".rstrip()
            raise _Refused(f"{said}: mind the unit, or think again")
        shown = f"{value:g} {unit}".strip()
    _committed[key] = value
    _record(key, value)
    print(f"Committed: {shown}. Now read on.")


def reveal(
    key: str,
    actual: float | str,
    *,
    unit: str = "",
    why: Mapping[str, str] | None = None,
    form: str = ".4g",
) -> None:
    """Show the answer beside the prediction, and by what factor it was off.

    `why` answers each tempting option (by letter) with what contradicts it.
    """
    mine = _committed.get(key, _recorded(key))
    if isinstance(actual, str):
        _reveal_choice(key, actual, mine, why or {})
        return
    suffix = f" {unit}" if unit else ""
    print(f"Answer: {format(float(actual), form)}{suffix}")
    if not isinstance(mine, (int, float)):
        print("You committed no prediction for this one.")
        return
    mine, actual = float(mine), float(actual)
    if actual == 0 or mine == 0 or mine * actual < 0:
        print(f"You predicted {mine:g}{suffix}: off by {abs(mine - actual):.3g}{suffix}.")
    else:
        factor = mine / actual
        size = f"{factor:.2g}× too high" if factor > 1 else f"{1 / factor:.2g}× too low"
        if 0.9 <= factor <= 1.1:
            size = "within 10 %"
        print(f"You predicted {mine:g}{suffix}: {size}.")


def _reveal_choice(key: str, actual: str, mine: Any, why: Mapping[str, str]) -> None:
    text = _offered.get(key, {}).get(actual)
    print(f"Answer: {actual}) {text}" if text else f"Answer: {actual}")
    if mine is None:
        print("You committed no prediction for this one.")
    elif mine == actual:
        print("Your prediction was right.")
    else:
        print(f"You chose {mine}. {why.get(mine, '')}".rstrip())


def _span(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" between {low:g} and {high:g}"
    if low is not None:
        return f" of {low:g} or more"
    return "" if high is None else f" of {high:g} or less"


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _Refused(f"prediction {value!r} is not a number") from None
    if not math.isfinite(number):
        raise _Refused(f"prediction {value!r} is not a number")
    return number


@dataclass(frozen=True)
class Question:
    """One quick check: the question, lettered choices, the right letter, feedback for each."""

    key: str
    question: str
    choices: Mapping[str, str]
    answer: str
    feedback: Mapping[str, str]

    def choose(self, letter: str) -> str:
        """The feedback for `letter`; recorded as an attempt."""
        letter = str(letter).strip().lower()
        if letter not in self.choices:
            raise _Refused(f"{letter!r} is not one of {', '.join(self.choices)}")
        right = letter == self.answer
        _record_quick(self.key, letter, right)
        return f"{'Right.' if right else 'Not quite.'} {self.feedback[letter]}"

    def text(self) -> str:
        """The question and its choices as plain text."""
        rows = [f"  {letter}) {text}" for letter, text in self.choices.items()]
        return "\n".join([f"Quick check: {self.question}", *rows])


class QuickCheck:
    """A question to click on; reads as plain text where there is no kernel."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._widget: Any = None

    def choose(self, letter: str) -> None:
        """Answer from code: prints the feedback."""
        print(self.question.choose(letter))

    def widget(self) -> Any:
        """The ipywidgets box: the question, one button per choice, the feedback."""
        if self._widget is None:
            import ipywidgets as widgets

            ask = self.question
            said = widgets.HTML()
            # Buttons, for in a list of radio buttons JupyterLab takes the arrow keys for itself.
            picks = {}
            for letter, text in ask.choices.items():
                wide = widgets.Layout(width="auto", height="auto", align_self="flex-start")
                picks[letter] = widgets.Button(description=f"{letter}) {text}", layout=wide)
                picks[letter].add_class("syslab-choice")

            def answered(letter: str) -> None:
                verdict, _, reason = ask.choose(letter).partition(". ")
                said.value = f"<p><b>{_as_html(verdict)}.</b> {_as_html(reason)}</p>"
                style = "success" if letter == ask.answer else "warning"
                for other, button in picks.items():
                    button.button_style = style if other == letter else ""

            for letter, button in picks.items():
                button.on_click(lambda _, letter=letter: answered(letter))
            asked = f"<p><b>Quick check.</b> {_as_html(ask.question)}</p>"
            title = widgets.HTML(f"{_CHOICE_STYLE}{asked}")
            self._widget = widgets.VBox([title, *picks.values(), said])
        return self._widget

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        plain = self.question.text() + "\nRun this cell, then click an answer."
        bundle = self.widget()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**(data or {}), "text/plain": plain}


# ipywidgets cuts a long label short; a choice is a sentence.
_CHOICE_STYLE = (
    "<style>.syslab-choice { white-space: normal; text-align: left; line-height: 1.45;"
    " padding: 3px 10px }</style>"
)


def _as_html(text: str) -> str:
    """`text` for a widget: escaped, with `names` in code type."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def quick_check(key: str, folder: str | Path = ".") -> QuickCheck:
    """The question `key` of ``questions.toml`` in `folder` (the notebook's own by default).

    Raises
    ------
    ValueError
        When there is no such question; names the nearest.
    """
    known = questions(folder)
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise ValueError(f"questions.toml has no question {key!r}{hint}")
    return QuickCheck(known[key])


def questions(folder: str | Path = ".") -> dict[str, Question]:
    """All questions of a module, checked: every choice has feedback, the answer is a choice.

    Raises
    ------
    ValueError
        Naming the file, the question and what it lacks.
    """
    path = Path(folder) / "questions.toml"
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: questions stand beside their notebook") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    return {key: _question(key, table, path) for key, table in tables.items()}


def _question(key: str, table: Any, path: Path) -> Question:
    if not isinstance(table, dict) or not str(table.get("question", "")).strip():
        raise ValueError(f"{path}: [{key}] needs a question")
    choices, feedback = table.get("choices", {}), table.get("feedback", {})
    if len(choices) < 2:
        raise ValueError(f"{path}: [{key}] needs two choices or more")
    if table.get("answer") not in choices:
        raise ValueError(f"{path}: [{key}] answer {table.get('answer')!r} is not a choice")
    if set(choices) != set(feedback):
        raise ValueError(f"{path}: [{key}] every choice needs feedback, and nothing else")
    if len({text.strip() for text in choices.values()}) < len(choices):
        raise ValueError(f"{path}: [{key}] two choices read the same")
    return Question(key, table["question"], choices, table["answer"], feedback)


# ------------------------------------------------------------------------------- the record


def _record(key: str, value: Any) -> None:
    try:
        from syslab.course import progress

        progress.record_prediction(_name("predict", key), value)
    except Exception as error:  # a lesson must go on without its record
        print(f"(prediction not saved: {error})")


def _recorded(key: str) -> Any:
    try:
        from syslab.course import progress

        return progress.prediction(_name("predict", key))
    except Exception:  # no record is the same as no prediction
        return None


def _record_quick(key: str, letter: str, right: bool) -> None:
    try:
        from syslab.course import progress

        progress.record_quick_check(_name("quick_check", key), letter, right)
    except Exception as error:
        print(f"(answer not saved: {error})")


def _name(call: str, key: str) -> str:
    """`key` under the name of its page in the progress record: ``arch-02/03-roofline/ridge``."""
    return f"{_page(call, key, os.getcwd())}/{key}"


@functools.cache
def _page(call: str, key: str, folder: str) -> str:
    """The manifest's key of the page this kernel runs, else ``folder/notebook``.

    JupyterLab says which notebook it is; elsewhere it is the one in `folder` that makes the call.
    """
    here = Path(folder)
    opened = here / Path(os.environ.get("JPY_SESSION_NAME", "")).name
    path = opened if opened.suffix == ".ipynb" and opened.is_file() else None
    if path is None:
        wanted = re.compile(rf"\b{call}\(\s*[\"']{re.escape(key)}[\"']")
        pages = sorted(here.glob("*.ipynb"))
        path = next((p for p in pages if wanted.search(_code(p))), None)
    if path is None:
        return here.name
    return _manifest_key(path) or f"{here.name}/{path.stem}"


def _code(path: Path) -> str:
    """All code of a notebook; empty when it is not readable."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _manifest_key(path: Path) -> str | None:
    from syslab.course import manifest, paths
    from syslab.course.errors import CourseError

    try:
        root = paths.root(path.parent)
        course = manifest.load(root / paths.MANIFEST, check_folders=False)
        shown = path.resolve().relative_to(root).as_posix()
    except (CourseError, OSError, ValueError):  # a page outside a course is a page all the same
        return None
    known = {n.path: n.key for module in course.modules for n in module.notebooks}
    return known.get(shown)
