//! The real server on a port of its own, with agents and workers that speak gRPC from inside the test.

mod cancel;
mod files;
mod peers;
mod refusals;
mod restart;
mod training;
