//! Studies: a grid of jobs, what is to be trained next, and what all of it says. Pure but for reading run folders and
//! writing tables and the report: who trains is not its business.

pub mod report;
pub mod statistics;
