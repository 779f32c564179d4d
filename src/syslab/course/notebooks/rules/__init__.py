"""The rules of ``syslab nb check``, by idea.

form        canonical form, execution, leaks, size and headings
reading     pictures with alt text and numbers, numbers in prose
constants   typed-in hardware and model constants
graded      the triplet of lead-in, stub and test cell

A rule takes the notebook and its path and yields (cell or a name, what to do about it).
"""
