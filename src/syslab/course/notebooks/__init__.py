"""The notebook tool behind ``syslab nb``.

canonical   one stable form on disk: fixed ids, few metadata, no timestamps
text        a notebook as percent text and back, outputs kept
execute     run in a fresh kernel and store the outputs
inprocess   run without a kernel, and tell what rests on clock readings
prose       numbers in Markdown that are recomputed from the code
contract    what `check` refuses; the rules stand in `rules`
command     the command line
"""
