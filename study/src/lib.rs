//! Studies: a grid of jobs, what is to be trained next, and what all of it says. Pure but for reading run folders and
//! writing tables and the report: who trains is not its business.
//!
//! In reading order: [`recipe`] is what people write, checked by itself. [`grid`] makes cells and jobs of it. [`plan`]
//! says which jobs are to be trained, by what is known so far. [`run`] reads what jobs came to out of run folders, and
//! [`table`] writes it down. [`report`] draws and says what the tables tell, by [`statistics`].

mod atomic;
pub mod csv;
pub mod grid;
pub mod plan;
pub mod recipe;
pub mod report;
pub mod run;
pub mod statistics;
pub mod table;
