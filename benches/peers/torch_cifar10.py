#!/usr/bin/env python3
"""benches/jobs/cifar10-resnet20.toml in PyTorch: the same network, initial distribution, batches, augmentation, optimiser and
learning rates. One seed a call; a line of JSON for each epoch, with the test accuracy and the mean training loss. On a
GPU in plain f32 as well.

How to install: torch_train.py.
"""
import argparse
import json
import math
import os
import struct

import torch
import torch.nn.functional as F
from torch import nn

from torch_train import resnet20

MEAN, STD = 0.4734, 0.2516


def idx(path):
    with open(path, "rb") as file:
        data = file.read()
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    return torch.frombuffer(bytearray(data[4 + 4 * dimensions :]), dtype=torch.uint8).view(shape)


def load(folder, name):
    images = idx(os.path.join(folder, f"{name}-images-idx4-ubyte"))
    images = ((images.float() / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)
    return images, idx(os.path.join(folder, f"{name}-labels-idx1-ubyte")).long()


def augment(x, generator):
    """Black around each image by 4, a window of its size, half of them mirrored."""
    n, _, height, width = x.shape
    x = F.pad(x, (4, 4, 4, 4), value=-MEAN / STD)
    top, left = (torch.randint(9, (n, 1), generator=generator) for _ in range(2))
    columns = torch.arange(width).expand(n, -1)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
    columns = (torch.where(mirrored, columns.flip(1), columns) + left).to(x.device)
    rows = (torch.arange(height) + top).to(x.device)
    # Indices apart from one another put the channels last: (n, height, width, channels).
    x = x[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return x.permute(0, 3, 1, 2)


def initialise(net):
    """He et al. 2015, fan in, for convolutions and the last layer, whose biases are 0."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.zeros_(net[-1].bias)


@torch.no_grad()
def accuracy(net, images, labels):
    net.eval()
    right = sum((net(x).argmax(1) == y).sum().item() for x, y in zip(images.split(500), labels.split(500)))
    net.train()
    return right / len(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--micro", type=int, default=32, help="samples of a batch that go at once")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    (images, labels), test = load(args.data, "train"), load(args.data, "t10k")
    images, labels = images[: args.limit].to(args.device), labels[: args.limit].to(args.device)
    test = [part.to(args.device) for part in test]
    net = resnet20()
    initialise(net)
    parts = args.batch // args.micro
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Of a step's parts together a tenth, as if their statistics were averaged first.
            module.momentum = 1 - 0.9 ** (1 / parts)
    net = net.to(args.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)
    a_pass = len(images) // args.batch
    for epoch in range(args.epochs):
        order, total = torch.randperm(len(images), generator=generator).to(args.device), 0.0
        for step in range(a_pass):
            chosen = order[step * args.batch : (step + 1) * args.batch]
            done = (epoch * a_pass + step) / (args.epochs * a_pass)
            optimizer.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * done)) / 2
            optimizer.zero_grad(set_to_none=True)
            for part in chosen.split(args.micro):
                loss = F.cross_entropy(net(augment(images[part], generator)), labels[part]) / parts
                loss.backward()
                total += loss.detach()
            optimizer.step()
        row = dict(epoch=epoch + 1, train_loss=float(total) / a_pass, test_accuracy=accuracy(net, *test))
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
