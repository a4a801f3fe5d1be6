#!/usr/bin/env python3
"""All-reduce of one f32 vector with PyTorch's gloo backend, between processes of this machine.

    python3 gloo_allreduce.py PROCESSES [BYTES ...]

Prints a line per size: "gloo", processes, bytes, median microseconds of a call after a barrier, microseconds of
a call in a row of them; as rank 0 sees them.

Setup, without the GPU libraries that torch's wheel would pull in (0.6 GB instead of 3):

    python3 -m venv peers && . peers/bin/activate
    pip install --no-deps torch
    pip install filelock typing-extensions sympy networkx jinja2 fsspec numpy setuptools

    python cuda_stubs.py

The last line makes the default wheel, which is built for CUDA, importable without CUDA's libraries; gloo needs
none of them.
"""

import os
import socket
import statistics
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

SIZES = [4 << 10, 256 << 10, 4 << 20, 25 << 20, 100 << 20]
WARM_UP = 5


def repeats_for(size):
    return max(7, min(300, 200_000_000 // size))


def measure(vector, repeats):
    """Median seconds after a barrier, and seconds in a row."""
    times = []
    for repeat in range(repeats + WARM_UP):
        vector.fill_(1.0)
        dist.barrier()
        started = time.perf_counter()
        dist.all_reduce(vector)
        elapsed = time.perf_counter() - started
        if repeat >= WARM_UP:
            times.append(elapsed)
        else:
            assert vector[0].item() == vector[-1].item() == dist.get_world_size()
    dist.barrier()
    started = time.perf_counter()
    for _ in range(repeats):
        dist.all_reduce(vector)
    return statistics.median(times), (time.perf_counter() - started) / repeats


def worker(rank, processes, port, sizes):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    for size in sizes:
        median, row = measure(torch.empty(size // 4), repeats_for(size))
        if rank == 0:
            print(f"gloo\t{processes}\t{size}\t{median * 1e6:.2f}\t{row * 1e6:.2f}", flush=True)
    dist.destroy_process_group()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    processes = int(sys.argv[1])
    sizes = [int(size) for size in sys.argv[2:]] or SIZES
    multiprocessing.spawn(worker, args=(processes, free_port(), sizes), nprocs=processes)
