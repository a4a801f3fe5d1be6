//! Numeric kernels and the device they run on.
//!
//! On a sample's path this crate is everything between the decoded pixels and the updated parameters:
//! one folder an op, `mod.rs` the contract, `cpu.rs` the CPU kernel. Nothing here knows a network,
//! a job or another process' role. All of the project's `unsafe` code lives in this crate.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("lockstep needs Linux on x86-64: its kernels, shared memory and process control are written for it");

pub mod activation;
pub mod conv2d;
pub mod conv2d_max_pool2d;
pub mod cpu;
pub mod cross_entropy;
pub mod device;
pub mod fold;
pub mod linear;
pub mod moving_average;
pub mod optimizer;
pub mod perturb;
pub mod pixels;
pub mod pool2d;
pub mod scalar;
pub mod shared_memory;
pub mod simd;
pub mod squared_error;
