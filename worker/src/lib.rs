//! Everything that runs on a node: the agent that starts worker processes, the worker's control, and the trainer.
//!
//! A sample's path is [`trainer`]'s body: sampler → data → layers → loss → backward → reduction → update → report.
//! A control message's path ends here: coordinator → [`process`] → [`control`] → trainer.

pub mod agent;
pub mod control;
pub mod datasets;
pub mod layers;
mod link;
pub mod model;
pub mod numa;
pub mod process;
pub mod program;
pub mod selftest;
pub mod stepper;
pub mod trained;
pub mod trainer;
