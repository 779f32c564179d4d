"""Instruments, checks and graders of the course *Principal AI Systems*.

Three rooms, with imports only downward in this list:

- ``syslab.grading``: what an instructor needs;
- ``syslab.course``: what a learner or an author needs (manifest, notebooks, progress);
- subject modules (``facts``, ``roofline``, ``topdown``, ``counters``, ``reuse``, …): instruments
  that know nothing of the course and can be used alone.

Importing ``syslab`` itself imports none of them.
"""

__version__ = "0.1.0"
