"""Metric formulas over event names: which events, what unit, can it divide by zero?

A formula is arithmetic on event names and numbers, with ``max``, ``min`` and ``x if y else z``:
``1000 * LONGEST_LAT_CACHE.MISS / INST_RETIRED.ANY``.
"""

import ast
import re
from collections.abc import Callable, Mapping

_NAME = re.compile(r"(?<![\w.])[A-Za-z_][\w.:]*(?:=\d+)?")
_WORDS = {"max", "min", "if", "else", "and", "or", "not"}
_ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.IfExp,
    ast.Compare,
    ast.BoolOp,
    ast.cmpop,
    ast.boolop,
    ast.unaryop,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
)

Unit = tuple[tuple[str, int], ...]


class Formula:
    """A parsed formula.

    Raises
    ------
    ValueError
        The text is not arithmetic on event names.
    """

    def __init__(self, text: str):
        self.text = text
        self._event_of: dict[str, str] = {}
        try:
            self._tree = ast.parse(_NAME.sub(self._placeholder, text), mode="eval")
        except SyntaxError as error:
            raise ValueError(f"formula {text!r} cannot be read: {error.msg}") from error
        for node in ast.walk(self._tree):
            known_call = not isinstance(node, ast.Call) or (
                isinstance(node.func, ast.Name) and node.func.id in ("max", "min")
            )
            number = not isinstance(node, ast.Constant) or isinstance(node.value, (int, float))
            if not isinstance(node, _ALLOWED) or not known_call or not number:
                raise ValueError(
                    f"formula {text!r} may only use + - * /, max, min, if/else, "
                    "numbers and event names"
                )

    def _placeholder(self, found: re.Match) -> str:
        if found.group() in _WORDS:
            return found.group()
        key = f"event_{len(self._event_of)}"
        self._event_of[key] = found.group()
        return key

    @property
    def events(self) -> tuple[str, ...]:
        """Distinct event names, in order of first use."""
        return tuple(dict.fromkeys(self._event_of.values()))

    def value(self, readings: Mapping[str, float]) -> float:
        """The metric for these readings; `KeyError` names an event that was not read."""
        for event in self.events:
            if event not in readings:
                raise KeyError(f"{event} is in the formula but was not read")
        names = {key: readings[event] for key, event in self._event_of.items()}
        code = compile(self._tree, "<formula>", "eval")
        return eval(code, {"__builtins__": {}, "max": max, "min": min}, names)

    def unit(self, unit_of: Mapping[str, str]) -> tuple[Unit | None, list[str]]:
        """Unit of the result (None when only numbers) and one message per impossible sum."""
        clashes: list[str] = []

        def walk(node) -> Unit | None:
            if isinstance(node, ast.Name):
                return parse_unit(unit_of[self._event_of[node.id]])
            if isinstance(node, ast.UnaryOp):
                return walk(node.operand)
            if isinstance(node, ast.IfExp):
                return agree(node.body, node.orelse)
            if isinstance(node, ast.Call):
                return agree(*node.args)
            if isinstance(node, ast.BinOp):
                if isinstance(node.op, (ast.Add, ast.Sub)):
                    return agree(node.left, node.right)
                left, right = walk(node.left), walk(node.right)
                if left is None and right is None:
                    return None
                sign = -1 if isinstance(node.op, ast.Div) else 1
                return _product(left or (), right or (), sign)
            return None  # a number takes the unit of what it meets

        def agree(*nodes) -> Unit | None:
            units = [unit for unit in map(walk, nodes) if unit is not None]
            for other in units[1:]:
                if other != units[0]:
                    clashes.append(f"{unit_text(units[0])} and {unit_text(other)}")
            return units[0] if units else None

        return walk(self._tree.body), clashes

    def unguarded_divisors(self, never_zero: Callable[[str], bool]) -> list[str]:
        """Events in a divisor that may be zero and that no ``max`` or ``if`` protects."""
        found: list[str] = []

        def events_in(node) -> set[str]:
            return {
                self._event_of[n.id]
                for n in ast.walk(node)
                if isinstance(n, ast.Name) and n.id in self._event_of
            }

        def safe(node, tested: set[str]) -> bool:
            if isinstance(node, ast.Constant):
                return node.value != 0
            if isinstance(node, ast.Name):
                event = self._event_of[node.id]
                return event in tested or never_zero(event)
            if isinstance(node, ast.Call) and node.func.id == "max":
                return any(safe(argument, tested) for argument in node.args)
            if isinstance(node, ast.BinOp):
                parts = safe(node.left, tested), safe(node.right, tested)
                if isinstance(node.op, ast.Add):  # counts are not negative
                    return any(parts) or events_in(node) <= tested
                return all(parts) and not isinstance(node.op, ast.Sub)
            return False

        def walk(node, tested: set[str]) -> None:
            if isinstance(node, ast.IfExp):
                walk(node.body, tested | events_in(node.test))
                walk(node.orelse, tested)
                return
            if (
                isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Div)
                and not safe(node.right, tested)
            ):
                found.extend(sorted(e for e in events_in(node.right) if not never_zero(e)))
            for child in ast.iter_child_nodes(node):
                walk(child, tested)

        walk(self._tree.body, set())
        return list(dict.fromkeys(found))


def parse_unit(text: str) -> Unit:
    """``"slots/cycles"`` to powers of base units; ``"1"`` has none."""
    above, *below = text.split("/")
    unit: Unit = ()
    for sign, part in ((1, above), *((-1, p) for p in below)):
        for word in part.split("*"):
            word = word.strip()
            if word and word != "1":
                unit = _product(unit, ((word, 1),), sign)
    return unit


def unit_text(unit: Unit) -> str:
    """A unit as it is written: ``"misses/instructions"``."""
    above = [name for name, power in unit for _ in range(power)]
    below = [name for name, power in unit for _ in range(-power)]
    return "/".join(["*".join(above) or "1", *below])


def _product(left: Unit, right: Unit, sign: int) -> Unit:
    powers = dict(left)
    for name, power in right:
        powers[name] = powers.get(name, 0) + sign * power
    return tuple(sorted((name, power) for name, power in powers.items() if power))
