"""Every pull request of the package: it reads, compiles, and its defects bite."""

import ast
from collections import Counter

import pytest

from syslab.review import load_truth, names, pull, pulls
from syslab.review.comments import MOST_WORDS, WEIGHTS
from syslab.review.form import read_pull
from syslab.review.proof import failure, repaired
from syslab.review.truths import lines_of, seal
from syslab.review.wording import MOST_CAUSES, catalogue, causes_named

NAMES = pulls()
PULLS = {name: pull(name) for name in NAMES}
TRUTHS = {name: load_truth(name, PULLS[name]) for name in NAMES}
DEFECTS = [pytest.param(n, d, id=f"{n}/{d.id}") for n in NAMES for d in TRUTHS[n].defects]
DECOYS = [pytest.param(n, d, id=f"{n}/{d.id}") for n in NAMES for d in TRUTHS[n].decoys]


def test_ten_pull_requests_with_at_least_ten_causes():
    causes = Counter(defect.cause for truth in TRUTHS.values() for defect in truth.defects)
    assert len(NAMES) >= 10
    assert len(causes) >= 10
    assert {
        "race", "unbounded-retry", "kv-size", "token-in-log", "quadratic", "downcast",
        "migration", "flaky", "benchmark",
    } <= set(causes)  # fmt: skip
    assert set(causes) <= set(catalogue())


@pytest.mark.parametrize("name", NAMES)
def test_size_and_number_of_plants(name):
    assert 30 <= PULLS[name].size_lines <= 90
    assert 1 <= len(TRUTHS[name].defects) <= 4
    assert 1 <= len(TRUTHS[name].decoys) <= 3


@pytest.mark.parametrize("name", NAMES)
def test_before_after_and_repaired_compile(name):
    fixed = repaired(PULLS[name], TRUTHS[name].defects)
    for file in PULLS[name].files:
        for text in (file.before, file.after, fixed[file.path]):
            ast.parse(text)
        assert max(map(len, file.after.splitlines())) <= 100
    assert fixed != {file.path: file.after for file in PULLS[name].files}


@pytest.mark.parametrize(("name", "defect"), DEFECTS)
def test_defect_bites_alone_and_is_repaired(name, defect):
    here, all_ = PULLS[name], TRUTHS[name].defects
    others = [other for other in all_ if other is not defect]
    assert failure(defect.test, repaired(here, [])) not in ("", "AssertionError")
    assert failure(defect.test, repaired(here, others))
    assert failure(defect.test, repaired(here, all_)) == ""


@pytest.mark.parametrize(("name", "decoy"), [d for d in DECOYS if d.values[1].test])
def test_decoy_is_clean(name, decoy):
    assert failure(decoy.test, repaired(PULLS[name], [])) == ""
    assert failure(decoy.test, repaired(PULLS[name], TRUTHS[name].defects)) == ""


@pytest.mark.parametrize(("name", "plant"), DEFECTS + DECOYS)
def test_places_are_among_the_changed_lines(name, plant):
    places = getattr(plant, "places", None) or (plant.lines,)
    changed = PULLS[name].file(plant.file).changed
    for first, last in places:
        assert changed & set(range(first, last + 1)), f"lines {first}-{last} are not in the diff"


@pytest.mark.parametrize(("name", "decoy"), DECOYS)
def test_decoys_lie_apart_from_defects_and_sound_otherwise(name, decoy):
    lines = set(range(decoy.lines[0], decoy.lines[1] + 1))
    for defect in TRUTHS[name].defects:
        if defect.file == decoy.file:
            for first, last in defect.places:
                assert not lines & set(range(first, last + 1))
            assert not names(f"This is {decoy.looks_like}.", defect.words).named


@pytest.mark.parametrize(("name", "defect"), DEFECTS)
def test_truths_keep_the_rules_for_comments(name, defect):
    assert defect.severity in WEIGHTS
    for text in (defect.claim, defect.suggestion, *defect.paraphrases):
        assert len(text.split()) <= MOST_WORDS
        assert len(causes_named(text)) <= MOST_CAUSES
    assert defect.explanation


def test_a_test_that_breaks_is_not_a_test_that_fails():
    with pytest.raises(RuntimeError, match="did not end in an AssertionError"):
        failure("import nosuchmodule", {})
    assert failure("assert False, 'so it is'", {}) == "so it is"


@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_number_the_lines_of_the_new_file(name):
    shown = PULLS[name].show()
    for file in PULLS[name].files:
        lines = file.after.splitlines()
        rows = {row.rstrip() for row in shown.text.splitlines()}
        for number in file.changed:
            rendered = {f"{number:>4} {mark} {lines[number - 1]}".rstrip() for mark in "+ "}
            assert rows & rendered
    assert repr(shown) == shown.text == PULLS[name].diff
    assert shown.html.count(">added<") == sum(
        line[4:7] == " + " or line[4:] == " +" for line in shown.text.splitlines()
    )
    assert "<script" not in shown.html


def test_html_says_added_and_removed_in_words_and_signs():
    html = PULLS["registry-client"].show().html
    for mark, word in (("+", "added"), ("−", "removed")):
        assert f'<span aria-hidden="true">{mark}</span>' in html
        assert f">{word}</span>" in html
    assert 'scope="row"' in html
    assert "<caption" in html


TEXT = """
title = "t"
description = "d"
[[file]]
path = "a.py"
before = '''
one
two
three
four
'''
after = '''
one
TWO
four
<b>
'''
"""


def test_small_difference():
    small = read_pull("small", TEXT)
    file = small.file("a.py")
    assert file.changed == {2, 4}
    assert small.size_lines == 4
    assert small.show().text.splitlines()[-6:] == [
        "   1   one", "     - two", "     - three", "   2 + TWO", "   3   four", "   4 + <b>",
    ]  # fmt: skip
    assert "&lt;b&gt;" in small.show().html
    with pytest.raises(KeyError, match=r"has no file 'b\.py'"):
        small.file("b.py")


def test_lines_beside_a_removal_count_as_changed():
    removed = TEXT.replace("TWO\n", "").replace("<b>\n", "")
    assert read_pull("small", removed).file("a.py").changed == {1, 2}


def test_left_out_lines_are_marked():
    long = TEXT.replace("one\n", "".join(f"line {n}\n" for n in range(40)))
    text = read_pull("small", long).show(context=2).text
    assert "⋮" in text
    assert "line 39" in text
    assert "line 5\n" not in text
    assert "line 5\n" in read_pull("small", long).show(context=None).text


def test_unknown_names_and_keys_are_answered():
    with pytest.raises(KeyError, match="there are accumulate-half"):
        pull("nosuch")
    with pytest.raises(ValueError, match="'tilte' is unknown"):
        read_pull("small", "tilte = 'x'" + TEXT)
    with pytest.raises(ValueError, match="there is no truth 'nosuch'"):
        load_truth("nosuch", PULLS["image-embeddings"])


def test_quoted_lines_must_occur_once():
    assert lines_of("  b\nc ", "a\nb\n  c\n", "here") == (2, 3)
    for text in ("a\n", "b\nc\nb\nc\n"):
        with pytest.raises(ValueError, match=r"here: the quoted lines occur \d times"):
            lines_of("b\nc", text, "here")


def test_truth_prints_nothing_of_what_is_planted():
    assert repr(TRUTHS["image-embeddings"]) == "Truth(pull='image-embeddings')"


def test_folder_file_and_sealed_truth_agree(tmp_path):
    from importlib import resources

    data = resources.files("syslab.review") / "data"
    for kind in ("pulls", "truths"):
        (tmp_path / kind).mkdir()
        text = (data / kind / "kv-planner.toml").read_text()
        (tmp_path / kind / "kv-planner.toml").write_text(text)
    assert pulls(tmp_path) == ("kv-planner",)
    here = pull("kv-planner", tmp_path)
    assert here == PULLS["kv-planner"]
    assert load_truth(tmp_path, here) == TRUTHS["kv-planner"]
    assert load_truth(tmp_path / "truths" / "kv-planner.toml", here) == TRUTHS["kv-planner"]
    sealed = seal(text)
    for word in ("num_key_value_heads", "query", "blocker"):
        assert word not in sealed
    opened = load_truth(sealed, here)
    assert [d.claim for d in opened.defects] == [d.claim for d in TRUTHS["kv-planner"].defects]
    assert [d.places for d in opened.defects] == [d.places for d in TRUTHS["kv-planner"].defects]
    assert opened.defects[0].test == ""
    with pytest.raises(ValueError, match="damaged"):
        load_truth(sealed[:-9], here)
    with pytest.raises(ValueError, match="this is the truth of 'kv-planner'"):
        load_truth(sealed, PULLS["image-embeddings"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('severity = "blocker"', 'severity = "fatal"', "severity is 'fatal'"),
        ('cause = "kv-size"', 'cause = "kv"', "cause 'kv' is not in causes.toml"),
        ('id = "query-heads"', 'id = "gib-for-gb"', "an id occurs twice"),
        ('heads = config["num_attention_heads"]\n', "nosuch line\n", "occur 0 times"),
        ("suggestion = ", "advice = ", "'suggestion' is missing"),
    ],
)
def test_mistakes_of_an_author_are_named(tmp_path, old, new, said):
    from importlib import resources

    source = resources.files("syslab.review") / "data" / "truths" / "kv-planner.toml"
    path = tmp_path / "t.toml"
    path.write_text(source.read_text().replace(old, new))
    with pytest.raises(ValueError, match="truth of kv-planner") as error:
        load_truth(path, PULLS["kv-planner"])
    assert said in str(error.value)
