//! Times the tree reduction of one vector between real processes on this machine.
//!
//! `cargo run --release -p lockstep-collective --example allreduce -- --processes 2 [--tcp] [--sizes 4096,262144]`
//! starts that many processes of one lane thread each: in one node with shared memory, or with `--tcp` each as
//! a node of its own. Prints a line per size: transport, processes, bytes, median microseconds of a reduction
//! after a barrier, microseconds of a reduction in a row of them; as rank 0 sees them.

use std::error::Error;
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_collective::{Endpoint, Group, Member, Membership, Shape, Tag};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const SIZES: [usize; 5] = [4 << 10, 256 << 10, 4 << 20, 25 << 20, 100 << 20];
const WARM_UP: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let processes: usize = value("--processes").ok_or("--processes N is missing")?.parse()?;
    match value("--rank") {
        Some(rank) => worker(rank.parse()?, processes),
        None => {
            let given = value("--sizes").map(|text| text.split(',').map(str::parse).collect());
            let sizes: Vec<usize> = given.unwrap_or_else(|| Ok(SIZES.to_vec()))?;
            sizes.iter().try_for_each(|&bytes| start(processes, bytes, arguments.contains(&"--tcp".into())))
        }
    }
}

/// Starts one process a rank, collects their addresses, and gives all of them to each.
fn start(processes: usize, bytes: usize, tcp: bool) -> Result<(), Box<dyn Error>> {
    let spawn = |rank: usize| {
        Command::new(std::env::current_exe()?)
            .args(["--rank", &rank.to_string(), "--processes", &processes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
    };
    let mut children = (0..processes).map(spawn).collect::<Result<Vec<Child>, _>>()?;
    let mut outputs = Vec::new();
    let mut addresses = String::new();
    for child in &mut children {
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut addresses)?;
        outputs.push(output);
    }
    for child in &mut children {
        let mut input = child.stdin.take().expect("piped");
        write!(input, "{bytes} {tcp}\n{addresses}")?;
    }
    for (mut child, mut output) in children.into_iter().zip(outputs) {
        std::io::copy(&mut output, &mut std::io::stdout())?;
        if !child.wait()?.success() {
            return Err("a worker failed".into());
        }
    }
    Ok(())
}

fn worker(rank: usize, processes: usize) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::bind(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    println!("{} {}", endpoint.tcp(), endpoint.unix());
    let lines = stdin().lock().lines().collect::<Result<Vec<String>, _>>()?;
    let (bytes, tcp) = lines[0].split_once(' ').ok_or("a size and a transport")?;
    let (bytes, tcp): (usize, bool) = (bytes.parse()?, tcp.parse()?);
    let member = |(rank, line): (usize, &String)| -> Result<Member, Box<dyn Error>> {
        let (address, unix) = line.split_once(' ').ok_or("two addresses")?;
        let node = if tcp { rank.to_string() } else { "node".into() };
        Ok(Member { node, tcp: address.parse()?, unix: unix.into(), share: 1, threads: 1 })
    };
    let members = lines[1..].iter().enumerate().map(member).collect::<Result<Vec<_>, _>>()?;
    let secret = [0; 32];
    let membership = Membership { generation: 1, generation_id: [0; 16], secret, rank: rank as u32, members };
    let shape = Shape { parameters: bytes / 4, sums: 0, counts: 0, max_lanes: processes as u32 };
    let mut group = Group::connect(&endpoint, membership, shape, Duration::from_secs(30), Arc::default())?;
    pin(rank, processes)?;
    let (median, row) = measure(&mut group, rank, (processes, bytes))?;
    if rank == 0 {
        let transport = if tcp { "lockstep-tcp" } else { "lockstep-shared" };
        println!("{transport}\t{processes}\t{bytes}\t{median:.2}\t{row:.2}");
    }
    Ok(())
}

/// One core a process if there are enough, as OpenMPI does by itself: the system may leave two new processes
/// on one core for longer than a measurement lasts.
fn pin(rank: usize, processes: usize) -> Result<(), Box<dyn Error>> {
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    if processes <= cores.len() {
        let mut own = CpuSet::new();
        own.set(cores[rank]);
        sched_setaffinity(None, &own)?;
    }
    Ok(())
}

/// Median time after a barrier, and time in a row, in microseconds.
fn measure(group: &mut Group, rank: usize, (processes, bytes): (usize, usize)) -> Result<(f64, f64), Box<dyn Error>> {
    let lanes = processes as u32;
    let repeats = (200_000_000 / bytes).clamp(7, 1000);
    let mut tag = Tag { step: 0, pass: 0 };
    let mut times = Vec::new();
    for repeat in 0..repeats + WARM_UP {
        tag.step += 1;
        for hand in &mut group.hands(lanes)? {
            hand.subtrees.iter_mut().for_each(|subtree| subtree.gradient.fill((rank + 1) as f32));
        }
        group.reduce_tally(lanes, tag)?;
        let started = Instant::now();
        let reduced = group.reduce(lanes, tag, None)?;
        let elapsed = started.elapsed();
        if repeat < WARM_UP {
            let expected = (processes * (processes + 1) / 2) as f32;
            assert!(reduced.gradient.iter().all(|&sum| sum == expected));
        } else {
            times.push(elapsed.as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    group.reduce_tally(lanes, tag)?;
    let started = Instant::now();
    for _ in 0..repeats {
        tag.step += 1;
        group.reduce(lanes, tag, None)?;
    }
    Ok((times[times.len() / 2], started.elapsed().as_secs_f64() * 1e6 / repeats as f64))
}
