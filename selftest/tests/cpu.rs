//! Every op of the CPU device, with each instruction set that this machine has.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_selftest::{Bench, ops};

#[test]
fn every_op_is_within_its_bound() {
    for set in InstructionSet::ALL {
        if !set.is_available() {
            println!("skipped: this CPU has no {set}");
            continue;
        }
        let mut device = Cpu::new(set);
        let mut bench = Bench::new(&mut device);
        ops::all(&mut bench);
        let wrong: Vec<_> = bench.checks.iter().filter(|check| !check.passed()).collect();
        assert!(wrong.is_empty(), "{set}: {wrong:#?}");
    }
}
