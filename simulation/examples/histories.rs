//! Many histories, and a table of what they had.
//!
//! `cargo run --release -p lockstep-simulation --example histories -- --histories 1000000`

use std::time::Instant;

use clap::Parser;
use lockstep_simulation::{Options, run, runner};

#[derive(Parser)]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 100_000)]
    histories: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// End when so many are wrong.
    #[arg(long, default_value_t = 1)]
    enough: u64,
    /// Print the trace of the first seed alone.
    #[arg(long)]
    trace: bool,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.trace {
        let history = run(arguments.seed, &Options { trace: true, ..Options::default() });
        history.lines.iter().for_each(|line| println!("{line}"));
        return println!("{:?} {:?}", history.end, history.violation);
    }
    let threads = match arguments.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    };
    let started = Instant::now();
    let summary =
        runner::histories(arguments.seed, arguments.histories, threads, arguments.enough, &Options::default());
    print!("{}", summary.table());
    println!("{:<42} {:>14.1}", format!("seconds on {threads} threads"), started.elapsed().as_secs_f64());
    for (seed, violation) in &summary.violations {
        println!("seed {seed} is wrong: {violation}");
    }
    if !summary.violations.is_empty() {
        std::process::exit(1);
    }
}
