"""The busiest windows of the public request logs, against the files themselves."""

import numpy as np
import pytest

from syslab import facts
from syslab.serving import find_data, read_azure


@pytest.mark.parametrize(("log", "file"), [("chat", "conv"), ("code", "code")])
@pytest.mark.parametrize("window_s", [1, 10, 300])
def test_peaks_counted_over_the_files(log, file, window_s):
    filename = f"AzureLLMInferenceTrace_{file}.csv"
    path = find_data(filename)
    if path is None:
        pytest.skip(
            f"not proven here: {filename} is missing (peaks of arrivals); download it from "
            "Azure/AzurePublicDataset and set SYSLAB_DATA to its folder"
        )
    trace = read_azure(path)
    counts = np.bincount((trace.arrival_s // window_s).astype(int))
    peak = counts.max() / window_s / trace.requests_per_s
    recorded = facts.constant(f"azure_peak.{log}_{window_s}s")
    assert float(f"{peak:.3g}") == recorded
