"""The grid of benches/studies.py in PyTorch, one process a core, each on one thread: the whole of a job is what it would
be in a careful script. MNIST is read once a process and kept as one normalised tensor, so a batch is a gather; the order
is one randperm an epoch; evaluation takes the test images in batches of 1,000 without gradients.

    python3 benches/peers/torch_grid.py DATA PROCESSES < jobs.json

Reads a list of jobs (batch, learning_rate, seed, hidden, epochs), prints a JSON object: seconds from the start of the
first process to the end of the last, and each job's test error."""

import gzip
import json
import multiprocessing
import os
import sys
import time


def images(path):
    import numpy
    import torch

    name = path if os.path.exists(path) else path + ".gz"
    with (gzip.open if name.endswith(".gz") else open)(name, "rb") as file:
        raw = numpy.frombuffer(file.read(), numpy.uint8)
    if "images" in path:
        return torch.from_numpy(((raw[16:].astype(numpy.float32) / 255) - 0.1307) / 0.3081).reshape(-1, 784)
    return torch.from_numpy(raw[8:].astype(numpy.int64))


def work(folder, jobs, results):
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    train = [images(f"{folder}/train-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    test = [images(f"{folder}/t10k-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    while (job := jobs.get()) is not None:
        results.put((job["place"], run(torch, job, train, test)))


def run(torch, job, train, test):
    torch.manual_seed(job["seed"])
    model = torch.nn.Sequential(
        torch.nn.Linear(784, job["hidden"]), torch.nn.ReLU(), torch.nn.Linear(job["hidden"], 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=job["learning_rate"], foreach=True)
    loss = torch.nn.CrossEntropyLoss()
    x, y = train
    for _ in range(job["epochs"]):
        order = torch.randperm(len(x))
        for first in range(0, len(x) - job["batch"] + 1, job["batch"]):
            chosen = order[first : first + job["batch"]]
            optimizer.zero_grad(set_to_none=True)
            loss(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
    with torch.no_grad():
        right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(test[0].split(1000), test[1].split(1000)))
    return 1 - right / len(test[1])


def main():
    folder, processes = sys.argv[1], int(sys.argv[2])
    grid = json.load(sys.stdin)
    begun = time.time()
    context = multiprocessing.get_context("spawn")
    jobs, results = context.Queue(), context.Queue()
    for place, job in enumerate(grid):
        jobs.put({**job, "place": place})
    for _ in range(processes):
        jobs.put(None)
    workers = [context.Process(target=work, args=(folder, jobs, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    errors = dict(results.get() for _ in grid)
    for worker in workers:
        worker.join()
    json.dump({"seconds": time.time() - begun, "test_errors": [errors[place] for place in range(len(grid))]}, sys.stdout)


if __name__ == "__main__":
    main()
