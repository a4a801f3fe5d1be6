#!/usr/bin/env python3
"""What `lockstep bench data` does with small JPEGs in tars, by PyTorch's DataLoader: `PEER images/s` a line, tab-separated.

    data_loader.py SECONDS TAR...

    pip install torch torchvision

Samples are read where they lie in the tars, in a random order, decoded by torchvision, and put into batches of 128 u8
images. With no worker processes and with one; with one process both share the core that this is pinned to.
"""
import os
import sys
import tarfile
import time

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg

torch.set_num_threads(1)


class Tars(Dataset):
    def __init__(self, paths):
        self.files = [os.open(path, os.O_RDONLY) for path in paths]
        self.samples = []
        for number, path in enumerate(paths):
            labels = {}
            images = []
            with tarfile.open(path) as tar:
                for member in tar:
                    key, _, kind = member.name.rpartition(".")
                    if kind == "cls":
                        labels[key] = int(tar.extractfile(member).read())
                    elif kind == "jpg":
                        images.append((key, member.offset_data, member.size))
            self.samples += [(number, offset, size, labels[key]) for key, offset, size in images]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        number, offset, size, label = self.samples[index]
        file = bytearray(os.pread(self.files[number], size, offset))
        return decode_jpeg(torch.frombuffer(file, dtype=torch.uint8), ImageReadMode.RGB), label


def rate(data, workers, seconds):
    loader = DataLoader(data, batch_size=128, shuffle=True, num_workers=workers, drop_last=True)
    done, began = 0, None
    while True:
        for images, _ in loader:
            if began is None:
                began = time.perf_counter()
                continue
            done += len(images)
            if time.perf_counter() - began >= seconds:
                return done / (time.perf_counter() - began)


def main():
    data = Tars(sys.argv[2:])
    for workers in (0, 1):
        print(f"PyTorch DataLoader, {workers} workers\t{rate(data, workers, float(sys.argv[1]))}", flush=True)


if __name__ == "__main__":
    main()
