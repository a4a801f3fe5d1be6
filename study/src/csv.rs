//! Rows of CSV files, as RFC 4180 has them but for the ends of lines, which are those of this system's other texts.

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

/// Appends a row and its line's end.
pub fn row(text: &mut String, fields: &[&dyn Field]) {
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        field.put(text);
    }
    text.push('\n');
}
