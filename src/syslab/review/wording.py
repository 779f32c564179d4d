"""Whether a claim names a cause.

A cause is given as alternatives such as ``"manifest* & before|first & shard*"``: every group
between ``&`` must be hit by one of its terms, and a group that begins with ``!`` by none.  Before
that the claim must be one statement:

- a list of keywords names nothing, nor does a claim that names more than three causes;
- a clause that dismisses ("there is no race here", "this looks fine") does not count.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise

MOST_CAUSES = 3
_LIST_SEGMENTS, _SEGMENT_WORDS = 4, 3
_GAP = 2  # words that may stand between two words of a term
_FUZZY_FROM = 7  # letters from which one mistyped letter is forgiven


@dataclass(frozen=True)
class Verdict:
    """Whether the claim names the cause; if not, why not, as the rest of a sentence."""

    named: bool
    why_not: str = ""


@lru_cache(4096)
def names(claim: str, alternatives: tuple[str, ...], suggestion: str = "") -> Verdict:
    """Say whether `claim` names the cause that `alternatives` describe.

    Parameters
    ----------
    claim : str
        What the reviewer wrote.
    alternatives : tuple of str
        Patterns, see the module; one that fits is enough.
    suggestion : str
        Read together with a claim that says something, as "write the manifest last" says what is
        wrong now.
    """
    tokens, why_not = _read(claim, suggestion)
    if why_not:
        return Verdict(False, why_not)
    if not any(_fits(pattern, tokens) for pattern in alternatives):
        return Verdict(False, "the claim does not name the cause")
    named = _causes(tokens)
    if len(named) > MOST_CAUSES:
        return Verdict(
            False, f"the claim names {len(named)} causes; a comment makes one point "
            f"(at most {MOST_CAUSES} may occur in it)"
        )  # fmt: skip
    return Verdict(True)


@lru_cache(4096)
def _read(claim: str, suggestion: str) -> tuple[tuple[str, ...], str]:
    """The words that count of a claim and its suggestion, or why none does."""
    if _is_list(claim):
        return (), "the claim is a list of keywords: write one sentence"
    said = _said(claim)
    if not said:
        return (), "the claim dismisses the problem"
    if suggestion and not _is_list(suggestion):
        said += _said(suggestion)
    return tuple(_tokens(" . ".join(said))), ""


def dismisses(claim: str) -> bool:
    """Whether `claim` says no more than that there is nothing wrong: "this looks fine"."""
    return not _said(claim)


def causes_named(claim: str) -> tuple[str, ...]:
    """Keys of the causes of the catalogue that occur in `claim`."""
    return _causes(_tokens(" . ".join(_said(claim))))


def _causes(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(key for key, cause in catalogue().items() if _fits(cause["words"], tokens))


@cache
def catalogue() -> dict[str, dict]:
    """The causes that are planted: key -> {"name", "ask", "words"}."""
    return _toml("causes.toml")


@cache
def sets() -> dict[str, tuple[str, ...]]:
    """Sets of synonyms that a pattern inserts by ``@name``."""
    return {key: tuple(_split(value, "|")) for key, value in _toml("words.toml")["sets"].items()}


@cache
def _plain(name: str) -> frozenset[str]:
    """Words of ordinary language by which a dismissal or a mere list is recognised."""
    return frozenset(_toml("words.toml")["plain"][name].split())


@cache
def _short() -> dict[str, str]:
    """Contractions, also those without their apostrophe, in full."""
    return _toml("words.toml")["short"]


@cache
def _problems() -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(term.split()) for term in sets()["problem"])


def check_pattern(pattern: str) -> None:
    """Raise ValueError where `pattern` is not of the form ``a|b* & c d & @set``."""
    if not isinstance(pattern, str):
        raise ValueError(f"a pattern of words is a string, not {pattern!r}")
    groups = _groups(pattern)
    if not any(wanted for wanted, _ in groups) or not all(terms for _, terms in groups):
        raise ValueError(f"the pattern {pattern!r} has an empty group: write 'a|b* & c'")


def _toml(name: str) -> dict:
    path = resources.files("syslab.review") / "data" / name
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _split(text: str, at: str) -> list[str]:
    return [part.strip() for part in text.split(at) if part.strip()]


@cache
def _groups(pattern: str) -> tuple[tuple[bool, tuple[tuple[str, ...], ...]], ...]:
    """Pairs (to be hit, terms); a term is a tuple of words."""
    groups = []
    for group in pattern.split("&"):
        terms: list[str] = []
        wanted = not group.strip().startswith("!")
        for term in _split(group.strip().removeprefix("!"), "|"):
            if term.startswith("@"):
                if term[1:] not in sets():
                    raise ValueError(
                        f"the pattern {pattern!r} names the set {term}; there are "
                        + ", ".join(f"@{name}" for name in sets())
                    )
                terms += sets()[term[1:]]
            else:
                terms.append(term)
        split = tuple(tuple(_tokens(term, stars=True)) for term in terms)
        for term, words in zip(terms, split, strict=True):
            if not words:
                raise ValueError(
                    f"the pattern {pattern!r} has the term {term!r}, which holds no word: a term "
                    "needs a letter or a digit, as signs are not read in a claim"
                )
        groups.append((wanted, split))
    return tuple(groups)


def _fits(pattern: str, tokens: Sequence[str]) -> bool:
    return all(
        any(_occurs(term, tokens) for term in terms) is wanted for wanted, terms in _groups(pattern)
    )


def _occurs(term: tuple[str, ...], tokens: Sequence[str]) -> bool:
    """Whether the words of `term` follow one another, with at most two words between."""
    starts = [at for at, token in enumerate(tokens) if _same(term[0], token)]
    for at in starts:
        here = at
        for word in term[1:]:
            window = tokens[here + 1 : here + 2 + _GAP]
            if "." in window:
                window = window[: window.index(".")]
            step = next((i for i, token in enumerate(window) if _same(word, token)), None)
            if step is None:
                break
            here += 1 + step
        else:
            return True
    return False


def _same(word: str, token: str) -> bool:
    if word.endswith("*"):
        stem = word[:-1]
        if token.startswith(stem):
            return True
        near = len(stem) >= _FUZZY_FROM - 1 and token[:1] == stem[:1]
        return near and any(
            _one_off(stem, token[:n]) for n in (len(stem) - 1, len(stem), len(stem) + 1)
        )
    return token == word or (
        len(word) >= _FUZZY_FROM and token[:1] == word[:1] and _one_off(word, token)
    )


def _one_off(a: str, b: str) -> bool:
    """Whether one letter was changed, left out, added or swapped with its neighbour."""
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    i = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        swapped = a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :]
        return a[i + 1 :] == b[i + 1 :] or swapped
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[i + 1 :] == shorter[i:]


def _tokens(text: str, stars: bool = False) -> list[str]:
    """Lower-case words; identifiers fall apart at underscores, ``n²`` is ``n 2``."""
    text = text.lower().replace("²", " 2 ").replace("’", "'")
    text = re.sub(r"n't\b", " not", text)
    found = re.findall(r"[a-z0-9]+\*?|\.(?=\s)" if stars else r"[a-z0-9]+|\.(?=\s|$)", text)
    words: list[str] = []
    for word in found:
        words += _short().get(word, word).split()
    return words


def _said(claim: str) -> list[str]:
    """The clauses of `claim` that do not dismiss."""
    kept: list[str] = []
    for sentence in re.split(r"[.;:!?](?:\s|$)|\n|\bbut\b|\bhowever\b|\balthough\b", claim):
        clauses = [(clause, _tokens(clause)) for clause in sentence.split(",") if clause.strip()]
        if len(clauses) > 1 and _reassures(clauses[-1][1]):
            continue  # "..., looks fine" speaks of everything before it
        kept += [c for c, tokens in clauses if not (_reassures(tokens) or _dismisses(tokens))]
    return kept


def _reassures(tokens: list[str]) -> bool:
    """Whether a clause says that something is well: "this looks fine"."""
    if "lgtm" in tokens or ("race", "free") in pairwise(tokens):
        return True
    for at, token in enumerate(tokens):
        # "without a lock looks fine" reassures; "is not safe" does not.
        denied = (_plain("negator") - {"without"}) & set(tokens[max(0, at - 4) : at])
        if token in _plain("well") and not denied:
            says = _plain("says") & set(tokens[max(0, at - 3) : at])
            if says and not _plain("only") & set(tokens[at + 1 : at + 2]):
                return True
    return False


def _dismisses(tokens: list[str]) -> bool:
    """Whether a clause denies a problem: "there is no race"."""
    return any(
        token in _plain("negator")
        and not _plain("duty") & set(tokens[max(0, at - 2) : at])
        and _denies(tokens[at + 1 : at + 5])
        for at, token in enumerate(tokens)
    )


def _denies(following: list[str]) -> bool:
    """Whether the words after a "no" come to a problem: "no *real race*", not "no *lock*"."""
    for at, token in enumerate(following):
        for term in _problems():
            if len(following) >= at + len(term) and all(map(_same, term, following[at:])):
                return not _plain("guard") & set(following[at + 1 : at + 2])
        if token not in _plain("between"):
            return False
    return False


def _is_list(claim: str) -> bool:
    words = _tokens(claim)
    segments = [s for s in re.split(r"[,;/|\n&+]|\band\b|\bor\b", claim.lower()) if s.strip()]
    short = sum(len(_tokens(segment)) <= _SEGMENT_WORDS for segment in segments)
    if short >= _LIST_SEGMENTS:
        return True
    words = [word for word in words if word != "."]
    return len(words) >= 8 and sum(word in _plain("function") for word in words) < len(words) / 12
