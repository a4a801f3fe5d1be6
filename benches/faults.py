#!/usr/bin/env python3
"""What faults and checkpoints cost: time from the loss of a worker to the next committed step, and training with
checkpoints every ten steps beside training without.

    cargo build --release
    benches/faults.py [--rounds 5] [--part kill|stop|checkpoints]

Needs nothing but Python. Processes are this script's own; files go to a temporary folder.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKSTEP = Path(os.environ.get("LOCKSTEP", ROOT / "target/release/lockstep"))
JOB = ROOT / "recipes/mnist-lenet5.toml"
# LeNet-5, a batch of 1,024 in 16 lanes.
BATCH = ["batch.size=1024", "batch.micro_batch=64", "metrics.every=1"]


def train(folder, *settings, workers=2, epochs=1):
    line = [LOCKSTEP, "train", JOB, "--out", Path(folder) / "run", "--overwrite", "--json"]
    line += ["--workers", str(workers), "--threads", "1", "--set", f"schedule.epochs={epochs}"]
    for setting in [*BATCH, *settings]:
        line += ["--set", setting]
    return line


def children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text() if Path(f"/proc/{pid}").exists() else ""
    found = set(text.split())
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= set((task / "children").read_text().split())
    return sorted(int(child) for child in found)


def recovery(which, folder):
    """Seconds from the signal to the first step report of the next generation, and the steps' seconds before it."""
    process = subprocess.Popen(train(folder, workers=4, epochs=40), stdout=subprocess.PIPE, text=True)
    arrivals, sent, generation = [], None, None
    try:
        for line in process.stdout:
            now, event = time.monotonic(), json.loads(line)
            if event["kind"] == "job":
                if sent and event["generation"] != generation and event["state"] == "running":
                    generation = "next"
                elif not sent:
                    generation = event["generation"]
            if event["kind"] != "step":
                continue
            if sent and generation == "next":
                return now - sent, statistics.median(arrivals)
            if not sent:
                arrivals.append(1024 / event["samples_per_second"])
                if len(arrivals) == 40:
                    os.kill(children(process.pid)[1], which)
                    sent = time.monotonic()
    finally:
        process.kill()
        process.wait()
    raise SystemExit("the job ended before it recovered")


def print_recovery(name, which, rounds, folder):
    found = [recovery(which, folder) for _ in range(rounds)]
    seconds, steps = [a for a, _ in found], [b for _, b in found]
    print(f"{name:28} median {statistics.median(seconds):7.3f} s  max {max(seconds):7.3f} s  "
          f"(a step takes {statistics.median(steps) * 1000:.1f} ms)", flush=True)


def rate(folder, *settings):
    subprocess.run(train(folder, "metrics.every=50", "evaluate.every_epochs=0", *settings, epochs=6),
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((Path(folder) / "run/summary.json").read_text())["samples_per_second"]


def print_checkpoints(rounds, folder):
    """Pairs, in turns, so that what else the machine does touches both."""
    without, every_ten = [], []
    for _ in range(rounds):
        without.append(rate(folder, "checkpoint.every_epochs=0"))
        every_ten.append(rate(folder, "checkpoint.every_epochs=0", "checkpoint.every_steps=10"))
    slower = statistics.median(1 - b / a for a, b in zip(without, every_ten))
    print(f"{'without checkpoints':28} median {statistics.median(without):9,.0f} samples/s")
    print(f"{'a checkpoint every 10 steps':28} median {statistics.median(every_ten):9,.0f} samples/s  "
          f"slower by {100 * slower:.1f}% (median of pairs)", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--part", choices=["kill", "stop", "checkpoints"])
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.part in (None, "kill"):
            print_recovery("one of four workers killed", signal.SIGKILL, given.rounds, folder)
        if given.part in (None, "stop"):
            print_recovery("one of four workers stopped", signal.SIGSTOP, min(given.rounds, 3), folder)
        if given.part in (None, "checkpoints"):
            print_checkpoints(given.rounds, folder)


if __name__ == "__main__":
    main()
