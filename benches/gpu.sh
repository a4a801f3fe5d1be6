#!/bin/sh
# Everything that has to be seen on a GPU, in one go, with nothing but a built binary, libraries and this checkout:
#
#     benches/gpu.sh BINARY LIBRARIES OUT
#
# BINARY is target/release/lockstep. LIBRARIES are folders, separated by colons, with NVRTC and, as far as they are there,
# NCCL, cuDNN and cuBLASLt (of NVIDIA's Python wheels: site-packages/nvidia/…/lib). OUT is a folder for whatever comes of
# it; `summary.md` in it has the ratios.
#
# It runs `doctor`, `selftest`, `bench gpu`, the same work in PyTorch (PYTHON names an interpreter that has it), and one
# job of LeNet-5 on 1, 2 and 4 workers of one card, whose weights have to be the same bits. Workers of one card need
# NCCL 2.30 or newer; each has an agent of its own, as an agent offers a GPU once. Every step has a limit of time, and
# what fails or is left out is said and stops nothing. GPU is the card's number, 0 without it. SMALL=1 makes all of it
# small, TORCH_DEVICE=cpu has PyTorch compute there: to try the script where there is no GPU.
set -u
if [ $# -ne 3 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
lockstep=$1 out=$3 python=${PYTHON:-python3} small=${SMALL:+--small} torch_device=${TORCH_DEVICE:-cuda}
export LOCKSTEP_CUDA_LIBRARIES="$2" CUDA_VISIBLE_DEVICES="${GPU:-0}"
mkdir -p "$out" || exit 2
: >"$out/failures"

# What it is for, seconds, then a command. Its output goes to the screen and into a file.
step() {
    name=$1 limit=$2
    shift 2
    printf '\n== %s\n' "$name"
    { timeout "$limit" "$@" 2>&1; echo $? >"$out/code"; } | tee "$out/$name.txt"
    code=$(cat "$out/code")
    rm "$out/code"
    case $code in
    0) ;;
    124) fails "$name did not end within $limit s" ;;
    *) fails "$name ended with code $code" ;;
    esac
}

fails() {
    echo "FAILED: $1" | tee -a "$out/failures"
}

in_pytorch() {
    printf '\n== PyTorch\n'
    : >"$out/torch.jsonl"
    if ! "$python" -c 'import torch' 2>/dev/null; then
        echo "skipped: $python has no PyTorch; PYTHON names one that has"
        return
    fi
    networks="resnet50 resnet18 lenet5 mlp"
    if [ -n "$small" ]; then networks="lenet5 mlp"; fi
    # One at a time: a compiler that takes too long costs no other row.
    for network in $networks; do
        for variant in eager graph compile autotune; do
            if [ "$torch_device" = cpu ] && [ $variant != eager ]; then continue; fi
            # shellcheck disable=SC2086
            timeout 900 "$python" "$here/peers/gpu_torch.py" --device "$torch_device" --networks $network \
                --variants $variant $small 2>>"$out/torch.log" | tee -a "$out/torch.jsonl"
        done
    done
    if [ ! -s "$out/torch.jsonl" ]; then fails "PyTorch gave no row: $(tail -n 1 "$out/torch.log")"; fi
}

# Of the agents and the coordinator that are running.
processes=
end_processes() {
    # shellcheck disable=SC2086
    if [ -n "$processes" ]; then kill $processes 2>/dev/null; wait $processes 2>/dev/null; fi
    processes=
}
trap end_processes EXIT
trap 'exit 130' INT TERM

# The coordinator's address, once it has told it.
address_of() {
    tries=0
    while ! grep -q ' address=' "$1" && [ $tries -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    sed -n 's/.* address=\([0-9.:]*\).*/http:\/\/\1/p' "$1"
}

# One job on so many workers of the card; `weights` becomes the hash of its weights, empty if there are none.
train_on() {
    workers=$1 folder="$out/workers-$1"
    rm -rf "$folder"
    mkdir "$folder"
    "$lockstep" serve --listen 127.0.0.1:0 --state "$folder/state" >"$folder/serve.log" 2>&1 &
    processes=$!
    LOCKSTEP_COORDINATOR=$(address_of "$folder/serve.log")
    export LOCKSTEP_COORDINATOR
    agent=1
    while [ $agent -le "$workers" ]; do
        NCCL_MULTI_RANK_GPU_ENABLE=1 "$lockstep" agent --device cuda --slots 1 --name "agent-$agent" \
            >"$folder/agent-$agent.log" 2>&1 &
        processes="$processes $!"
        agent=$((agent + 1))
    done
    steps=200
    if [ -n "$small" ]; then steps=5; fi
    id=$("$lockstep" submit "$here/../recipes/mnist-lenet5.toml" --json --set cluster.device=cuda \
        --set cluster.workers="$workers" --set batch.micro_batch=32 --set schedule.epochs=1 \
        --set schedule.max_steps=$steps --set evaluate.every_epochs=0 |
        sed -n 's/.*"job": *"\([^"]*\)".*/\1/p')
    timeout 600 "$lockstep" wait "$id" >"$folder/wait.log" 2>&1
    end_processes
    weights=$(sed -n 's/.*"weights_sha256": *"\([^"]*\)".*/\1/p' "$folder/state/runs/$id/summary.json" 2>/dev/null)
}

# Whether the first version is the second or newer.
is_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}

on_one_card() {
    printf '\n== workers of one card\n'
    nccl=$(sed -n 's/^ *libnccl  *\([0-9.]*\) .*/\1/p' "$out/doctor.txt")
    counts="1 2 4"
    if [ -z "$nccl" ] || ! is_at_least "$nccl" 2.30; then
        echo "skipped for 2 and 4: they need NCCL 2.30 or newer, there is ${nccl:-none}"
        counts=1
    fi
    : >"$out/weights.txt"
    for count in $counts; do
        train_on "$count"
        echo "$count ${weights:-none}" | tee -a "$out/weights.txt"
        if [ -z "$weights" ]; then fails "a job on $count workers of one card: see $out/workers-$count"; fi
    done
    if [ "$(cut -d ' ' -f 2 "$out/weights.txt" | sort -u | wc -l)" -ne 1 ]; then
        fails "the weights are not the same bits for $counts workers"
    fi
}

# shellcheck disable=SC2086
{
    step doctor 300 "$lockstep" doctor
    step selftest 1800 "$lockstep" selftest --device cuda --out "$out/selftest.json" $small
    step selftest-bf16 1800 "$lockstep" selftest --device cuda --precision bf16 --out "$out/selftest-bf16.json" $small
    step bench 1800 "$lockstep" bench gpu --out "$out/bench.json" --trace "$out/trace.json" $small
}
in_pytorch
on_one_card
printf '\n== summary\n'
"$python" "$here/gpu_summary.py" "$out" | tee "$out/summary.md"
if [ -s "$out/failures" ]; then
    cat "$out/failures"
    exit 1
fi
