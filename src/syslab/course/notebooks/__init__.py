"""The notebook tool behind ``syslab nb``.

canonical   one stable form on disk: fixed ids, few metadata, no timestamps
text        a notebook as percent text and back, outputs kept
execute     run in a fresh kernel and store the outputs
prose       numbers in Markdown that are recomputed from the code
contract    what `check` refuses
command     the command line
"""
