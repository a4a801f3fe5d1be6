//! The numbers behind a figure, as a table.

use crate::csv::{self, Field};

/// A table.
#[derive(Clone, Debug)]
pub struct Data {
    /// The line of names, and those of the rows.
    csv: String,
    columns: usize,
}

impl Data {
    /// A table without rows.
    pub fn new(columns: &[&str]) -> Self {
        let mut data = Self { csv: String::new(), columns: columns.len() };
        data.row(&columns.iter().map(|column| column as &dyn Field).collect::<Vec<_>>());
        data
    }

    /// Adds a row, with a field for each column.
    pub fn row(&mut self, fields: &[&dyn Field]) {
        debug_assert_eq!(fields.len(), self.columns);
        csv::row(&mut self.csv, fields);
    }

    /// The file's text.
    pub fn csv(&self) -> &str {
        &self.csv
    }
}
