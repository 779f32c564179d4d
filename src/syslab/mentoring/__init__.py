"""Mentoring as data: plans that can be linted, decisions that can be simulated, bias that is found.

    plan = read(path)                       # TOML; or any plain dict of the same shape
    for finding in lint(plan, real_names=("the mentee's real name",)):
        print(finding)                      # code, place, problem, what to do

plan       read(), parse(), example(), template(), summary(): the structured form and its figures
lint       lint(plan) -> list of Finding; CODES: every code and what it means
ladder     gaps(expectations, evidence), pick(gaps, hours): what to work on first
coaching   tell, show, ask or delegate: simulate() and expected() of a Situation, SITUATIONS
interviews interviews(seed=...) -> Loop: ratings of candidates, with planted bias
agreement  cohen_kappa(), krippendorff_alpha(), icc(): how far raters agree
bias       interviewer_scales(), halo(), group_effect(), holm(): what is planted, found again
deciders   expected_decision(), simulate_decisions(): number of deciders against time and reversals
feedback   lint_feedback({situation, behaviour, effect, request}): the same Finding

A plan
------
``mentee``       {pseudonym, start, evidence}: evidence is a list of links for the starting point
``begins``, ``ends``   dates (datetime.date or "2025-03-03")
``cadence``      {every_days, minutes}
``outcomes``     list of {id, outcome, exit, start, evidence}; `exit` is the observable criterion
``topics``       list of {topic, outcome, mode}; mode is one of MODES
``sponsorship``  list of {date, act, audience, result}: what was said where the mentee was absent
``risks``        list of {risk, sign, response}
``not_done``     list of sentences: what I did not do, and why
``ledger``       list of {date, what, evidence, outcome, minutes, mode}, oldest first

A link is a URL, ``repository#118`` (or ``!118``), a ticket (``SCHED-322``), a path with a slash or
file ending, an arXiv number or a commit hash.
The linter reads form, never truth: it cannot know whether the meeting took place.

A Finding has ``code`` (a key of CODES), ``place`` ("outcomes[0].exit"), ``problem``, ``do`` and
``severity`` ("must" or "should"). lint() raises nothing on malformed plans: it reports "form".

A Loop has ``score`` (candidates, interviewers, questions; nan where nobody asked), ``group``
(candidates,) of 0/1, ``work_sample`` (candidates,) marked blind, ``skill`` (the truth) and
``planted`` (the parameters). All of it is synthetic. The same seed gives the same data.
"""

from syslab.mentoring.agreement import cohen_kappa, icc, krippendorff_alpha
from syslab.mentoring.bias import GroupEffect, group_effect, halo, holm, interviewer_scales
from syslab.mentoring.coaching import (
    MODES,
    SITUATIONS,
    Outcome,
    Situation,
    compare,
    expected,
    ladder_policy,
    simulate,
)
from syslab.mentoring.deciders import Decision, Process, expected_decision, simulate_decisions
from syslab.mentoring.feedback import lint_feedback
from syslab.mentoring.findings import CODES, Finding
from syslab.mentoring.interviews import Loop, interviews
from syslab.mentoring.ladder import Expectation, Gap, gaps, pick
from syslab.mentoring.lint import lint
from syslab.mentoring.plan import Summary, example, parse, read, summary, template

__all__ = [
    "CODES",
    "MODES",
    "SITUATIONS",
    "Decision",
    "Expectation",
    "Finding",
    "Gap",
    "GroupEffect",
    "Loop",
    "Outcome",
    "Process",
    "Situation",
    "Summary",
    "cohen_kappa",
    "compare",
    "example",
    "expected",
    "expected_decision",
    "gaps",
    "group_effect",
    "halo",
    "holm",
    "icc",
    "interviewer_scales",
    "interviews",
    "krippendorff_alpha",
    "ladder_policy",
    "lint",
    "lint_feedback",
    "parse",
    "pick",
    "read",
    "simulate",
    "simulate_decisions",
    "summary",
    "template",
]
