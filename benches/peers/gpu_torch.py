#!/usr/bin/env python3
"""Training steps of named networks on a GPU in PyTorch: the peer of `lockstep bench gpu`.

    python3 benches/peers/gpu_torch.py [--networks resnet50,mlp] [--precisions f32,bf16] [--variants eager,graph]

Prints a line of JSON for each network, precision and variant, with the keys of the rows `networks` of `lockstep bench
gpu --json`. A step copies pixels of 8 bits from pinned memory, makes inputs of them, goes forward and back, and updates
by fused SGD with momentum; it takes no norms of layers and waits for no loss, as Lockstep's does. The median is over
blocks of steps, with one wait for the GPU behind each block. Everything is channels-last. bf16 is autocast; f32 is f32,
without TF32, as Lockstep's. Variants: eager; graph, the whole step as one CUDA graph; compile, torch.compile; autotune,
the same in its mode max-autotune, which uses CUDA graphs.

Without a GPU it says so and exits with 2. `--device cpu --small` tries the script itself, not how fast anything is.
Residual networks are torchvision's and are left out without it.
"""
import argparse
import importlib.util
import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    sys.exit(f"PyTorch is not there: {error}")

from torch_train import LeNet5

VARIANTS = ["eager", "graph", "compile", "autotune"]
WARM_UP = 5


class Mlp(nn.Module):
    """784-100-10, ReLU."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 100), nn.Linear(100, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def networks(small):
    """By name: how it is made, shape of a sample, classes, batch, steps a block. As src/bench/networks.rs has them."""
    all_of_them = {}
    if importlib.util.find_spec("torchvision"):
        import torchvision

        resnet18, resnet50 = torchvision.models.resnet18, torchvision.models.resnet50
        all_of_them["resnet50"] = (resnet50, (3, 224, 224), 1000, 256, 5)
        all_of_them["resnet18"] = (resnet18, (3, 224, 224), 1000, 256, 5)
        if small:
            all_of_them = {"resnet18": (resnet18, (3, 32, 32), 10, 4, 1)}
    else:
        print("residual networks are left out: torchvision is not there", file=sys.stderr)
    batch, steps = (4, 2) if small else (1024, 100)
    all_of_them["lenet5"] = (LeNet5, (1, 28, 28), 10, batch, steps)
    all_of_them["mlp"] = (Mlp, (1, 28, 28), 10, batch, steps)
    return all_of_them


class Step:
    """One training step over the same batch."""

    def __init__(self, make, shape, classes, batch, precision, variant, device):
        torch.manual_seed(0)
        self.device, self.bf16 = device, precision == "bf16"
        pinned = device == "cuda"
        self.pixels = torch.randint(256, (batch, *shape), dtype=torch.uint8)
        self.pixels = self.pixels.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(classes, (batch,))
        if pinned:
            self.pixels, self.labels = self.pixels.pin_memory(), self.labels.pin_memory()
        self.model = make().to(device, memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.forward = {
            "compile": lambda: torch.compile(self.model),
            "autotune": lambda: torch.compile(self.model, mode="max-autotune"),
        }.get(variant, lambda: self.model)()
        self.on_device = torch.empty_like(self.pixels, device=device), torch.empty_like(self.labels, device=device)
        self.graph = self.captured() if variant == "graph" else None

    def upload(self):
        for to, of_host in zip(self.on_device, (self.pixels, self.labels)):
            to.copy_(of_host, non_blocking=True)

    def compute(self):
        pixels, labels = self.on_device
        self.optimizer.zero_grad(set_to_none=True)
        x = pixels.float().mul_(1 / 128).sub_(1)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            out = self.forward(x)
        F.cross_entropy(out.float(), labels).backward()
        self.optimizer.step()

    def captured(self):
        """The computation as a CUDA graph; what it allocates and chooses is there before, as the capture demands."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.upload()
                self.compute()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.compute()
        return graph

    def run(self):
        self.upload()
        self.graph.replay() if self.graph else self.compute()

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


def measure(network, name, precision, variant, args):
    """A row. What a variant can't do is told in it."""
    make, shape, classes, batch, steps = network
    row = dict(program="pytorch", network=name, batch=batch, precision=precision, variant=variant)
    times = []
    try:
        step = Step(make, shape, classes, batch, precision, variant, args.device)
        for _ in range(WARM_UP):
            step.run()
        for _ in range(args.blocks):
            step.wait()
            start = time.perf_counter()
            for _ in range(steps):
                step.run()
            step.wait()
            times.append((time.perf_counter() - start) / steps)
    except Exception as error:  # Of PyTorch's compilers and of memory there are many kinds.
        return dict(row, images_per_second=None, failure=f"{type(error).__name__}: {error}".splitlines()[0])
    seconds = statistics.median(times)
    return dict(row, images_per_second=batch / seconds, step_seconds=seconds, steps=steps * args.blocks, failure=None)


def chosen(parser, text, known):
    """The names in a list, all without one."""
    names = text.split(",") if text else list(known)
    for name in names:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    return names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--networks", help="all without it")
    parser.add_argument("--precisions", help="all without it")
    parser.add_argument("--variants", help="all without it")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("there is no GPU that PyTorch can use; --device cpu --small tries the script itself", file=sys.stderr)
        sys.exit(2)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    known = networks(args.small)
    names = chosen(parser, args.networks, known)
    precisions = chosen(parser, args.precisions, ["f32", "bf16"])
    variants = chosen(parser, args.variants, VARIANTS if args.device == "cuda" else ["eager", "compile"])
    device = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    for name in names:
        for precision in precisions:
            for variant in variants:
                torch.compiler.reset()
                row = measure(known[name], name, precision, variant, args)
                print(json.dumps(dict(row, version=torch.__version__, device=device)), flush=True)


if __name__ == "__main__":
    main()
