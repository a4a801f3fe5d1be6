#!/bin/sh
# All-reduce between processes of this machine: ours through shared memory and TCP, beside OpenMPI and gloo.
#
#     benches/allreduce.sh [ROUNDS]        (3)
#
# The programs take turns within each round and size, so that a busy neighbour hits all of them; a figure is the
# median over rounds of a round's median. How to install the peers: benches/peers/gloo_allreduce.py and mpi_allreduce.c; a peer
# that is not there is left out. PYTHON names the interpreter with PyTorch, SIZES (bytes) and PROCESSES what is
# measured. Ratios: the better peer's time by ours through shared memory, and gloo's time by ours over TCP.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-3}
sizes=${SIZES:-"4096 262144 4194304 26214400 104857600"}
processes=${PROCESSES:-"2 4"}
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cargo build --release --quiet -p lockstep-collective --example allreduce
ours="${CARGO_TARGET_DIR:-target}/release/examples/allreduce"
if command -v mpicc >/dev/null; then mpicc -O2 -o "$scratch/mpi_allreduce" benches/peers/mpi_allreduce.c; fi
have_gloo=no
if "$python" -c 'import torch.distributed' 2>/dev/null; then have_gloo=yes; fi

one_turn() { # processes, bytes
    "$ours" --processes "$1" --sizes "$2"
    if [ -x "$scratch/mpi_allreduce" ]; then
        # Root only in containers, where MPI asks for confirmation.
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
            mpirun --oversubscribe -np "$1" "$scratch/mpi_allreduce" "$2"
    fi
    "$ours" --processes "$1" --sizes "$2" --tcp
    if [ "$have_gloo" = yes ]; then "$python" benches/peers/gloo_allreduce.py "$1" "$2"; fi
}

round=0
while [ "$round" -lt "$rounds" ]; do
    for count in $processes; do for bytes in $sizes; do one_turn "$count" "$bytes"; done; done
    round=$((round + 1))
done 2>"$scratch/errors" >"$scratch/lines" || { cat "$scratch/errors" >&2; exit 1; }

awk -F '\t' '
    { key = $1 SUBSEP $2 SUBSEP $3; row[$2 SUBSEP $3] = 1 }
    { count[key]++; after[key, count[key]] = $4; in_row[key, count[key]] = $5 }
    function median(table, key,    n, i, j, value, sorted) {
        n = count[key]
        for (i = 1; i <= n; i++) {
            value = table[key, i] + 0
            for (j = i - 1; j >= 1 && sorted[j] > value; j--) sorted[j + 1] = sorted[j]
            sorted[j + 1] = value
        }
        return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
    }
    function cell(table, name, n, bytes,    key) {
        key = name SUBSEP n SUBSEP bytes
        return key in table ? sprintf("%.1f", table[key]) : "-"
    }
    function ratio(theirs, ours) { return theirs == "-" ? "-" : sprintf("%.1f", theirs / ours) }
    function lesser(a, b) { return a == "-" ? b : b == "-" ? a : a + 0 < b + 0 ? a : b }
    function print_row(table, what, n, bytes,    shared, tcp, mpi, gloo) {
        shared = table["lockstep-shared" SUBSEP n SUBSEP bytes]; tcp = table["lockstep-tcp" SUBSEP n SUBSEP bytes]
        mpi = cell(table, "mpi", n, bytes); gloo = cell(table, "gloo", n, bytes)
        printf "| %d KiB | %d | %s | %.1f | %s | %s | %s | %.1f | %s |\n", bytes / 1024, n, what, shared, mpi, gloo, \
            ratio(lesser(mpi, gloo), shared), tcp, ratio(gloo, tcp)
    }
    END {
        for (key in count) { typical[key] = median(after, key); line[key] = median(in_row, key) }
        print "| vector | processes | calls | shared memory µs | OpenMPI µs | gloo µs | better peer / ours | TCP µs | gloo / ours over TCP |"
        print "|---|---|---|---|---|---|---|---|---|"
        split(counts, n, " "); split(bytes_list, bytes, " ")
        for (i = 1; i in n; i++) for (j = 1; j in bytes; j++) if ((n[i] SUBSEP bytes[j]) in row) {
            print_row(typical, "after a barrier", n[i], bytes[j])
            print_row(line, "in a row", n[i], bytes[j])
        }
    }' counts="$processes" bytes_list="$sizes" "$scratch/lines"
