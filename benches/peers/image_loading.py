#!/usr/bin/env python3
"""What dataset/examples/decode.rs does, by PyTorch's and OpenCV's users: `WORK PEER images/s` a line, of CPU time.

    image_loading.py FOLDER_OF_JPEGS WORK...

    pip install torch torchvision pillow opencv-python-headless

OpenCV has no antialiased bilinear: its pipeline's INTER_LINEAR is less work, its INTER_AREA about the same.
"""
import glob
import io
import math
import os
import random
import sys
import time

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

torch.set_num_threads(1)
cv2.setNumThreads(1)
# As in decode.rs.
PASSES = 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TO_FLOAT = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
CROP = [v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip()]
MIDDLE = [v2.Resize(256, antialias=True), v2.CenterCrop(224)]
SCALE = np.float32([1 / (255 * s) for s in STD])
SHIFT = np.float32([-m / s for m, s in zip(MEAN, STD)])


def tensor(file):
    return decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), ImageReadMode.RGB)


def pillow(file):
    return Image.open(io.BytesIO(file)).convert("RGB")


def opencv(file):
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)


def by(read, *steps):
    steps = v2.Compose(steps)
    return lambda file: steps(read(file))


def window(height, width):
    for _ in range(10):
        area = height * width * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            top, left = random.randint(0, height - h), random.randint(0, width - w)
            return slice(top, top + h), slice(left, left + w)
    return slice(0, height), slice(0, width)


def opencv_train(interpolation):
    def train(file):
        image = opencv(file)
        image = cv2.resize(image[window(*image.shape[:2])], (224, 224), interpolation=interpolation)
        if random.random() < 0.5:
            image = cv2.flip(image, 1)
        planes = [cv2.LUT(plane, table) for plane, table in zip(cv2.split(image), TABLES)]
        return np.stack(planes)

    return train


TABLES = [np.arange(256, dtype=np.float32) * scale + shift for scale, shift in zip(SCALE, SHIFT)]
WORKS = {
    "decode": {"Pillow": lambda file: pillow(file).load(), "torchvision": tensor, "OpenCV": opencv},
    "train": {
        "torchvision on tensors": by(tensor, *CROP, *TO_FLOAT),
        "torchvision on Pillow": by(pillow, *CROP, v2.PILToTensor(), *TO_FLOAT),
        "OpenCV, linear": opencv_train(cv2.INTER_LINEAR),
        "OpenCV, area": opencv_train(cv2.INTER_AREA),
    },
    "evaluate": {
        "torchvision on tensors": by(tensor, *MIDDLE, *TO_FLOAT),
        "torchvision on Pillow": by(pillow, *MIDDLE, v2.PILToTensor(), *TO_FLOAT),
    },
}


def main():
    paths = sorted(glob.glob(os.path.join(sys.argv[1], "*.jpg")))
    files = [open(path, "rb").read() for path in paths]
    for work in sys.argv[2:]:
        for peer, one in WORKS[work].items():
            for file in files:
                one(file)
            start = time.process_time()
            for file in PASSES * files:
                one(file)
            print(f"{work}\t{peer}\t{PASSES * len(files) / (time.process_time() - start):.1f}")


if __name__ == "__main__":
    main()
