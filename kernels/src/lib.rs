//! Numeric kernels and the device they run on.
//!
//! On a sample's path this crate is everything between the decoded pixels and the updated parameters:
//! one folder an op, `mod.rs` the contract, `cpu.rs` the CPU kernel. Nothing here knows a network,
//! a job or another process' role. All of the project's `unsafe` code lives in this crate.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("lockstep needs Linux on x86-64: its kernels, shared memory and process control are written for it");

pub mod activation;
pub mod addition;
pub mod allocations;
pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod concatenate;
pub mod conv2d;
pub mod conv2d_max_pool2d;
pub mod cpu;
pub mod cross_entropy;
pub mod cuda;
pub mod curvature;
pub mod device;
pub mod dropout;
pub mod exchange;
pub mod fold;
pub mod group_norm;
pub mod linear;
pub mod local_response_norm;
pub mod map_loss;
pub mod moving_average;
pub mod optimizer;
pub mod perturb;
pub mod pixels;
pub mod plans;
pub mod pool2d;
pub mod radial_basis;
pub mod repeat;
pub mod scalar;
pub mod shared_memory;
pub mod simd;
pub mod squared_error;
pub mod subsample2d;
pub mod tangent;
pub mod upload;
pub mod user_cache;
