//! Aligned columns and readable numbers.

use std::io::{self, Write};

/// Writes to the standard output; a reader that has gone is an error, not a panic.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Rows of cells, aligned to the left; no trailing blanks.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// "12,345".
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 epoch", "20 epochs".
pub fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count as f64))
}

/// "3.2 s", "4 min 05 s", "2 h 03 min".
pub fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    format!("{} h {:02} min", whole / 3600, whole / 60 % 60)
}

/// "3.21%" of a fraction.
pub fn percent(fraction: f64) -> String {
    format!("{:.2}%", fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(12_345.6), "12,346");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(f64::NAN), "0");
        assert_eq!((counted(1, "epoch"), counted(2000, "epoch")), ("1 epoch".into(), "2,000 epochs".into()));
        assert_eq!(duration(3.21), "3.2 s");
        assert_eq!(duration(245.0), "4 min 05 s");
        assert_eq!(duration(7380.0), "2 h 03 min");
        assert_eq!(percent(0.0321), "3.21%");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["ID".into(), "STATE".into()], vec!["abc".into(), String::new()]];
        assert_eq!(columns(&rows), "ID   STATE\nabc\n");
    }
}
