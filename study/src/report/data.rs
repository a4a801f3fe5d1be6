//! The numbers behind a figure, as a table in CSV (RFC 4180).

/// A table.
#[derive(Clone, Debug)]
pub struct Data {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// A field of a table.
pub trait Field {
    /// As text; floats in their shortest form that reads back the same.
    fn text(&self) -> String;
}

impl Field for f64 {
    fn text(&self) -> String {
        if self.is_finite() { self.to_string() } else { String::new() }
    }
}

impl Field for Option<f64> {
    fn text(&self) -> String {
        self.map_or_else(String::new, |value| value.text())
    }
}

impl Field for u64 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Field for usize {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Field for &str {
    fn text(&self) -> String {
        (*self).into()
    }
}

impl Data {
    /// A table without rows.
    pub fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, with a field for each column.
    pub fn row(&mut self, fields: &[&dyn Field]) {
        debug_assert_eq!(fields.len(), self.columns.len());
        self.rows.push(fields.iter().map(|field| field.text()).collect());
    }

    /// The file's text.
    pub fn csv(&self) -> String {
        let mut text = self.columns.join(",") + "\n";
        for row in &self.rows {
            let fields: Vec<String> = row.iter().map(|field| quoted(field)).collect();
            text += &(fields.join(",") + "\n");
        }
        text
    }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.into() }
}
