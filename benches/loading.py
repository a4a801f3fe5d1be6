#!/usr/bin/env python3
"""The loader by itself: what it costs beyond decoding, what a second thread brings, small JPEGs beside PyTorch's DataLoader,
and a bucket 20 ms away beside a local disk.

    python3 benches/loading.py --imagenet FOLDER_OF_TARS [--cifar TAR.ZST --python PYTHON_WITH_TORCH]
                               [--moto PACKAGES] [--nginx NGINX] [--rounds 5] [--seconds 5]

PACKAGES is a folder with the Python package moto (target/moto, if `.ci/run` has put it there); NGINX the web server's
binary. A figure is the median over rounds, each of which does everything once.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
LOCKSTEP = os.path.join(TARGET, "release", "lockstep")
DELAY = os.path.join(TARGET, "release", "examples", "delay")
RECIPE = os.path.join(HERE, "..", "recipes", "imagenet-resnet50.toml")
# Copies of each picture: as much to read as some shards of ImageNet.
COPIES = 20


def prepare(out, train, test, classes, *more):
    names = os.path.join(os.path.dirname(out), "classes")
    with open(names, "w") as file:
        file.writelines(f"{name}\n" for name in range(classes))
    for split, tars in (("train", train), ("test", test)):
        command = [LOCKSTEP, "data", "prepare", *tars, "--out", out, "--split", split, "--classes", names, *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(data, threads, args, *settings, env=(), core=None, micro_batch=32):
    keys = [f"data.path={data}", f"batch.size={micro_batch}", f"batch.micro_batch={micro_batch}", *settings]
    command = [LOCKSTEP, "bench", "data", RECIPE, "--json", "--threads", str(threads), "--seconds", str(args.seconds)]
    command += [part for key in keys for part in ("--set", key)]
    if core is not None:
        command = ["taskset", "-c", core, *command]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **dict(env)}, text=True)
    return json.loads(run.stdout)


def rate(report):
    return report["loader"][-1]["images_per_second"]


def told(name, values, goal):
    print(f"{name}: {statistics.median(values):.3f} ({', '.join(f'{value:.3f}' for value in values)}; {goal})", flush=True)


def overhead_and_threads(data, args):
    reports = [measure(data, 2, args) for _ in range(args.rounds)]
    told("loader beyond decoding and augmenting", [report["overhead"] for report in reports], "must ≤ 0.10, aim 0.03")
    scaling = [rate(report) / report["loader"][0]["images_per_second"] for report in reports]
    told("two threads over one", scaling, "must 1.9, aim 1.97")
    print(f"  images/s with two: {statistics.median(map(rate, reports)):,.0f}")


def cifar(folder, args):
    subprocess.run(["tar", "--zstd", "-xf", args.cifar, "-C", folder], check=True)
    tars = sorted(glob.glob(os.path.join(folder, "**", "*.tar"), recursive=True))
    data = os.path.join(folder, "data")
    prepare(data, tars[:-1], tars[-1:], 10)
    keys = ("data.classes=10", "augment.random_resized_crop=[]", "augment.flip=false")
    ours, decoding, peers = [], [], {}
    for _ in range(args.rounds):
        # So small a set lives decoded in memory; with a size it is decoded each time.
        for rates, size in ((ours, 0), (decoding, 32)):
            sizes = (f"data.size={size}", f"data.resize={size}")
            rates.append(rate(measure(data, 1, args, *keys, *sizes, core="0", micro_batch=128)))
        peer = os.path.join(HERE, "peers", "data_loader.py")
        command = ["taskset", "-c", "0", args.python, peer, str(args.seconds), *tars[:-1]]
        for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
            name, value = line.split("\t")
            peers.setdefault(name, []).append(float(value))
    print(f"CIFAR's JPEGs, decoded once: {statistics.median(ours):,.0f} images/s on one core")
    print(f"  decoded each time: {statistics.median(decoding):,.0f}")
    best = [max(values) for values in zip(*peers.values())]
    for name, values in peers.items():
        print(f"  {name}: {statistics.median(values):,.0f}")
    told("  over the best of those", [own / peer for own, peer in zip(ours, best)], "must 10, aim 30")
    told("  decoded each time", [own / peer for own, peer in zip(decoding, best)], "")


class Far:
    """A server, and a proxy that answers 20 ms later."""

    def __init__(self, server, port):
        self.server = server
        self.proxy = subprocess.Popen([DELAY, f"127.0.0.1:{port}", "20"], stdout=subprocess.PIPE, text=True)
        self.address = f"http://{self.proxy.stdout.readline().strip()}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proxy.kill()
        self.server.kill()


def bucket(folder, local, args):
    """A real S3 server, in Python: its own speed does not matter once shards are kept."""
    script = os.path.join(HERE, "..", "tests", "lockstep", "s3_server.py")
    server = subprocess.Popen([sys.executable, script, local], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": args.moto})
    with Far(server, server.stdout.readline().strip()) as far:
        env = {"AWS_ENDPOINT_URL": far.address, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
               "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        near, first, kept = [], [], []
        for number in range(args.rounds):
            env["LOCKSTEP_CACHE"] = os.path.join(folder, f"cache-{number}")
            near.append(rate(measure(local, 2, args)))
            # Upon an empty cache.
            first.append(rate(measure("s3://data/set", 2, args, env=env.items())))
            kept.append(rate(measure("s3://data/set", 2, args, env=env.items())))
        print(f"local: {statistics.median(near):,.0f} images/s with two threads")
        told("a bucket 20 ms away, while shards come, over local", [far / at for far, at in zip(first, near)], "")
        told("the same once shards are kept, over local", [far / at for far, at in zip(kept, near)], "must 0.8, aim 0.95")


def web(folder, local, args):
    """Sample by sample, by a web server in C."""
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as file:
        file.write(f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null; user root;
            events {{}} http {{ access_log off; keepalive_requests 1000000;
            server {{ listen 127.0.0.1:{args.port}; root {os.path.dirname(local)}; }} }}""")
    server = subprocess.Popen([args.nginx, "-c", config, "-p", folder])
    with Far(server, args.port) as far:
        place = f"{far.address}/{os.path.basename(local)}"
        near, uncached = [], []
        for number in range(args.rounds):
            cache = {"LOCKSTEP_CACHE": os.path.join(folder, f"none-{number}")}
            near.append(rate(measure(local, 2, args)))
            uncached.append(rate(measure(place, 2, args, "data.cache_bytes=0", env=cache.items())))
        told("a web server 20 ms away, nothing kept, over local", [far / at for far, at in zip(uncached, near)], "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--imagenet", required=True)
    parser.add_argument("--cifar")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--moto")
    parser.add_argument("--nginx")
    parser.add_argument("--port", type=int, default=8014)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    tars = sorted(glob.glob(os.path.join(args.imagenet, "*.tar")))
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "imagenet")
        copies = []
        for number in range(COPIES):
            for tar in tars:
                copies.append(os.path.join(folder, f"{number:02}-{os.path.basename(tar)}"))
                renamed(tar, copies[-1], number)
        prepare(local, copies, tars[:1], 1000, "--shard-size", "32MB")
        overhead_and_threads(local, args)
        if args.cifar:
            with tempfile.TemporaryDirectory() as other:
                cifar(other, args)
        if args.moto:
            bucket(folder, local, args)
        if args.nginx:
            web(folder, local, args)


def renamed(tar, copy, number):
    """The same pictures under other names: keys must not come twice."""
    with tarfile.open(tar) as source, tarfile.open(copy, "w", format=tarfile.USTAR_FORMAT) as target:
        for member in source:
            member.name = f"{number:02}-{os.path.basename(member.name)}"
            target.addfile(member, source.extractfile(member))


if __name__ == "__main__":
    main()
