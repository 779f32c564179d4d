"""What lesson and bench pages use: commit a prediction, reveal, answer a quick check.

predict("ridge", None, unit="FLOP/B", low=1, high=10_000)   # your number for None
reveal("ridge", hardware.ridge("bf16"), unit="FLOP/B")
quick_check("which-slot")          # from questions.toml beside the notebook
"""

from __future__ import annotations

import html
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_committed: dict[str, Any] = {}


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
        When the number is outside the range or the letter is not among the options.
    """
    if options:
        for letter, text in options.items():
            print(f"  {letter}) {text}")
    if value is None:
        if options:
            print(f"Not committed. Write one letter of {', '.join(options)} in place of None.")
        else:
            span = "" if low is None or high is None else f" between {low:g} and {high:g}"
            suffix = f" {unit}" if unit else ""
            print(f"Not committed. Write a number{span}{suffix} in place of None, then run.")
        return
    if options:
        value = str(value).strip().lower()
        if value not in options:
            raise ValueError(f"prediction {value!r} is not one of {', '.join(options)}")
        shown = f"{value}) {options[value]}"
    else:
        value = float(value)
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"prediction {value:g} is outside {low:g} to {high:g} {unit}".strip())
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
        print(f"Answer: {actual}")
        if mine is None:
            print("You committed no prediction for this one.")
        elif mine == actual:
            print("Your prediction was right.")
        else:
            print(f"You chose {mine}. {(why or {}).get(mine, '')}".rstrip())
        return
    suffix = f" {unit}" if unit else ""
    print(f"Answer: {format(float(actual), form)}{suffix}")
    if mine is None:
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
            raise ValueError(f"{letter!r} is not one of {', '.join(self.choices)}")
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
            picks = widgets.RadioButtons(
                options=[(f"{k}) {v}", k) for k, v in ask.choices.items()],
                index=None,
                layout=widgets.Layout(width="auto"),
            )

            def answered(change: Any) -> None:
                if change["new"] is not None:
                    said.value = f"<b>{html.escape(ask.choose(change['new']))}</b>"

            picks.observe(answered, names="value")
            title = widgets.HTML(f"<p><b>Quick check.</b> {html.escape(ask.question)}</p>")
            self._widget = widgets.VBox([title, picks, said])
        return self._widget

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        plain = self.question.text() + "\nRun this cell, then click an answer."
        bundle = self.widget()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**(data or {}), "text/plain": plain}


def quick_check(key: str, folder: str | Path = ".") -> QuickCheck:
    """The question `key` of ``questions.toml`` in `folder` (the notebook's own by default)."""
    return QuickCheck(questions(folder)[key])


def questions(folder: str | Path = ".") -> dict[str, Question]:
    """All questions of a module, checked: every choice has feedback, the answer is a choice.

    Raises
    ------
    ValueError
        Naming the question and what it lacks.
    """
    path = Path(folder) / "questions.toml"
    with path.open("rb") as file:
        tables = tomllib.load(file)
    found = {}
    for key, table in tables.items():
        choices, feedback = table.get("choices", {}), table.get("feedback", {})
        if table.get("answer") not in choices:
            raise ValueError(f"{path}: [{key}] answer {table.get('answer')!r} is not a choice")
        if set(choices) != set(feedback):
            raise ValueError(f"{path}: [{key}] every choice needs feedback, and nothing else")
        found[key] = Question(key, table["question"], choices, table["answer"], feedback)
    return found


def _record(key: str, value: Any) -> None:
    try:
        from syslab.course import progress

        progress.record_prediction(key, value)
    except Exception as error:  # a lesson must go on without its record
        print(f"(prediction not saved: {error})")


def _recorded(key: str) -> Any:
    try:
        from syslab.course import progress

        return progress.prediction(key)
    except Exception:  # no record is the same as no prediction
        return None


def _record_quick(key: str, letter: str, right: bool) -> None:
    try:
        from syslab.course import progress

        progress.record_quick_check(key, letter, right)
    except Exception as error:
        print(f"(answer not saved: {error})")
