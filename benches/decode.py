#!/usr/bin/env python3
"""Files to pixels on one core, Lockstep beside torchvision and OpenCV, in turn in one run.

    python3 benches/decode.py --python PATH_TO_PYTHON_WITH_TORCH --imagenet FOLDER_OF_TARS [--cifar TAR.ZST] [--rounds 5]
        [--features turbojpeg]

The tars hold JPEGs, as WebDataset has them; without them there is nothing to measure. How to install the peers:
benches/peers/image_loading.py. A figure is images a second of CPU time, the median over rounds, each of
which does everything once, after a pass of warm-up. `train` is decoding, a random resized crop to 224, a flip in half of
the cases, and normalisation to f32.
"""
import argparse
import glob
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
OURS = os.path.join(TARGET, "release", "examples", "decode")
PEERS = os.path.join(HERE, "peers", "image_loading.py")
# Of a work, by the feature that Lockstep is built with: times the best of a library's variants: must, aim.
GOALS = {
    ("ImageNet", "train", ""): {"torchvision": (1.2, 1.4)},
    ("ImageNet", "train", "turbojpeg"): {"torchvision": (1.7, 2.0), "OpenCV": (1.25, 1.4)},
}


def unpack(tars, folder):
    os.makedirs(folder)
    for number, tar in enumerate(tars):
        with tar:
            for member in tar:
                if member.name.endswith(".jpg"):
                    name = f"{number:04}-{os.path.basename(member.name)}"
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(tar.extractfile(member).read())


def run(command, core):
    command = ["taskset", "-c", core] + command
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()


def measure(data, folder, works, args):
    rates = {}
    for _ in range(args.rounds):
        for line in run([OURS, folder, *works], args.core):
            work, rate = line.split()
            rates.setdefault((work, "Lockstep"), []).append(float(rate))
        for line in run([args.python, PEERS, folder, *works], args.core):
            work, peer, rate = line.split("\t")
            rates.setdefault((work, peer), []).append(float(rate))
    medians = {key: statistics.median(values) for key, values in rates.items()}
    for work in works:
        peers = {peer: rate for (of, peer), rate in medians.items() if of == work and peer != "Lockstep"}
        ours = medians[work, "Lockstep"]
        others = ", ".join(f"{peer} {rate:,.0f} ({ours / rate:.2f} ×)" for peer, rate in peers.items())
        verdicts = []
        for library, (must, aim) in GOALS.get((data, work, args.features), {}).items():
            ratio = ours / max(rate for peer, rate in peers.items() if peer.startswith(library))
            found = "aim met" if ratio >= aim else "must met" if ratio >= must else "MISSED"
            verdicts.append(f"{must} × / {aim} × {library}: {found}")
        print(f"| {data}, {work} | {ours:,.0f} | {others} | {'; '.join(verdicts)} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--imagenet", default="")
    parser.add_argument("--cifar", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", default="1")
    parser.add_argument("--features", default="", choices=["", "turbojpeg"])
    args = parser.parse_args()
    tars = sorted(glob.glob(os.path.join(args.imagenet, "*.tar"))) if args.imagenet else []
    if not tars and not args.cifar:
        print("skipped: no tars of images (--imagenet, --cifar)")
        return
    build = ["cargo", "build", "--release", "--quiet", "-p", "lockstep-dataset", "--example", "decode"]
    subprocess.run(build + ["--features", args.features], cwd=HERE, check=True)
    print("| work | Lockstep, images/s | peers, images/s (ours over theirs) | must / aim |")
    print("|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        if tars:
            folder = os.path.join(scratch, "imagenet")
            unpack(map(tarfile.open, tars), folder)
            measure("ImageNet", folder, ["decode", "train", "evaluate"], args)
        if args.cifar:
            folder = os.path.join(scratch, "cifar")
            inner = subprocess.run(["zstd", "-dc", args.cifar], check=True, stdout=subprocess.PIPE)
            archive = os.path.join(scratch, "cifar.tar")
            with open(archive, "wb") as file:
                file.write(inner.stdout)
            with tarfile.open(archive) as outer:
                name = min(member.name for member in outer if member.name.endswith(".tar"))
                unpack([tarfile.open(fileobj=outer.extractfile(name))], folder)
            measure("CIFAR", folder, ["decode"], args)


if __name__ == "__main__":
    main()
