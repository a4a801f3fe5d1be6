#!/usr/bin/env python3
"""The whole training loop of a network in PyTorch: shuffled batches, forward, loss, backward, SGD. Small networks take
MNIST, residual ones random images.

One configuration a call; prints one line of JSON with the median samples per second over timed blocks of steps.
The data is prepared as well as PyTorch can have it: all images as one normalised f32 tensor in memory, a new random
permutation each epoch, one index_select a batch. No value is read back to Python during a block.

With --world N it runs N processes of one thread with DistributedDataParallel over gloo, --batch samples each.

Install (CPU use of the build on PyPI, without its CUDA wheels):
    python3 -m venv venv && . venv/bin/activate
    pip install --no-deps torch torchvision && pip install filelock typing-extensions sympy networkx jinja2 fsspec numpy pillow
    python benches/peers/cuda_stubs.py     # makes the CUDA build importable where there is no CUDA
    apt-get install libtcmalloc-minimal4   # LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
"""
import argparse
import gzip
import json
import os
import resource
import statistics
import time
import warnings

warnings.filterwarnings("ignore")
import torch
import torch.nn.functional as F
from torch import nn

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "mnist")


class Mlp(nn.Module):
    """784-100-10, sigmoid units."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 100), nn.Linear(100, 10)

    def forward(self, x):
        return torch.sigmoid(self.fc2(torch.sigmoid(self.fc1(x.flatten(1)))))


class LeNet5(nn.Module):
    """The network of recipes/mnist-lenet5.toml: pooling before ReLU (the same function, a quarter of the ReLUs)."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = torch.relu(F.max_pool2d(self.conv1(x), 2))
        x = torch.relu(F.max_pool2d(self.conv2(x), 2))
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class Block(nn.Module):
    """A residual block for small images (He et al. 2016) with a parameter-free shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.pad = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y.add_(x), inplace=True)


def resnet20():
    def stage(inputs, outputs, stride):
        return [Block(inputs, outputs, stride), Block(outputs, outputs, 1), Block(outputs, outputs, 1)]

    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    blocks = stage(16, 16, 1) + stage(16, 32, 2) + stage(32, 64, 2)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def residual(name):
    """A network, and as many random images as a few batches."""
    if name == "resnet20":
        return resnet20(), torch.randn(2048, 3, 32, 32), torch.randint(10, (2048,))
    import torchvision

    return getattr(torchvision.models, name)(), torch.randn(64, 3, 224, 224), torch.randint(1000, (64,))


def mnist():
    def read(name, skip):
        with gzip.open(os.path.join(DATA, name)) as file:
            return torch.frombuffer(bytearray(file.read()[skip:]), dtype=torch.uint8)

    images = read("train-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)
    return (images.float() / 255 - 0.1307) / 0.3081, read("train-labels-idx1-ubyte.gz", 8).long()


def batches(images, targets, batch, generator):
    """Endless shuffled batches; a short last batch is dropped."""
    while True:
        order = torch.randperm(len(images), generator=generator)
        for start in range(0, len(images) - batch + 1, batch):
            chosen = order[start : start + batch]
            yield images[chosen], targets[chosen]


def run(rank, args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(rank)
    if args.world > 1:
        import torch.distributed as dist

        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(args.port), GLOO_SOCKET_IFNAME="lo")
        dist.init_process_group("gloo", rank=rank, world_size=args.world)
    if args.model.startswith("resnet"):
        model, images, targets = residual(args.model)
        loss = nn.CrossEntropyLoss()
    else:
        images, labels = mnist()
    if args.model == "mlp":
        model, loss, targets = Mlp(), nn.MSELoss(), F.one_hot(labels, 10).float()
    elif args.model == "lenet5":
        model, loss, targets = LeNet5(), nn.CrossEntropyLoss(), labels
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    if args.world > 1:
        model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=args.fused or None)
    forward = torch.compile(model) if args.compile else model
    source = batches(images, targets, args.batch, torch.Generator().manual_seed(rank))

    def step():
        x, y = next(source)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            out = forward(x)
        loss(out.float(), y).backward()
        optimizer.step()

    heavy = args.model in ("resnet18", "resnet50")
    for _ in range(2 if heavy else 20):
        step()
    start, some = time.perf_counter(), 1 if heavy else 5
    for _ in range(some):
        step()
    steps = torch.tensor([max(1, int(args.seconds / args.blocks / (time.perf_counter() - start) * some))])
    if args.world > 1:
        dist.broadcast(steps, 0)
    times = []
    for _ in range(args.blocks):
        if args.world > 1:
            dist.barrier()
        start = time.perf_counter()
        for _ in range(int(steps)):
            step()
        times.append((time.perf_counter() - start) / int(steps))
    if rank == 0:
        seconds = statistics.median(times)
        result = dict(vars(args), samples_per_second=round(args.world * args.batch / seconds, 2))
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(json.dumps(result), flush=True)
    if args.world > 1:
        dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["mlp", "lenet5", "resnet20", "resnet18", "resnet50"], required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--port", type=int, default=29517)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--blocks", type=int, default=7)
    args = parser.parse_args()
    if args.world > 1:
        torch.multiprocessing.spawn(run, args=(args,), nprocs=args.world)
    else:
        run(0, args)


if __name__ == "__main__":
    main()
