"""What is known exactly about queues, to check simulations against and to think with.

Rates are per second and times in seconds, or both in any other unit that agrees: with
``service_rate=1`` all times come out in mean service times.

erlang     several servers, Poisson arrivals, exponential service: erlang_b, erlang_c, MMc, MM1,
           MMcK (bounded queue), servers_for
general    one server, any service: MG1 (Pollaczek-Khinchine), MD1, cobham (priorities); any
           arrivals, approximately: kingman, kingman_bound, allen_cunneen
fanout     P(any of N is slow): amplification and its inverses; fork_join_mean
copies     hedged requests, and the power of two choices
overload   retries: amplification of load, and which load can be kept in a storm
"""

from syslab.queueing.theory.copies import (
    choices_mean_sojourn,
    choices_tail,
    hedge_extra_load,
    hedged_percentile,
    hedged_tail,
)
from syslab.queueing.theory.erlang import MM1, MMc, MMcK, erlang_b, erlang_c, servers_for
from syslab.queueing.theory.fanout import (
    amplification,
    fork_join_mean,
    largest_fan_out,
    leaf_percentile,
    leaf_probability,
)
from syslab.queueing.theory.general import (
    MD1,
    MG1,
    allen_cunneen,
    cobham,
    kingman,
    kingman_bound,
)
from syslab.queueing.theory.overload import overload_state, retry_amplification

__all__ = [
    "MD1",
    "MG1",
    "MM1",
    "MMc",
    "MMcK",
    "allen_cunneen",
    "amplification",
    "choices_mean_sojourn",
    "choices_tail",
    "cobham",
    "erlang_b",
    "erlang_c",
    "fork_join_mean",
    "hedge_extra_load",
    "hedged_percentile",
    "hedged_tail",
    "kingman",
    "kingman_bound",
    "largest_fan_out",
    "leaf_percentile",
    "leaf_probability",
    "overload_state",
    "retry_amplification",
    "servers_for",
]
