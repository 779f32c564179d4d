"""What an instructor needs: releasing, grading, feedback. Built on nbgrader, replacing nothing.

`release`    source/ -> release/, byte for byte reproducible, stubs proven to earn nothing
`leaks`      refuses solutions and hidden tests in anything released
`workshop`   a temporary course to generate and grade in
`restore`    nbgrader preprocessor: deleted, renamed and relabelled cells come back
`feedback`   nbgrader preprocessor: reasons reach the learner, hidden tests do not
`selfgrade`  a learner's own work with the hidden tests
`batch`      a class: intake, execute (engines), spool, record; feedback_pages after it
`demo`       the demonstration submission in autograded/
`commands`   the command line of these
"""
