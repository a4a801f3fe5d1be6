//! From TOML values to a [`Job`], or to what else people write in TOML, refusing unknown keys and wrong types by the name
//! of the key.
//!
//! serde already knows each key's type and each word's spelling. The deserialiser here adds what the usual ones lose:
//! which key was being read.

use std::fmt::Display;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use toml::{Table, Value};

use super::error::JobError;
use super::nearest::{nearest_key, nearest_word, shortened};
use super::spec::Job;
use super::text::known_keys;

/// Reads a job's table; absent keys have their defaults. `origin` names it in errors.
pub(super) fn read(table: Table, origin: &str) -> Result<Job, JobError> {
    read_table(table, origin, &known_keys())
}

/// Reads a table of any kind. `known`: every key that it may have, as `table.key`, of which the nearest is named where
/// one is unknown. `origin`: where it was said.
///
/// # Errors
/// The first key that is unknown, or has a value of the wrong type.
pub fn read_table<T: DeserializeOwned>(table: Table, origin: &str, known: &[String]) -> Result<T, JobError> {
    T::deserialize(Node(Value::Table(table))).map_err(|refusal| refusal.into_error(origin, known))
}

/// What serde refuses, and where.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {reason:?}")]
struct Refusal {
    /// Innermost key first.
    path: Vec<String>,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    UnknownKey,
    Type { wanted: String, got: String },
    UnknownWord { got: String, known: &'static [&'static str] },
    Other(String),
}

impl Refusal {
    fn under(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }

    fn into_error(self, origin: &str, known_keys: &[String]) -> JobError {
        let origin = origin.to_owned();
        let key = shortened(&self.path.iter().rev().fold(String::new(), |path, part| append(path, part)));
        match self.reason {
            Reason::UnknownKey => {
                let nearest = nearest_key(&key, known_keys);
                JobError::UnknownKey { origin, key, nearest }
            }
            Reason::Type { wanted, got } => JobError::Type { origin, key, wanted, got },
            Reason::UnknownWord { got, known } => {
                let nearest = nearest_word(&got, known);
                JobError::UnknownWord { origin, key, got: shortened(&got), known, nearest }
            }
            Reason::Other(got) => JobError::Type { origin, key, wanted: "another value".to_owned(), got },
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { path: Vec::new(), reason }
    }
}

impl de::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Reason::Other(shortened(&message.to_string())).into()
    }

    fn invalid_type(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Reason::Type { wanted: in_words(&wanted.to_string()), got: got_in_words(got) }.into()
    }

    fn invalid_value(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(got, wanted)
    }

    fn unknown_variant(got: &str, known: &'static [&'static str]) -> Self {
        Reason::UnknownWord { got: got.to_owned(), known }.into()
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Reason::UnknownKey.into()
    }
}

/// Appends a key, quoted where TOML wants that, or an index.
fn append(path: String, part: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match part {
        part if path.is_empty() && part.chars().all(bare) => part.to_owned(),
        part if path.is_empty() => format!("\"{part}\""),
        part if part.starts_with('[') => format!("{path}{part}"),
        part if part.chars().all(bare) => format!("{path}.{part}"),
        part => format!("{path}.\"{part}\""),
    }
}

/// serde's names of Rust's types, as people who write TOML know them.
fn in_words(expected: &str) -> String {
    match expected {
        "u32" | "a nonzero u32" => format!("an integer from 0 to {}", u32::MAX),
        "u64" => format!("an integer from 0 to {}", i64::MAX),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a tuple of size 2" => "a list of two".to_owned(),
        "path string" => "a string".to_owned(),
        "struct Seed" => "an integer from 0 or a table".to_owned(),
        table if table.starts_with("struct ") => "a table".to_owned(),
        word if word.starts_with("enum ") => "a string".to_owned(),
        other => other.to_owned(),
    }
}

fn got_in_words(got: Unexpected<'_>) -> String {
    match got {
        Unexpected::Str(text) => format!("the string \"{}\"", shortened(text)),
        Unexpected::Signed(number) => format!("the integer {number}"),
        Unexpected::Float(number) => format!("the number {number:?}"),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Other(text) => text.to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// A value being read.
struct Node(Value);

impl Node {
    fn refuse<T>(&self, wanted: &dyn Expected) -> Result<T, Refusal> {
        let got = match &self.0 {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Datetime(_) => Unexpected::Other("a date or time"),
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        };
        Err(de::Error::invalid_type(got, wanted))
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Datetime(_) => self.refuse(&visitor),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), next: 0 }),
            Value::Table(table) => visitor.visit_map(Entries { entries: table.into_iter(), current: None }),
        }
    }

    /// Tables only: serde's structs would take lists as well.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::Table(_) => self.deserialize_any(visitor),
            _ => self.refuse(&visitor),
        }
    }

    /// As many items as are wanted: serde would pass over more.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0 {
            Value::Array(items) if items.len() != len => {
                let got = format!("a list of {}", items.len());
                Err(de::Error::invalid_type(Unexpected::Other(&got), &visitor))
            }
            Value::Array(_) => self.deserialize_any(visitor),
            _ => self.refuse(&visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(word.into_deserializer()),
            _ => self.refuse(&visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple_struct map identifier ignored_any
    }
}

/// A table being read.
struct Entries {
    entries: toml::map::IntoIter<String, Value>,
    current: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let name = IntoDeserializer::<Refusal>::into_deserializer(key.as_str());
        let read = seed.deserialize(name).map_err(|refusal| refusal.under(&key))?;
        self.current = Some((key, value));
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        match self.current.take() {
            Some((key, value)) => seed.deserialize(Node(value)).map_err(|refusal| refusal.under(&key)),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

/// A list being read.
struct Items {
    items: std::vec::IntoIter<Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|refusal| refusal.under(&format!("[{index}]")))
    }
}
