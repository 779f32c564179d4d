"""Kernels forked from a warm template, inside or outside a sandbox.

Starting a Python kernel and importing torch, pandas and matplotlib takes seconds; forking a
process that has done so takes a fraction of one.

template     the process that has imported everything and forks a kernel on request
service      starts a template, asks it for kernels, and ends it
provisioner  the same for jupyter_client: nbclient, nbgrader and nbval use it unchanged
sandbox      what a forked kernel may reach
"""
