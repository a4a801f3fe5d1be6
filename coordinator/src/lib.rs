//! The coordinator: agents and workers join it, users hand jobs in, it decides who works on what.
//!
//! On a control message's path: command line ([`client`]) → [`rpc`] → keeper → [`cluster`] → keeper → [`rpc`] →
//! worker. It never sees a tensor.

pub mod client;
pub mod cluster;
mod keeper;
pub mod rpc;
pub mod run_folder;
pub mod store;

pub use rpc::{Coordinator, Handle, ServeError, ServeOptions, listen, serve};
pub use store::StateFolder;
