#!/usr/bin/env python3
"""ResNet-20 on CIFAR-10, ten epochs, Lockstep beside PyTorch with the same recipe: mean test accuracies over seeds.

    cargo build --release
    python3 benches/cifar10.py prepare TARS DATA        # WebDataset tars (NNN.jpg + NNN.cls) to idx files; needs Pillow
    python3 benches/cifar10.py run DATA OUT --python PATH_TO_PYTHON_WITH_TORCH [--seeds 1,2,3] [--jobs 2]
        [--threads 1] [--peer-device cpu]

Lockstep's runs take `--threads` cores each and have the same bits for any number of them, PyTorch's take one, or a GPU;
`--jobs` go at once. A run that is in OUT already is not made again. OUT/curves.csv has
test accuracy and mean training loss of each epoch; with matplotlib there is OUT/curves.svg. How to install the peer:
benches/peers/torch_train.py.
"""
import argparse
import concurrent.futures
import csv
import glob
import io
import json
import math
import os
import statistics
import struct
import subprocess
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOCKSTEP = os.environ.get("LOCKSTEP", os.path.join(HERE, "..", "target", "release", "lockstep"))
FRAMEWORKS = ("Lockstep", "PyTorch")


def prepare(args):
    from PIL import Image

    os.makedirs(args.out, exist_ok=True)
    for name, pattern in ("train", "train-*.tar"), ("t10k", "test-*.tar"):
        pixels, labels = bytearray(), bytearray()
        for path in sorted(glob.glob(os.path.join(args.tars, pattern))):
            with tarfile.open(path) as tar:
                for member in tar:
                    data = tar.extractfile(member).read()
                    if member.name.endswith(".cls"):
                        labels.append(int(data))
                    elif member.name.endswith(".jpg"):
                        for channel in Image.open(io.BytesIO(data)).convert("RGB").split():
                            pixels += channel.tobytes()
        count = len(labels)
        assert count > 0 and len(pixels) == count * 3 * 32 * 32, f"{pattern}: {count} labels, {len(pixels)} bytes"
        with open(os.path.join(args.out, name + "-images-idx4-ubyte"), "wb") as file:
            file.write(struct.pack(">5I", 0x0804, count, 3, 32, 32) + pixels)
        with open(os.path.join(args.out, name + "-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">2I", 0x0801, count) + labels)
        print(f"{name}: {count} images")


def lockstep(args, seed):
    """(epoch, test accuracy, mean training loss) of each epoch."""
    run = os.path.join(args.out, f"lockstep-{seed}")
    if not os.path.exists(os.path.join(run, "summary.json")):
        command = [LOCKSTEP, "train", os.path.join(HERE, "jobs", "cifar10-resnet20.toml"), "--quiet", "--overwrite", "--out", run]
        keys = {"seed": seed, "data.path": os.path.abspath(args.data), "schedule.epochs": args.epochs, "metrics.every": 1}
        keys["cluster.threads"] = args.threads
        if args.limit:
            keys["data.limit"] = args.limit
        for key, value in keys.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    losses, curve = [], []
    with open(os.path.join(run, "metrics.jsonl")) as lines:
        for row in map(json.loads, lines):
            if row["kind"] == "step":
                losses.append(row["loss"])
            elif row["kind"] == "evaluation":
                curve.append((row["epoch"], row["accuracy"], statistics.mean(losses)))
                losses = []
    return curve


def pytorch(args, seed):
    path = os.path.join(args.out, f"pytorch-{seed}.jsonl")
    if not os.path.exists(path):
        command = [args.python, os.path.join(HERE, "peers", "torch_cifar10.py"), args.data, "--seed", str(seed)]
        command += ["--epochs", str(args.epochs), "--device", args.peer_device]
        command += (["--limit", str(args.limit)] if args.limit else [])
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        with open(path, "w") as file:
            file.write(result.stdout)
    with open(path) as lines:
        return [(row["epoch"], row["test_accuracy"], row["train_loss"]) for row in map(json.loads, lines)]


def standard_error(values):
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def run(args):
    os.makedirs(args.out, exist_ok=True)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        work = {(name, seed): pool.submit(one, args, seed) for seed in seeds for name, one in zip(FRAMEWORKS, (lockstep, pytorch))}
        curves = {key: future.result() for key, future in work.items()}
    with open(os.path.join(args.out, "curves.csv"), "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["framework", "seed", "epoch", "test_accuracy", "mean_training_loss"])
        for (name, seed), curve in curves.items():
            table.writerows([name, seed, epoch, f"{accuracy:.4f}", f"{loss:.5f}"] for epoch, accuracy, loss in curve)
    last = {name: [curves[name, seed][-1][1] for seed in seeds] for name in FRAMEWORKS}
    for name, values in last.items():
        each = ", ".join(f"{value:.2%}" for value in values)
        print(f"{name}: {statistics.mean(values):.2%} ± {standard_error(values):.2%} (standard error; {each})")
    ours, theirs = last.values()
    difference = statistics.mean(ours) - statistics.mean(theirs)
    error = math.hypot(standard_error(ours), standard_error(theirs))
    print(f"difference {difference:+.2%}, its standard error {error:.2%}: {abs(difference) / error:.1f} of them")
    draw(curves, os.path.join(args.out, "curves.svg"))


def draw(curves, path):
    try:
        import matplotlib
    except ImportError:
        return print("no picture: matplotlib is not installed")
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4))
    for (name, seed), curve in curves.items():
        epochs, accuracies, losses = zip(*curve)
        style = dict(color="black" if name == "Lockstep" else "0.6", linestyle="-" if name == "Lockstep" else "--")
        label = name if seed == min(seed for _, seed in curves) else None
        axes[0].plot(epochs, [100 * a for a in accuracies], label=label, **style)
        axes[1].plot(epochs, losses, **style)
    axes[0].set(xlabel="epoch", ylabel="test accuracy, %")
    axes[1].set(xlabel="epoch", ylabel="mean training loss", yscale="log")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("prepare")
    verb.add_argument("tars")
    verb.add_argument("out")
    verb.set_defaults(run=prepare)
    verb = verbs.add_parser("run")
    verb.add_argument("data")
    verb.add_argument("out")
    verb.add_argument("--python", default="python3")
    verb.add_argument("--seeds", default="1,2,3")
    verb.add_argument("--epochs", type=int, default=10)
    verb.add_argument("--limit", type=int, help="train on the first so many images")
    verb.add_argument("--jobs", type=int, default=os.cpu_count())
    verb.add_argument("--threads", type=int, default=1)
    verb.add_argument("--peer-device", default="cpu")
    verb.set_defaults(run=run)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
