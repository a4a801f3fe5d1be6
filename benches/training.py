#!/usr/bin/env python3
"""Whole training loops, Lockstep beside PyTorch: the same network, batch, data and cores, in turn in one run.

    cargo build --release
    python3 benches/training.py --python PATH_TO_PYTHON_WITH_TORCH [--rows mlp-64,lenet5-64] [--rounds 3]

How to install the peers: benches/peers/torch_train.py. Each round runs Lockstep and every PyTorch variant once,
so that a slow spell of the machine meets all of them; a figure is the median over rounds of a run's median.
PyTorch counts with its fastest variant.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOCKSTEP = os.environ.get("LOCKSTEP", os.path.join(HERE, "..", "target", "release", "lockstep"))
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"

F32_MLP = ["", "--fused", "--fused --compile"]
F32_LENET = ["", "--channels-last", "--channels-last --fused", "--channels-last --compile", "--fused --compile"]
BF16_LENET = ["--channels-last --bf16", "--channels-last --bf16 --fused --compile"]

# row: (our job, our settings, PyTorch's model and settings, PyTorch's variants, must, aim)
ROWS = {
    "mlp-64": ("mlp100", dict(size=64, micro=64, workers=1, threads=1), "mlp --batch 64 --threads 1", F32_MLP, 2.0, 2.3),
    "mlp-1024-two-cores": ("mlp100", dict(size=1024, micro=128, workers=1, threads=2), "mlp --batch 1024 --threads 2", F32_MLP, 1.25, 1.5),
    "lenet5-64": ("lenet5", dict(size=64, micro=64, workers=1, threads=1), "lenet5 --batch 64 --threads 1", F32_LENET, 2.7, 3.0),
    "lenet5-1024": ("lenet5", dict(size=1024, micro=64, workers=1, threads=1), "lenet5 --batch 1024 --threads 1", F32_LENET, 2.3, 3.0),
    "lenet5-1024-two-cores": ("lenet5", dict(size=1024, micro=64, workers=1, threads=2), "lenet5 --batch 1024 --threads 2", F32_LENET, 3.0, 4.0),
    "lenet5-1024-two-cores-bf16": ("lenet5", dict(size=1024, micro=64, workers=1, threads=2), "lenet5 --batch 1024 --threads 2", BF16_LENET, 1.0, 1.0),
    "mlp-ddp": ("mlp100", dict(size=128, micro=64, workers=2, threads=1), "mlp --batch 64 --world 2", ["", "--fused"], 7.0, 10.0),
    "lenet5-ddp": ("lenet5", dict(size=128, micro=64, workers=2, threads=1), "lenet5 --batch 64 --world 2", ["--channels-last", "--channels-last --fused"], 4.5, 5.0),
    "lenet5-two-processes": ("lenet5", dict(size=1024, micro=64, workers=2, threads=1), dict(size=1024, micro=64, workers=1, threads=1), [], 1.9, 1.98),
}


def lockstep(job, settings, seconds):
    """Median of a run's samples_per_second lines, the first fifth left out as warm-up."""
    guess = 150_000 if job == "mlp100" else 30_000
    cores = settings["workers"] * settings["threads"]
    steps = max(60, int(seconds * guess * cores / settings["size"]))
    with tempfile.TemporaryDirectory() as out:
        command = [LOCKSTEP, "train", os.path.join(HERE, "jobs", job + ".toml"), "--quiet", "--out", os.path.join(out, "run")]
        keys = {
            "batch.size": settings["size"], "batch.micro_batch": settings["micro"], "cluster.workers": settings["workers"],
            "cluster.threads": settings["threads"], "schedule.max_steps": steps, "metrics.every": max(1, steps // 30),
        }
        for key, value in keys.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(out, "run", "metrics.jsonl")) as lines:
            rates = [row["samples_per_second"] for row in map(json.loads, lines) if row["kind"] == "step"]
    return statistics.median(rates[len(rates) // 5 :])


def pytorch(python, setting, variant, seconds):
    command = [python, os.path.join(HERE, "peers", "torch_train.py"), "--seconds", str(seconds), "--model"]
    environment = dict(os.environ)
    if os.path.exists(TCMALLOC):
        environment["LD_PRELOAD"] = TCMALLOC
    environment.pop("OPENBLAS_CORETYPE", None)
    result = subprocess.run(command + setting.split() + variant.split(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if not lines:  # some versions abort at their end, after the figure
        print(f"PyTorch failed: {setting} {variant}", file=sys.stderr)
        return 0.0
    return json.loads(lines[-1])["samples_per_second"]


def measure(name, args):
    job, ours, peer, variants, must, aim = ROWS[name]
    mine, theirs = [], {}
    for _ in range(args.rounds):
        mine.append(lockstep(job, ours, args.seconds))
        if isinstance(peer, dict):
            theirs.setdefault("one process", []).append(lockstep(job, peer, args.seconds))
        for variant in variants:
            theirs.setdefault(variant or "eager", []).append(pytorch(args.python, peer, variant, args.seconds))
    medians = {variant: statistics.median(rates) for variant, rates in theirs.items()}
    best = max(medians, key=medians.get)
    own = statistics.median(mine)
    ratio = own / medians[best]
    verdict = "aim met" if ratio >= aim else "must met" if ratio >= must else "MISSED"
    print(f"| {name} | {own:,.0f} | {medians[best]:,.0f} ({best}) | {ratio:.2f} × | {must} × / {aim} × | {verdict} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    args = parser.parse_args()
    print("| work | Lockstep, samples/s | best peer, samples/s | ratio | must / aim | |\n|---|---|---|---|---|---|", flush=True)
    for name in args.rows.split(","):
        measure(name, args)


if __name__ == "__main__":
    main()
