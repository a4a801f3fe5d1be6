#!/usr/bin/env python3
"""Depth with shortcuts and without: recipes/mnist-depth.toml at several depths, and a picture of the training losses.

    cargo build --release
    python3 benches/depth.py OUT [--depths 20,32,44,56] [--seeds 1] [--jobs 2]

Runs take one core each, `--jobs` of them at once; a run that is in OUT already is not made again. OUT/depth.csv has the
mean training loss of the last 50 steps of each run; with matplotlib there is OUT/depth.svg.
"""
import argparse
import concurrent.futures
import csv
import json
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
LOCKSTEP = os.environ.get("LOCKSTEP", os.path.join(HERE, "..", "target", "release", "lockstep"))
KINDS = {"residual": "true", "plain": "false"}
LAST = 50


def losses(args, kind, depth, seed):
    """The training loss of each step."""
    run = os.path.join(args.out, f"{kind}-{depth}-{seed}")
    if not os.path.exists(os.path.join(run, "summary.json")):
        command = [LOCKSTEP, "train", os.path.join(HERE, "..", "recipes", "mnist-depth.toml"), "--quiet", "--overwrite", "--out", run]
        for key in f"model.name=resnet{depth}", f"model.shortcuts={KINDS[kind]}", f"seed={seed}":
            command += ["--set", key]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(run, "metrics.jsonl")) as lines:
        return [row["loss"] for row in map(json.loads, lines) if row["kind"] == "step"]


def draw(curves, ends, depths, path):
    try:
        import matplotlib
    except ImportError:
        return print("no picture: matplotlib is not installed")
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4), sharey=True)
    shades = {depth: str(0.75 - 0.75 * i / max(1, len(depths) - 1)) for i, depth in enumerate(depths)}
    for axis, kind in zip(axes, KINDS):
        for depth in depths:
            steps = next(curve for (k, d, _), curve in curves.items() if (k, d) == (kind, depth))
            smooth = [statistics.mean(steps[max(0, i - 20) : i + 1]) for i in range(len(steps))]
            axis.plot(range(1, len(smooth) + 1), smooth, color=shades[depth], label=f"{depth} layers")
        axis.set(title=kind, xlabel="step", yscale="log")
        axis.legend()
    axes[0].set(ylabel="training loss (mean of 20 steps)")
    for kind, style in zip(KINDS, ("o-", "s--")):
        axes[2].plot(depths, [statistics.mean(ends[kind, depth]) for depth in depths], style, color="black", label=kind)
    axes[2].set(title=f"mean of the last {LAST} steps", xlabel="layers", xticks=depths)
    axes[2].legend()
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--depths", default="20,32,44,56")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    depths, seeds = ([int(part) for part in text.split(",")] for text in (args.depths, args.seeds))
    keys = [(kind, depth, seed) for depth in depths for kind in KINDS for seed in seeds]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        curves = dict(zip(keys, pool.map(lambda key: losses(args, *key), keys)))
    ends = {}
    for (kind, depth, _), curve in curves.items():
        ends.setdefault((kind, depth), []).append(statistics.mean(curve[-LAST:]))
    with open(os.path.join(args.out, "depth.csv"), "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["kind", "layers", f"training_loss_of_last_{LAST}_steps"])
        table.writerows([kind, depth, f"{statistics.mean(values):.5f}"] for (kind, depth), values in ends.items())
    print("| layers | residual | plain |\n|---|---|---|")
    for depth in depths:
        print(f"| {depth} | " + " | ".join(f"{statistics.mean(ends[kind, depth]):.4f}" for kind in KINDS) + " |")
    draw(curves, ends, depths, os.path.join(args.out, "depth.svg"))


if __name__ == "__main__":
    main()
