"""Queues without feedback, as a recurrence: start = max(arrival, a server is free).

Lindley's equation for one server, Kiefer and Wolfowitz's for several.  No event queue is needed
because nothing that happens later can change an earlier start.  Compiled by numba; imported only
when a simulation runs.

Arrays: n requests, k leaves of each (k = 1 without fan-out), r servers for every leaf.
"""

import numpy as np
from numba import njit

SCAN = 16  # up to this many servers, looking at all of them beats a heap


@njit(cache=True)
def one_queue(arrival_s, service_s, servers):
    """One shared queue before `servers` servers.

    Parameters
    ----------
    arrival_s, service_s : ndarray of float, shape (n,)
    servers : int

    Returns
    -------
    start_s : ndarray of float, shape (n,)
    server : ndarray of int32, shape (n,)
    """
    n = arrival_s.size
    start_s = np.empty(n)
    server = np.zeros(n, np.int32)
    if servers == 1:
        free_s = 0.0
        for i in range(n):
            begin = max(arrival_s[i], free_s)
            start_s[i] = begin
            free_s = begin + service_s[i]
    elif servers <= SCAN:
        free_at_s = np.zeros(servers)
        for i in range(n):
            chosen = 0
            earliest = free_at_s[0]
            for s in range(1, servers):
                if free_at_s[s] < earliest:
                    earliest = free_at_s[s]
                    chosen = s
            begin = max(arrival_s[i], earliest)
            start_s[i] = begin
            server[i] = chosen
            free_at_s[chosen] = begin + service_s[i]
    else:
        _one_queue_heap(arrival_s, service_s, servers, start_s, server)
    return start_s, server


@njit(cache=True)
def _one_queue_heap(arrival_s, service_s, servers, start_s, server):
    """The same with the free times in a binary heap, earliest on top."""
    free_at_s = np.arange(-servers, 0.0)  # before the start; no ties, so servers go in order
    name = np.arange(servers)
    for i in range(arrival_s.size):
        chosen = name[0]
        begin = max(arrival_s[i], free_at_s[0])
        start_s[i] = begin
        server[i] = chosen
        free = begin + service_s[i]
        at = 0
        while True:
            child = 2 * at + 1
            if child >= servers:
                break
            if child + 1 < servers and free_at_s[child + 1] < free_at_s[child]:
                child += 1
            if free_at_s[child] >= free:
                break
            free_at_s[at] = free_at_s[child]
            name[at] = name[child]
            at = child
        free_at_s[at] = free
        name[at] = chosen


@njit(cache=True)
def own_queues(arrival_s, service_s, server, servers):
    """A queue before each server; `server`, shape (n,), says where each request goes."""
    free_at_s = np.zeros(servers)
    start_s = np.empty(arrival_s.size)
    for i in range(arrival_s.size):
        begin = max(arrival_s[i], free_at_s[server[i]])
        start_s[i] = begin
        free_at_s[server[i]] = begin + service_s[i]
    return start_s


@njit(cache=True)
def fan_out(arrival_s, service_s, server, replicas):
    """Split every request over k groups of `replicas` servers; it ends with its last leaf.

    Parameters
    ----------
    arrival_s : ndarray of float, shape (n,)
    service_s : ndarray of float, shape (n, k)
    server : ndarray of int32, shape (n, k) or (0, 0)
        Where each leaf goes; (0, 0): one queue for each group.
    replicas : int

    Returns
    -------
    leaf_start_s : ndarray of float, shape (n, k)
    leaf_server : ndarray of int32, shape (n, k)
    last : ndarray of int64, shape (n,)
        The leaf that ended last.
    """
    n, k = service_s.shape
    free_at_s = np.zeros(k * replicas)
    start_s = np.empty((n, k))
    where = np.empty((n, k), np.int32)
    last = np.empty(n, np.int64)
    for i in range(n):
        arrival = arrival_s[i]
        latest = -1.0
        straggler = 0
        for j in range(k):
            chosen = j * replicas
            if server.size:
                chosen = server[i, j]
            elif replicas > 1:
                for s in range(chosen + 1, (j + 1) * replicas):
                    if free_at_s[s] < free_at_s[chosen]:
                        chosen = s
            begin = max(arrival, free_at_s[chosen])
            finish = begin + service_s[i, j]
            start_s[i, j] = begin
            where[i, j] = chosen
            free_at_s[chosen] = finish
            if finish > latest:
                latest = finish
                straggler = j
        last[i] = straggler
    return start_s, where, last
