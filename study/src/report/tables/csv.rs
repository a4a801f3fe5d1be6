//! A careful reader of RFC 4180 tables. What is in a study's folder may come from anywhere, so sizes are bounded and
//! every complaint names file, line and column.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use crate::report::ReportError;

/// Most bytes of a table.
const MOST_BYTES: u64 = 1 << 30;
/// Most columns of a table.
const MOST_COLUMNS: usize = 256;

/// A table as text.
#[derive(Debug)]
pub struct Table {
    /// How complaints call the file.
    name: String,
    columns: Vec<String>,
    /// Row by row, each as long as `columns`.
    cells: Vec<String>,
    /// Line of the file at which each row starts.
    lines: Vec<usize>,
}

/// Which column of a table is which figure.
#[derive(Clone, Copy, Debug)]
pub struct Column(usize);

impl Table {
    /// Reads a table; `None` if there is no such file.
    ///
    /// # Errors
    /// If the file can't be read or is no table.
    pub fn read(path: &Path, name: &str) -> Result<Option<Self>, ReportError> {
        let failed = |source| ReportError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(content(name.into(), "more than 1 GiB: no table of a study is that large"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            content(format!("{name}: line {line}"), "not UTF-8")
        })?;
        Self::parse(&text, name).map(Some)
    }

    /// Takes a table apart.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str, name: &str) -> Result<Self, ReportError> {
        let mut records = Records { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, name };
        let Some((_, columns)) = records.next()? else {
            return Err(content(name.into(), "empty: the first line has the columns' names"));
        };
        if columns.len() > MOST_COLUMNS {
            return Err(content(format!("{name}: line 1"), &format!("more than {MOST_COLUMNS} columns")));
        }
        let mut table = Self { name: name.into(), columns, cells: Vec::new(), lines: Vec::new() };
        while let Some((line, fields)) = records.next()? {
            if fields.len() != table.columns.len() {
                let problem = format!("{} fields, where the first line names {}", fields.len(), table.columns.len());
                return Err(content(format!("{name}: line {line}"), &problem));
            }
            table.lines.push(line);
            table.cells.extend(fields);
        }
        Ok(table)
    }

    /// The place of a column.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn column(&self, column: &str) -> Result<Column, ReportError> {
        let found = self.columns.iter().position(|name| name == column);
        found.map(Column).ok_or_else(|| {
            let problem = format!("no column {column:?}: `lockstep study run` of this version writes the tables anew");
            content(format!("{}: line 1", self.name), &problem)
        })
    }

    /// The place of a column that tables of earlier versions don't have.
    pub fn maybe_column(&self, column: &str) -> Option<Column> {
        self.columns.iter().position(|name| name == column).map(Column)
    }

    /// Rows below the names.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.lines.len()).map(|row| Row { table: self, row })
    }
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    table: &'a Table,
    row: usize,
}

impl<'a> Row<'a> {
    /// What is written there.
    pub fn text(&self, column: Column) -> &'a str {
        &self.table.cells[self.row * self.table.columns.len() + column.0]
    }

    /// A value, or `None` where nothing is written.
    ///
    /// # Errors
    /// If it is no such value.
    pub fn maybe<T: FromStr>(&self, column: Column, what: &str) -> Result<Option<T>, ReportError> {
        match self.text(column) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| self.refused(column, what)),
        }
    }

    /// A finite number, or `None` where nothing is written or it is not finite.
    ///
    /// # Errors
    /// If it is no number.
    pub fn number(&self, column: Column) -> Result<Option<f64>, ReportError> {
        Ok(self.maybe::<f64>(column, "a number")?.filter(|value| value.is_finite()))
    }

    /// A value that has to be there.
    ///
    /// # Errors
    /// If it is not, or no such value.
    pub fn value<T: FromStr>(&self, column: Column, what: &str) -> Result<T, ReportError> {
        self.maybe(column, what)?.ok_or_else(|| self.refused(column, what))
    }

    fn refused(&self, column: Column, what: &str) -> ReportError {
        let Table { name, columns, lines, .. } = self.table;
        let shown: String = self.text(column).chars().take(40).collect();
        let place = format!("{name}: line {}, column {:?}", lines[self.row], columns[column.0]);
        content(place, &format!("{shown:?} is not {what}"))
    }
}

/// What of a table is still to be taken apart.
struct Records<'a> {
    rest: &'a str,
    line: usize,
    name: &'a str,
}

impl Records<'_> {
    /// The next record with the line it starts at. Empty lines are skipped.
    fn next(&mut self) -> Result<Option<(usize, Vec<String>)>, ReportError> {
        while let Some(rest) = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (start, mut fields) = (self.line, Vec::new());
        loop {
            let field = self.field()?;
            fields.push(field);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            let rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            match rest {
                Some(rest) => (self.rest, self.line) = (rest, self.line + 1),
                None if self.rest.is_empty() => {}
                None => return Err(self.refused("text behind a closing quote, or a lone carriage return")),
            }
            return Ok(Some((start, fields)));
        }
    }

    fn field(&mut self) -> Result<String, ReportError> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            if field.contains('"') {
                return Err(self.refused("a quote inside a field that does not begin with one"));
            }
            self.rest = rest;
            return Ok(field.into());
        };
        let (mut field, mut rest) = (String::new(), quoted);
        loop {
            let Some(end) = rest.find('"') else {
                return Err(self.refused("a quote that is never closed"));
            };
            field.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    rest = more;
                }
                None => break,
            }
        }
        self.line += field.matches('\n').count();
        self.rest = rest;
        Ok(field)
    }

    fn refused(&self, problem: &str) -> ReportError {
        content(format!("{}: line {}", self.name, self.line), problem)
    }
}

fn content(place: String, problem: &str) -> ReportError {
    ReportError::Content { place, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        Table::parse(text, "t.csv").unwrap().cells
    }

    fn complaint(text: &str) -> String {
        let read = Table::parse(text, "t.csv").and_then(|table| {
            let column = table.column("b")?;
            table.rows().try_for_each(|row| row.number(column).map(drop))
        });
        read.unwrap_err().to_string()
    }

    #[test]
    fn quotes_commas_and_lines_are_read() {
        assert_eq!(fields("a,b\n1,\"x, \"\"y\"\"\nz\"\n"), ["1", "x, \"y\"\nz"]);
        assert_eq!(fields("a,b\r\n1,\r\n\r\n,2"), ["1", "", "", "2"]);
        let table = Table::parse("a,b\n1,\n2,NaN\n3,0.5\n", "t.csv").unwrap();
        let b = table.column("b").unwrap();
        let numbers: Vec<_> = table.rows().map(|row| row.number(b).unwrap()).collect();
        assert_eq!(numbers, [None, None, Some(0.5)]);
    }

    #[test]
    fn complaints_name_the_place() {
        assert_eq!(complaint("a,b\n\"1\n2\",3\n4,x\n"), "t.csv: line 4, column \"b\": \"x\" is not a number");
        assert_eq!(complaint("a,b\n1\n"), "t.csv: line 2: 1 fields, where the first line names 2");
        assert_eq!(complaint("a,b\n1,\"2\n"), "t.csv: line 2: a quote that is never closed");
        assert_eq!(
            complaint("a,b\n1,\"2\"3\n"),
            "t.csv: line 2: text behind a closing quote, or a lone carriage return"
        );
        assert!(complaint("a\n1\n").starts_with("t.csv: line 1: no column \"b\": "));
        assert!(complaint("").starts_with("t.csv: empty"));
    }
}
