#!/usr/bin/env python3
"""Whole training loops, Lockstep beside PyTorch: the same network, batch, data and cores, in turn in one run.

    cargo build --release
    python3 benches/training.py --python PATH_TO_PYTHON_WITH_TORCH [--rows mlp-64,lenet5-64] [--rounds 3]

How to install the peers: benches/peers/torch_train.py. Each round runs Lockstep and every PyTorch variant once,
so that a slow spell of the machine meets all of them; a figure is the median over rounds of a run's median.
PyTorch counts with its fastest variant; one that is slower than another by a fifth in the first round has no further
ones. Residual networks train on random images. Peaks of memory are those of the largest process, Lockstep's with the
images that it holds. A share of the peak is that of Lockstep's arithmetic, three times the forward pass' by its formula,
in the rate of multiply-adds in registers (built by `cargo build --release --workspace --examples`).
"""
import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOCKSTEP = os.environ.get("LOCKSTEP", os.path.join(HERE, "..", "target", "release", "lockstep"))
PEAK = os.path.join(HERE, "..", "target", "release", "examples", "convolutions")
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"

F32_MLP = ["", "--fused", "--fused --compile"]
F32_LENET = ["", "--channels-last", "--channels-last --fused", "--channels-last --compile", "--fused --compile"]
F32_RESNET = ["--channels-last", "--channels-last --fused", "--channels-last --fused --compile"]
BF16_RESNET = ["--channels-last --bf16 --fused", "--channels-last --bf16 --fused --compile"]
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
    "resnet20-128": ("resnet20", dict(size=128, micro=128, workers=1, threads=1), "resnet20 --batch 128 --threads 1", F32_RESNET, 1.4, 1.8),
    "resnet20-128-two-cores": ("resnet20", dict(size=128, micro=64, workers=1, threads=2), "resnet20 --batch 128 --threads 2", F32_RESNET, 1.4, 1.8),
    "resnet18-16": ("resnet18", dict(size=16, micro=16, workers=1, threads=1), "resnet18 --batch 16 --threads 1", F32_RESNET, 1.3, 1.6),
    "resnet18-16-two-cores": ("resnet18", dict(size=16, micro=8, workers=1, threads=2), "resnet18 --batch 16 --threads 2", F32_RESNET, 1.3, 1.6),
    "resnet50-8": ("resnet50", dict(size=8, micro=8, workers=1, threads=1), "resnet50 --batch 8 --threads 1", F32_RESNET, 1.0, 1.3),
    "resnet50-8-two-cores": ("resnet50", dict(size=8, micro=4, workers=1, threads=2), "resnet50 --batch 8 --threads 2", F32_RESNET, 1.0, 1.3),
    "resnet20-ddp": ("resnet20", dict(size=128, micro=64, workers=2, threads=1), "resnet20 --batch 64 --world 2", ["--channels-last", "--channels-last --fused"], 1.4, 1.8),
    "resnet20-128-bf16": ("resnet20", dict(size=128, micro=128, workers=1, threads=1), "resnet20 --batch 128 --threads 1", BF16_RESNET, 0.0, 1.0),
    "resnet18-16-bf16": ("resnet18", dict(size=16, micro=16, workers=1, threads=1), "resnet18 --batch 16 --threads 1", BF16_RESNET, 0.0, 1.0),
    "resnet50-8-bf16": ("resnet50", dict(size=8, micro=8, workers=1, threads=1), "resnet50 --batch 8 --threads 1", BF16_RESNET, 0.0, 1.0),
    "lenet5-two-processes": ("lenet5", dict(size=1024, micro=64, workers=2, threads=1), dict(size=1024, micro=64, workers=1, threads=1), [], 1.9, 1.98),
}


# samples a second and core, about
GUESS = {"mlp100": 150_000, "lenet5": 30_000, "resnet20": 900, "resnet18": 20, "resnet50": 8}
# images, height and width, classes of random data
RANDOM = {"resnet20": (2048, 32, 10), "resnet18": (64, 224, 1000), "resnet50": (64, 224, 1000)}


def random_images(folder, count, side, classes):
    """The four idx files of a colour data set."""
    os.makedirs(folder)
    for name, count in ("train", count), ("t10k", 16):
        with open(os.path.join(folder, name + "-images-idx4-ubyte"), "wb") as file:
            file.write(struct.pack(">5I", 0x0804, count, 3, side, side) + os.urandom(count * 3 * side * side))
        with open(os.path.join(folder, name + "-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">2I", 0x0801, count) + bytes(i % min(classes, 256) for i in range(count)))


def lockstep(job, settings, seconds):
    """Median of a run's samples_per_second lines, the first fifth left out as warm-up, and the peak in MiB."""
    cores = settings["workers"] * settings["threads"]
    fewest = 8 if job in ("resnet18", "resnet50") else 60
    steps = max(fewest, int(seconds * GUESS[job] * cores / settings["size"]))
    file = "residual" if job in RANDOM else job
    with tempfile.TemporaryDirectory() as out:
        command = [LOCKSTEP, "train", os.path.join(HERE, "jobs", file + ".toml"), "--quiet", "--out", os.path.join(out, "run")]
        if job in RANDOM:
            random_images(os.path.join(out, "data"), *RANDOM[job])
            command += ["--set", f"model.name={job}", "--set", f"data.path={out}/data", "--set", f"data.classes={RANDOM[job][2]}"]
        keys = {
            "batch.size": settings["size"], "batch.micro_batch": settings["micro"], "cluster.workers": settings["workers"],
            "cluster.threads": settings["threads"], "schedule.max_steps": steps, "metrics.every": max(1, steps // 30),
        }
        for key, value in keys.items():
            command += ["--set", f"{key}={value}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"failed: {' '.join(command)}")
        with open(os.path.join(out, "run", "metrics.jsonl")) as lines:
            rates = [row["samples_per_second"] for row in map(json.loads, lines) if row["kind"] == "step"]
    # Of the largest of the process and all below it.
    return statistics.median(rates[len(rates) // 5 :]), usage.ru_maxrss >> 10


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
        return 0.0, 0
    result = json.loads(lines[-1])
    return result["samples_per_second"], result["peak_mib"]


def share_of_peak(job, cores, rate):
    """Of the multiply-adds that cores could make; nothing where the example that measures them is not built."""
    if job not in RANDOM or not os.path.exists(PEAK):
        return "–"
    text = subprocess.run([PEAK, "no convolution"], check=True, stdout=subprocess.PIPE, text=True).stdout
    peak = float(re.search(r"reach (\d+) GFLOP/s", text).group(1)) * 1e9
    show = subprocess.run([LOCKSTEP, "model", "show", job, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    operations = sum(layer["operations"] for layer in json.loads(show)["layers"])
    return f"{3 * operations * rate / (peak * cores):.2f}"


def measure(name, args):
    job, ours, peer, variants, must, aim = ROWS[name]
    mine, theirs = [], {}
    for round in range(args.rounds):
        if round > 0 and len(theirs) > 1:
            fastest = max(runs[0][0] for runs in theirs.values())
            variants = [variant for variant in variants if theirs[variant or "eager"][0][0] > fastest / 1.2]
        mine.append(lockstep(job, ours, args.seconds))
        if isinstance(peer, dict):
            theirs.setdefault("one process", []).append(lockstep(job, peer, args.seconds))
        for variant in variants:
            theirs.setdefault(variant or "eager", []).append(pytorch(args.python, peer, variant, args.seconds))
    median = lambda runs, what: statistics.median(run[what] for run in runs)
    best = max(theirs, key=lambda variant: median(theirs[variant], 0))
    own, other = median(mine, 0), median(theirs[best], 0)
    ratio = own / other
    verdict = "aim met" if ratio >= aim else "must met" if ratio >= must else "MISSED"
    peaks = f"{median(mine, 1):,.0f} / {median(theirs[best], 1):,.0f}"
    share = share_of_peak(job, ours["workers"] * ours["threads"], own)
    print(f"| {name} | {own:,.1f} | {other:,.1f} ({best}) | {ratio:.2f} × | {must} × / {aim} × | {verdict} | {peaks} | {share} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    args = parser.parse_args()
    print("| work | Lockstep, samples/s | best peer, samples/s | ratio | must / aim | | peak MiB, ours / theirs | share of peak |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in args.rows.split(","):
        measure(name, args)


if __name__ == "__main__":
    main()
