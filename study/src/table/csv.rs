//! CSV files as RFC 4180 has them: whole or absent.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A value of a row.
pub trait Field {
    /// Appends it as text.
    fn put(&self, text: &mut String);
}

impl Field for str {
    fn put(&self, text: &mut String) {
        if self.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(&self.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(self);
        }
    }
}

impl Field for String {
    fn put(&self, text: &mut String) {
        self.as_str().put(text);
    }
}

impl Field for &str {
    fn put(&self, text: &mut String) {
        (**self).put(text);
    }
}

impl Field for f64 {
    /// The shortest text that reads back as the same number; nothing for what is no finite one.
    fn put(&self, text: &mut String) {
        if self.is_finite() {
            *text += &self.to_string();
        }
    }
}

macro_rules! displayed {
    ($($kind:ty),*) => {
        $(impl Field for $kind {
            fn put(&self, text: &mut String) {
                *text += &self.to_string();
            }
        })*
    };
}

displayed!(u32, u64, usize, bool);

impl<T: Field> Field for Option<T> {
    /// Nothing where there is nothing.
    fn put(&self, text: &mut String) {
        if let Some(value) = self {
            value.put(text);
        }
    }
}

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
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                self.line.push(',');
            }
            field.put(&mut self.line);
        }
        self.line.push_str("\r\n");
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
