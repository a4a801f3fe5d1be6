#!/usr/bin/env python3
"""What benches/gpu.sh has left in a folder, as tables: Lockstep beside PyTorch, and ops that fall short.

    python3 benches/gpu_summary.py OUT
"""
import json
import os
import sys

GRAPHS = ("graph", "autotune")
# Of the measured copy bandwidth, for ops that are bound by memory.
AIM = 0.85


def read_rows(out):
    """Rows of both programs. What has failed has no images a second."""
    with open(os.path.join(out, "bench.json")) as file:
        bench = json.load(file)
    torch = os.path.join(out, "torch.jsonl")
    lines = open(torch).read().splitlines() if os.path.exists(torch) else []
    return bench, bench["networks"] + [json.loads(line) for line in lines]


def best(rows, program, wanted):
    """The fastest row of a program whose variant is wanted; none without."""
    of_program = (row for row in rows if row["program"] == program and wanted(row["variant"]))
    measured = [row for row in of_program if row["images_per_second"]]
    return max(measured, key=lambda row: row["images_per_second"], default=None)


def images(row):
    return f"{row['images_per_second']:,.0f} ({row['variant']})" if row else "–"


def ratio(ours, theirs):
    return f"{ours['images_per_second'] / theirs['images_per_second']:.2f} ×" if ours and theirs else "–"


def print_networks(rows):
    print("| network | batch | precision | Lockstep, images/s | PyTorch without CUDA graphs | ratio | with | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    names = list(dict.fromkeys(row["network"] for row in rows))
    groups = {(row["network"], row["batch"], row["precision"]) for row in rows}
    for network, batch, precision in sorted(groups, key=lambda group: (names.index(group[0]), group[2] != "f32")):
        group = [row for row in rows if (row["network"], row["batch"], row["precision"]) == (network, batch, precision)]
        ours = best(group, "lockstep", lambda _: True)
        without = best(group, "pytorch", lambda variant: variant not in GRAPHS)
        graphs = best(group, "pytorch", lambda variant: variant in GRAPHS)
        cells = [network, f"{batch:,}", precision, images(ours), images(without), ratio(ours, without)]
        print("|", " | ".join([*cells, images(graphs), ratio(ours, graphs)]), "|")


def print_ops(bench):
    memory = [op for op in bench["ops"] if op["bound"] == "memory"]
    short = sorted((op for op in memory if op["share_of_ceiling"] < AIM), key=lambda op: op["share_of_ceiling"])
    print(f"\n{len(memory) - len(short)} of {len(memory)} ops that are bound by memory reach {AIM:.0%} of a copy's bandwidth.")
    if short:
        print("\n| op | size | precision | share of a copy's bandwidth |\n|---|---|---|---|")
    for op in short:
        print(f"| {op['op']} | {op['size']} | {op['precision']} | {op['share_of_ceiling']:.0%} |")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = sys.argv[1]
    try:
        bench, rows = read_rows(out)
    except (OSError, ValueError) as error:
        sys.exit(f"there is nothing to sum up: {error}")
    device = bench["device"]
    cuda = f"{device['driver'] // 1000}.{device['driver'] % 1000 // 10}"
    libraries = bench["libraries"] or "own kernels alone"
    print(f"{device['name']}, {device['architecture']}, driver for CUDA {cuda}, {libraries}\n")
    print_networks(rows)
    for row in rows:
        if row["failure"]:
            print(f"\n{row['program']}, {row['network']}, {row['precision']}, {row['variant']}: {row['failure']}")
    print_ops(bench)


if __name__ == "__main__":
    main()
