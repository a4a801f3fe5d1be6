"""A study of many small jobs: `lockstep study run` beside the same grid in PyTorch, one process a core.

    cargo build --release
    python3 benches/studies.py [--jobs 100] [--epochs 1] [--rounds 3] [--python python3]

`--python` names an interpreter that has torch; without one that has, the peer is left out and said so. Both take turns.
Prints medians of wall time, jobs an hour, and the share of all cores that was busy: CPU seconds of the process and all its
children over wall time × cores. What else runs on the machine shows in both, and makes shares smaller."""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HIDDEN = 100
BATCHES = [32, 64, 128, 256]
RATES = [0.05, 0.1, 0.2, 0.3, 0.4]


def recipe(folder, seeds, epochs):
    """The grid: 4 batches × 5 learning rates × seeds."""
    base = folder / "job.toml"
    base.write_text(
        f"""
[data]
path = "{ROOT / "data/mnist"}"
mean = 0.1307
std = 0.3081
[model]
name = "mlp"
hidden = [{HIDDEN}]
[batch]
size = 32
micro_batch = 32
[schedule]
epochs = {epochs}
"""
    )
    study = folder / "study.toml"
    study.write_text(
        f"""
[study]
title = "Many small jobs"
base = "job.toml"
seeds = {seeds}
[rate]
list = {RATES}
[[arm]]
name = "plain"
batch = {BATCHES}
rate = "listed"
"""
    )
    return study


def timed(command, **more):
    """Wall seconds, CPU seconds of it and its children, and what it printed."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **more)
    wall, after = time.time() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with {done.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def has_torch(python):
    return subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--binary", default=str(ROOT / "target/release/lockstep"))
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    seeds = max(1, arguments.jobs // (len(BATCHES) * len(RATES)))
    count = seeds * len(BATCHES) * len(RATES)
    grid = [
        {"batch": batch, "learning_rate": rate, "seed": seed, "hidden": HIDDEN, "epochs": arguments.epochs}
        for batch in BATCHES
        for rate in RATES
        for seed in range(seeds)
    ]
    peer = has_torch(arguments.python)
    if not peer:
        print(f"{arguments.python} has no torch: the peer is left out (name another with --python)")
    taken = {"lockstep": [], "torch": []}
    errors = {}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            study = recipe(pathlib.Path(scratch), seeds, arguments.epochs)
            out = pathlib.Path(scratch) / "out"
            command = [arguments.binary, "study", "run", str(study), "--out", str(out), "--quiet"]
            wall, cpu, _ = timed(command)
            taken["lockstep"].append((wall, cpu))
            rows = (out / "tables/jobs.csv").read_text().splitlines()
            column = rows[0].split(",").index("test_error")
            errors["lockstep"] = [float(row.split(",")[column]) for row in rows[1:]]
        if peer:
            command = [arguments.python, str(ROOT / "benches/peers/torch_grid.py"), str(ROOT / "data/mnist"), str(cores)]
            wall, cpu, said = timed(command, input=json.dumps(grid))
            taken["torch"].append((wall, cpu))
            errors["torch"] = json.loads(said)["test_errors"]
    print(f"{count} jobs of {arguments.epochs} epochs, {cores} cores, medians of {arguments.rounds} rounds; load {os.getloadavg()[0]:.1f}")
    print(f"{'':10} {'seconds':>8} {'jobs/h':>8} {'cores busy':>10} {'CPU s/job':>9} {'mean test error':>15}")
    for name, rounds in taken.items():
        if rounds:
            wall, cpu = (statistics.median(part) for part in zip(*rounds))
            busy = statistics.median(c / w / cores for w, c in rounds)
            error = statistics.mean(errors[name])
            print(f"{name:10} {wall:8.1f} {count / wall * 3600:8.0f} {busy:10.1%} {cpu / count:9.3f} {error:15.2%}")
    if taken["torch"]:
        ratios = [b[0] / a[0] for a, b in zip(taken["lockstep"], taken["torch"])]
        print(f"lockstep does {statistics.median(ratios):.2f} × the jobs an hour")


if __name__ == "__main__":
    main()
