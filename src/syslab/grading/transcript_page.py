"""A transcript as one page of HTML: readable without colour, by a screen reader, and on paper."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from syslab.grading import sheets
from syslab.grading.transcript import NOT_RELEASED, PLANNED, Transcript

# Everything is escaped on its way into the page (autoescape): names and links are not ours.
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ t.name }}: transcript, {{ t.course }}</title>
<style>
:root { color-scheme: light; --ink: #1b1b1f; --soft: #54545c; --line: #c9c9d1; --fill: #f3f3f6; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 62rem; color: var(--ink); background: #fff;
       font: 14px/1.4 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
header { display: flex; justify-content: space-between; gap: 1rem;
         border-bottom: 2px solid var(--ink); padding-bottom: .7rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1rem 0 .3rem; }
p { margin: .15rem 0; } .soft { color: var(--soft); }
.total { text-align: right; flex-shrink: 0; } .total strong { font-size: 1.5rem; line-height: 1.2; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.6rem; align-items: start; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
.gates :is(th, td):nth-child(1) { width: 26%; } .gates :is(th, td):nth-child(2) { width: 5.8em; }
.gates :is(th, td):nth-child(3) { width: 20%; }
.parts :is(th, td):nth-child(2) { width: 7.7em; } .parts :is(th, td):nth-child(3) { width: 8em; }
caption { text-align: left; font-weight: 600; padding: .7rem 0 .25rem; }
th, td { text-align: left; vertical-align: top; font-weight: 400; padding: .16rem .5rem .16rem 0;
         border-top: 1px solid var(--line); overflow-wrap: break-word; }
thead th { color: var(--soft); border-top: 0; font-size: .88em; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.met, .not { white-space: nowrap; font-weight: 600; }
.not { text-decoration: underline; text-underline-offset: .2em; }
footer { margin-top: 1rem; border-top: 1px solid var(--line); padding-top: .4rem;
         color: var(--soft); font-size: .88em; }
@media screen and (max-width: 46rem) {
  .pair { grid-template-columns: 1fr; } .total { text-align: left; } body { padding: 1rem; }
  header { flex-wrap: wrap; }
  .gates :is(th, td):nth-child(n) { width: 24%; } .gates :is(th, td):nth-child(2) { width: 18%; }
  .gates { font-size: .86em; }
}
@page { size: A4; margin: 9mm 11mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 7.5pt; line-height: 1.2; }
  h1, .total strong { font-size: 14pt; } h2 { font-size: 9.5pt; margin: .5rem 0 .15rem; }
  .pair { grid-template-columns: 1fr 1fr; }
  th, td { padding-top: .05rem; padding-bottom: .05rem; } caption { padding: .3rem 0 .05rem; }
  .parts :is(th, td):nth-child(3) { width: 10em; }
  tr { break-inside: avoid; } footer { margin-top: .5rem; }
}
</style>
</head>
<body>
<header>
<div>
<h1>{{ t.name }}</h1>
<p>{{ t.course }}{% if t.name != t.student %} · student {{ t.student }}{% endif %}</p>
<p class="soft">Transcript of {{ t.made }}</p>
</div>
<div class="total">
<p><strong>{{ t.earned | points }}</strong> of {{ "{:,}".format(t.total_points) }} points</p>
{% if t.awaiting %}<p>{{ t.awaiting | points }} more await a human's mark</p>{% endif %}
</div>
</header>
<main>
{% for c in t.certificates %}
<section aria-labelledby="certificate-{{ c.id }}">
<h2 id="certificate-{{ c.id }}">Certificate {{ c.title }}:
 {{ "earned" if c.earned else "not earned yet" }}</h2>
<table class="gates">
<thead><tr><th scope="col">Gate</th><th scope="col">Met?</th><th scope="col">Where it stands</th>
<th scope="col">What it would take</th></tr></thead>
<tbody>
{% for g in c.gates %}
<tr><th scope="row">{{ g.title }}</th>
<td><span class="{{ "met" if g.met else "not" }}">{{ "met" if g.met else "not met" }}</span></td>
<td>{{ g.stands }}</td>
<td>{{ g.takes | join("; ") or "nothing" }}</td></tr>
{% endfor %}
</tbody>
</table>
</section>
{% endfor %}
<section aria-labelledby="points">
<h2 id="points">Points</h2>
<div class="pair">
{% for column in columns %}
<div>
{% for title, parts in column %}
<table class="parts">
<caption>{{ title }}</caption>
<thead><tr><th scope="col">Part</th><th scope="col" class="n">Points</th>
<th scope="col">State</th></tr></thead>
<tbody>
{% for p in parts %}
<tr{% if p.status in closed %} class="soft"{% endif %}>
<th scope="row">{{ p.id }} {{ p.title }}</th>
<td class="n">{% if p.status in closed %}– of {{ p.points | points }}{% else
 %}{{ p.earned | points }} of {{ p.points | points }}{% endif %}</td>
<td>{% if p.awaiting %}{{ p.awaiting | points }} to be marked{% else %}{{ p.status }}{% endif
 %}{% if p.penalty %}; late: {{ p.penalty | points }} lost{% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
</div>
{% endfor %}
</div>
</section>
</main>
<footer>Points are the gradebook's, late penalties taken off; the architect's modules count towards
their certificate and not towards the {{ "{:,}".format(t.total_points) }} points.</footer>
</body>
</html>
"""

_INDEX = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Transcripts</title>
<style>
body { margin: 0 auto; padding: 1.5rem; max-width: 62rem; color: #1b1b1f; background: #fff;
       font: 14px/1.4 system-ui, sans-serif; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; font-weight: 400; padding: .2rem .6rem .2rem 0;
         border-top: 1px solid #c9c9d1; }
.n { text-align: right; font-variant-numeric: tabular-nums; } a { color: #0b4a8f; }
</style>
</head>
<body>
<main>
<h1>Transcripts of {{ rows | length }} students</h1>
<table>
<thead><tr><th scope="col">Student</th><th scope="col" class="n">Points</th>
{% if rows %}{% for c in rows[0][1].certificates %}<th scope="col" class="n">{{ c.id }} modules</th>
{% endfor %}{% endif %}
<th scope="col" class="n">Awaiting a mark</th><th scope="col">Gates met</th></tr></thead>
<tbody>
{% for file, t in rows %}
<tr><th scope="row"><a href="{{ file | urlencode }}">{{ t.name }}</a></th>
<td class="n">{{ t.earned | points }}</td>
{% for c in t.certificates %}<td class="n">{{ t.modules(c.id) | points }}</td>{% endfor %}
<td class="n">{{ t.waiting | points }}</td>
<td>{% for c in t.certificates %}{{ c.id }} {{ c.gates | selectattr("met") | list | length }} of
 {{ c.gates | length }}{% if not loop.last %}, {% endif %}{% endfor %}</td></tr>
{% endfor %}
</tbody>
</table>
</main>
</body>
</html>
"""


def page(t: Transcript) -> str:
    """The transcript of one student; one sheet of A4 in print."""
    tracks = {c.id: c.title for c in t.certificates}
    columns = [[], []]
    for n, (track, title) in enumerate(tracks.items()):
        counts = any(p.counts for p in t.parts_of("module", track))
        where = "" if counts else " (for its certificate only)"
        columns[n % 2].append((f"Modules, {title}{where}", t.parts_of("module", track)))
    columns[0].append(("Portfolio", t.parts_of("portfolio")))
    columns[1].append(("Projects", t.parts_of("project")))
    return _template(_PAGE).render(t=t, columns=columns, closed=(PLANNED, NOT_RELEASED))


def index(rows: Sequence[tuple[str, Transcript]]) -> str:
    """A page that links the files of several students: ``(file name, transcript)`` each."""
    return _template(_INDEX).render(rows=rows)


def file_names(transcripts: Sequence[Transcript]) -> list[str]:
    """A file name for each student that stays in its folder and differs, whatever the ids hold."""
    names, taken = [], {"index.html"}
    for t in transcripts:
        stem = quote(t.student, safe=" ").replace("%", "_")[:80].strip(". ") or "student"
        name, n = f"{stem}.html", 1
        while name.casefold() in taken:  # also on disks that do not tell A from a
            n += 1
            name = f"{stem}-{n}.html"
        taken.add(name.casefold())
        names.append(name)
    return names


@functools.cache
def _template(source: str) -> Any:
    from jinja2 import Environment, StrictUndefined

    room = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    room.filters["points"] = lambda value: sheets.number(round(value, 2))
    return room.from_string(source)
