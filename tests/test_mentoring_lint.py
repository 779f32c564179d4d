"""The linters: one broken thing, one finding at its place; nothing they read makes them raise."""

import copy
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syslab.mentoring import CODES, Finding, example, lint, lint_feedback, parse, summary, template
from syslab.mentoring.lint import TABLES
from syslab.mentoring.text import is_link, why_vague


def broken(change):
    plan = copy.deepcopy(example())
    change(plan)
    return plan


def put(*path_and_value):
    *path, key, value = path_and_value

    def change(plan):
        for step in path:
            plan = plan[step]
        if value is None:
            del plan[key]
        else:
            plan[key] = value

    return change


def all_one_mode(plan):
    for entry in plan["ledger"]:
        entry["mode"] = "tell"


def without_incident_entries(plan):
    plan["ledger"] = [e for e in plan["ledger"] if e["outcome"] == "design"]
    plan["cadence"]["every_days"] = 60


CASES = [
    (put("outcomes", []), "no-outcome", "outcomes"),
    (put("outcomes", 0, "exit", None), "exit-missing", "outcomes[0].exit"),
    (put("outcomes", 1, "exit", "Understands incident command"), "exit-vague", "outcomes[1].exit"),
    (put("outcomes", 0, "exit", "Improved designs by 2025-08"), "exit-vague", "outcomes[0].exit"),
    (put("outcomes", 1, "id", "design"), "duplicate-outcome", "outcomes[1].id"),
    (put("cadence", None), "no-cadence", "cadence.every_days"),
    (put("cadence", "minutes", True), "no-cadence", "cadence.minutes"),
    (put("cadence", "every_days", 5), "cadence-broken", "ledger"),
    (put("mentee", "evidence", []), "start-no-evidence", "mentee.evidence"),
    (put("outcomes", 0, "evidence", ""), "start-no-evidence", "outcomes[0].evidence"),
    (put("ledger", 3, "evidence", None), "no-evidence", "ledger[3].evidence"),
    (put("ledger", 3, "evidence", "we talked"), "weak-evidence", "ledger[3].evidence"),
    (without_incident_entries, "outcome-no-entry", "outcomes[1]"),
    (put("ledger", 2, "outcome", "python"), "unknown-outcome", "ledger[2].outcome"),
    (put("topics", 0, "mode", "lecture"), "unknown-mode", "topics[0].mode"),
    (put("ledger", 9, "date", date(2025, 8, 16)), "after-end", "ledger[9].date"),
    (put("ledger", 0, "date", "2025-03-02"), "before-begin", "ledger[0].date"),
    (put("ledger", 4, "date", date(2025, 7, 1)), "order", "ledger[5].date"),
    (put("ends", date(2025, 3, 3)), "dates", "ends"),
    (put("begins", "in spring"), "dates", "begins"),
    (all_one_mode, "one-mode", "ledger"),
    (put("sponsorship", []), "no-sponsorship", "sponsorship"),
    (put("sponsorship", 0, "audience", " "), "no-audience", "sponsorship[0].audience"),
    (put("not_done", ["none"]), "not-done-empty", "not_done"),
    (put("not_done", None), "not-done-empty", "not_done"),
    (put("risks", None), "no-risk", "risks"),
    (put("ledger", 1, "what", example()["ledger"][2]["what"]), "repeated-entry", "ledger[2].what"),
    (put("mentee", "pseudonym", "Anna Kowalska"), "real-name", "mentee.pseudonym"),
    (put("ledger", 0, "what", "Mail to a.k@example.org"), "e-mail", "ledger[0].what"),
    (put("mentee", "name", "X"), "form", "mentee.name"),
    (put("ledger", 0, "minutes", -5), "form", "ledger[0].minutes"),
    (put("outcomes", "design"), "form", "outcomes"),
    (put("ledger", 1, "a meeting"), "form", "ledger[1]"),
    (put("goals", []), "form", "goals"),
]


def test_the_example_is_clean_and_counts_what_it_holds():
    plan = example()
    assert lint(plan) == []
    figures = summary(plan)
    assert figures.minutes == sum(entry["minutes"] for entry in plan["ledger"])
    assert figures.minutes == sum(figures.minutes_by_outcome.values())
    assert (figures.days, figures.entries, figures.sponsorship_acts) == (165, 10, 2)
    assert figures.longest_pause_days == 28  # 8 July to 5 August


@pytest.mark.parametrize(("change", "code", "place"), CASES)
def test_one_fault_is_found_at_its_place(change, code, place):
    found = lint(broken(change))
    assert (code, place) in {(f.code, f.place) for f in found}
    assert all(f.do and f.problem for f in found)


def test_rows_keep_their_number_after_a_malformed_one():
    def change(plan):
        plan["ledger"][0] = 7
        plan["ledger"][4]["minutes"] = 0

    assert {"ledger[0]", "ledger[4].minutes"} <= {f.place for f in lint(broken(change))}


def test_many_outcomes_and_the_future():
    plan = example()
    plan["outcomes"] += [dict(plan["outcomes"][0], id=f"x{i}") for i in range(3)]
    assert "many-outcomes" in {f.code for f in lint(plan)}
    future = [f for f in lint(example(), today="2025-08-01") if f.code == "future"]
    assert [f.place for f in future] == ["ledger[9].date"]


def test_real_names_are_found_in_links_and_not_inside_other_words():
    plan = broken(put("ledger", 0, "evidence", "https://example.org/anna_k/notes.md"))
    plan["ledger"][1]["what"] = "We annotated the design and looked at bananas"
    found = [f for f in lint(plan, real_names=("Anna Kowalska",)) if f.code == "real-name"]
    assert [f.place for f in found] == ["ledger[0].evidence"]
    assert "Anna" not in str(found[0])  # a report may be shown to others


def test_the_template_is_valid_toml_of_the_right_form_and_empty():
    plan = parse(template())
    assert set(plan) == set(TABLES)  # not_done among them
    assert not [f for f in lint(plan) if "not part of" in f.problem]
    assert {"no-outcome", "exit-missing", "no-cadence", "no-sponsorship", "not-done-empty"} <= {
        f.code for f in lint(plan)
    }


def test_broken_toml_names_the_line():
    with pytest.raises(ValueError, match=r"line 2"):
        parse("a = 1\nb = what")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["date", "what", "exit", "id", "outcome", "mode", "act", "evidence",
                             "minutes", "every_days", "pseudonym"]), inner, max_size=5)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(plan=st.dictionaries(st.sampled_from(sorted(TABLES)), VALUES, max_size=10) | VALUES)
def test_no_plan_makes_the_linter_raise(plan):
    found = lint(plan, real_names=("Anna",))
    assert found  # nothing random is a sound plan
    assert all(isinstance(f, Finding) and f.code in CODES for f in found)


VAGUE = [
    "Understands Kubernetes networking",
    "Understands 3 papers",
    "Is comfortable leading one review",
    "Improve p99",
    "Becomes a better communicator by Q3",
    "Leads a design review",
    "Be promoted to L6 by 2026",
    "Learns Rust in two months",
    "Is the one who leads reviews",
    "More confident, less rework",
    "Ready for the next level",
]
CHECKABLE = [
    "Improves p99 by 20 % on the canary",
    "Two designs approved by reviewers of another team",
    "Leads two design reviews",
    "Leads a design review without me",
    "Ships the migration within two weeks",
    "p99 below 200 ms on the canary for a week",
    "Finds at least three of five planted defects",
    "Understands the scheduler, and presents it to two other teams",
    "Has 80 % of changes accepted without rework",
    "Commands two incidents, and their timelines are complete",
    "Fixes three bugs in the scheduler",
    "Test coverage rises from 61 % to 75 %",
    "Estimates of six tickets lie within 30 % of the hours booked",
    "Reviews 12 changes; in 8 of them the author changes the code because of a comment",
    "Holds the pager for nine nights and no page is escalated",
    "Gives a talk to at least 8 people of other teams",
    "Explains the allocator to three newcomers",
    "Debugs two outages without me",
    "Migrates 12 services to the new client",
    "Submits a proposal that the committee accepts",
    "Owns the quarterly capacity plan, signed by finance",
    "Is asked for review by name by 3 people outside the team",
    "Commanded an incident without me",
    "One design merged in 2025",
]


@pytest.mark.parametrize("text", VAGUE)
def test_vague_criteria(text):
    assert why_vague(text)


@pytest.mark.parametrize("text", CHECKABLE)
def test_checkable_criteria(text):
    assert why_vague(text) is None


@pytest.mark.parametrize(
    ("text", "link"),
    [("https://example.org/x", True), ("platform#1182", True), ("docs/a.md", True),
     ("notes.md", True), ("commit 3f9a2b71c", True), ("we talked", False), ("defaced", False),
     ("and/or", False), ("we met 24/7", False), ("n/a", False), ("and/or/else.md", True),
     ("platform!42", True), ("SCHED-322", True), ("GPT-4", False),
     ("report.docx", True), ("arXiv:2407.21783", True), ("kernel.cu", True),
     ("", False), ("number 12", False)],
)  # fmt: skip
def test_links(text, link):
    assert is_link(text) is link


GOOD = {
    "situation": "Monday's review of platform#1304",
    "behaviour": "The retry loop had no limit and no test",
    "effect": "Two replicas retried for 40 minutes",
    "request": "Add a test that fails without the limit, before Thursday",
}


def test_feedback_in_four_parts_is_clean():
    assert lint_feedback(GOOD) == []


@pytest.mark.parametrize(
    ("part", "text", "code"),
    [
        ("behaviour", "You are careless with retries", "trait"),
        ("behaviour", "You're a really brilliant engineer", "trait"),
        ("behaviour", "You were careless with the retry loop", "trait"),
        ("behaviour", "You seemed lazy in the review", "trait"),
        ("behaviour", "That was unprofessional of you", "trait"),
        ("behaviour", "Your attitude in the review was wrong", "trait"),
        ("behaviour", "The tests are never there", "always-never"),
        ("effect", "People were unhappy with it", "no-measure"),
        ("request", "Please be more careful in future", "no-request"),
        ("request", "Understand retries in more depth", "no-request"),
        ("situation", "", "empty-part"),
        ("situation", None, "empty-part"),
    ],
)
def test_feedback_faults(part, text, code):
    assert [(f.code, f.place) for f in lint_feedback(GOOD | {part: text})] == [(code, part)]


@pytest.mark.parametrize(
    "request_",
    ["Keep writing updates with times", "Tell us in the channel as soon as a date is at risk",
     "Raise the delay in the weekly sync", "Rehearse the hand-off with the next rota"],
)  # fmt: skip
def test_a_request_that_can_be_seen(request_):
    assert lint_feedback(GOOD | {"request": request_}) == []


@pytest.mark.parametrize(
    "text",
    [
        "You never deliver on time",
        "Your plans never hold",
        "You constantly interrupt the storage team",
        "It was late again, as always",
        "Everyone in the meeting was annoyed",
        "Nobody on the team trusts it",
    ],
)
def test_a_habit_or_a_crowd_is_a_count_nobody_made(text):
    found = lint_feedback(GOOD | {"behaviour": text})
    assert [f.code for f in found] == ["always-never"]
    quoted = found[0].problem.split("'")[1].lower()
    assert quoted in text.lower().split() or quoted in text.lower()
    assert quoted in {"never", "constantly", "always", "everyone", "nobody"}


@pytest.mark.parametrize(
    "text",
    [
        "The retry loop never stopped, and nobody was paged",
        "The lock is never released when the write fails",
        "Nobody had read the second option before the vote",
        "Everyone on the rota was paged within four minutes",
        "The limit was never tested",
    ],
)
def test_never_and_nobody_may_report_one_case(text):
    assert lint_feedback(GOOD | {"behaviour": text}) == []


def test_feedback_of_another_form():
    assert [f.code for f in lint_feedback("well done")] == ["form"]
    assert [f.code for f in lint_feedback(GOOD | {"tone": "kind"})] == ["form"]


def test_a_finding_needs_a_known_code():
    with pytest.raises(ValueError, match="must be one of"):
        Finding("typo", "plan", "x", "y")
