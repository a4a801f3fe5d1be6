//! Files of tables: whole or absent.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::csv::{Field, row};

/// A file being written, under another name until it is whole.
pub struct Csv {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    line: String,
}

impl Csv {
    /// Begins `folder/name.csv` with the names of its columns.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(folder: &Path, name: &str, columns: &[&str]) -> io::Result<Self> {
        let (path, temporary) = (folder.join(format!("{name}.csv")), folder.join(format!(".{name}.csv.part")));
        let out = BufWriter::new(File::create(&temporary)?);
        let mut csv = Self { path, temporary, out, line: String::new() };
        let columns: Vec<&dyn Field> = columns.iter().map(|column| column as &dyn Field).collect();
        csv.row(&columns)?;
        Ok(csv)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Of the file system.
    pub fn row(&mut self, fields: &[&dyn Field]) -> io::Result<()> {
        self.line.clear();
        row(&mut self.line, fields);
        self.out.write_all(self.line.as_bytes())
    }

    /// Takes the place of the file that was there.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        std::fs::rename(&self.temporary, &self.path)
    }
}
