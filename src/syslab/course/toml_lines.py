"""On which line of a TOML text each value stands.

``tomllib`` gives the values and forgets where they were; a message that says "line 84" needs both.
``index`` walks the text once, after ``tomllib`` has accepted it, so it need not find errors itself.
"""

import re
import tomllib

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    |(?P<mark>[\[\]{}=,.])
    |(?P<bare>[^\s\#\[\]{}=,.'"]+)""",
    re.VERBOSE | re.DOTALL,
)


def index(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table, key and array element of a valid TOML text.

    A path is what one would subscript with: ``("modules", 1, "lessons", 0, "file")``.
    """
    return _Walk(text).lines


class _Walk:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}  # how many [[tables]] a path has had so far
        self._tokens = list(_tokens(text))
        self._at = 0
        table: Path = ()
        while self._kind() != "end":
            if self._kind() == "newline":
                self._at += 1
            elif self._text() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _text(self) -> str:
        return self._tokens[self._at][1]

    def _line(self) -> int:
        return self._tokens[self._at][2]

    def _skip_newlines(self) -> None:
        while self._kind() == "newline":
            self._at += 1

    def _header(self) -> Path:
        line = self._line()
        brackets = 2 if self._tokens[self._at + 1][1] == "[" else 1
        self._at += brackets
        names = self._key()
        self._at += brackets
        path: Path = ()
        for position, name in enumerate(names):
            path += (name,)
            last = position == len(names) - 1
            if brackets == 2 and last:
                self._arrays[path] = self._arrays.get(path, 0) + 1
                self.lines.setdefault(path, line)
            if path in self._arrays:
                path += (self._arrays[path] - 1,)
        self.lines.setdefault(path, line)
        return path

    def _key(self) -> list[str]:
        """Read ``a."b".c`` up to the token that is no part of a key."""
        names = []
        while self._kind() in ("bare", "string") or self._text() == ".":
            if self._text() != ".":
                quoted = self._kind() == "string"
                names.append(_unquote(self._text()) if quoted else self._text())
            self._at += 1
        return names

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for name in self._key():
            path += (name,)
            self.lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        self.lines.setdefault(path, self._line())
        opening = self._text() if self._kind() == "mark" else ""
        if opening not in ("[", "{"):
            while self._kind() in ("bare", "string") or self._text() == ".":  # 1.5 is three tokens
                self._at += 1
            return
        closing = {"[": "]", "{": "}"}[opening]
        self._at += 1
        element = 0
        while True:
            self._skip_newlines()
            if self._text() == closing:
                self._at += 1
                return
            if self._text() == ",":
                self._at += 1
            elif opening == "{":
                self._pair(path)
            else:
                self._value((*path, element))
                element += 1


def _tokens(text: str):
    line = 1
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # not reachable in text that tomllib accepted
            raise ValueError(f"line {line}: cannot read {text[position : position + 20]!r}")
        if match.lastgroup != "skip":
            yield str(match.lastgroup), match.group(), line
        line += match.group().count("\n")
        position = match.end()
    yield "end", "", line


def _unquote(text: str) -> str:
    return tomllib.loads(f"value = {text}")["value"]
