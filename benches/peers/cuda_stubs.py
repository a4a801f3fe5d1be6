#!/usr/bin/env python3
"""Lets the CUDA build of PyTorch (the only Linux build on PyPI) be imported for CPU use without its 2.5 GB of CUDA wheels.

The libraries of torch/lib name NVIDIA libraries that they need. For each of those this writes a small shared library
with the wanted functions, all of which answer 35 (cudaErrorInsufficientDriver), to where PyTorch looks for them.
Needs gcc and readelf. Run it with the Python of the virtual environment in which `pip install --no-deps torch` ran.
"""
import collections
import glob
import os
import re
import subprocess
import sysconfig
import tempfile

NVIDIA_LIBRARY = re.compile(r"^lib(cublas|cublasLt|cudart|cudnn|cufft|cufile|cupti|curand|cusolver|cusparse|cusparseLt|nccl|nvrtc|nvJitLink|nvshmem_host)\.so\.(\d+)$")
# Symbols without a version are told apart by how they begin.
PREFIXES = [("nccl", "nccl"), ("nvshmem", "nvshmem_host"), ("cuFile", "cufile"), ("cusparseLt", "cusparseLt"), ("cupti", "cupti"), ("cusolver", "cusolver")]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def scan(libraries):
    """Needed NVIDIA libraries, and wanted symbols (name → version) that no library of PyTorch defines."""
    needed, wanted, defined = set(), {}, set()
    for library in libraries:
        needed |= {name for name in re.findall(r"NEEDED.*\[(.*?)\]", output("readelf", "-d", library)) if NVIDIA_LIBRARY.match(name)}
        for line in output("readelf", "-W", "--dyn-syms", library).splitlines():
            fields = line.split()
            if len(fields) < 8 or not fields[0].rstrip(":").isdigit():
                continue
            name, _, version = fields[7].partition("@")
            if fields[6] == "UND":
                wanted[name] = version.lstrip("@")
            else:
                defined.add(name)
    return needed, {name: version for name, version in wanted.items() if name not in defined}


def owner(symbol, version, names):
    """The library that a wanted symbol belongs to, or None if it is not NVIDIA's."""
    if version in names:
        return version
    by_stem = {NVIDIA_LIBRARY.match(name).group(1): name for name in names}
    if version == "NVSHMEM":
        return by_stem.get("nvshmem_host")
    if version or not re.match(r"^(cu|nccl|nv|__cuda|__nv)", symbol):
        return None
    stem = next((stem for prefix, stem in PREFIXES if symbol.startswith(prefix)), "cudart")
    return by_stem.get(stem)


def write_stub(path, symbols):
    """A shared library named like `path` with `symbols` (name → version)."""
    with tempfile.TemporaryDirectory() as work:
        source, versions = os.path.join(work, "stub.c"), os.path.join(work, "stub.map")
        with open(source, "w") as file:
            file.write("".join(f"long {name}(void) {{ return 35; }}\n" for name in symbols) or "int empty;\n")
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{os.path.basename(path)}", "-o", path, source]
        groups = collections.defaultdict(list)
        for name, version in symbols.items():
            groups[version].append(name)
        if any(groups):
            with open(versions, "w") as file:
                for version, names in groups.items():
                    if version:
                        file.write(f"{version} {{ global: {'; '.join(names)}; }};\n")
            command.append(f"-Wl,--version-script={versions}")
        subprocess.run(command, check=True)


def main():
    packages = sysconfig.get_paths()["purelib"]
    needed, wanted = scan(glob.glob(os.path.join(packages, "torch", "lib", "*.so*")))
    major = next(match.group(2) for match in map(NVIDIA_LIBRARY.match, needed) if match.group(1) == "cudart")
    # PyTorch also opens these by name, without linking to them.
    needed |= {f"libnvJitLink.so.{major}", "libcusolver.so.12"}
    folder = os.path.join(packages, "nvidia", f"cu{major}", "lib")
    os.makedirs(folder, exist_ok=True)
    stubs = {name: {} for name in needed}
    for symbol, version in wanted.items():
        if name := owner(symbol, version, needed):
            stubs[name][symbol] = version
    for name, symbols in stubs.items():
        write_stub(os.path.join(folder, name), symbols)
    open(os.path.join(folder, f"libnvrtc-builtins.so.{major}"), "a").close()
    print(f"{len(stubs)} stub libraries in {folder}")


if __name__ == "__main__":
    main()
