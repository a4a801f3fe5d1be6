//! The header of NumPy's `.npy` files (NEP 1): what an array holds and where its elements start.

use std::fmt;

/// The length that is looked at for a header: those of plain arrays have 128 bytes.
pub const MAX_HEADER: u64 = 1 << 12;
const MAGIC: &[u8] = b"\x93NUMPY";
const MAX_DIMENSIONS: usize = 4;

/// What is known of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What its elements are.
    pub element: Element,
    /// Its sizes, all above 0; elements of the last are neighbours.
    pub shape: Vec<u64>,
    /// Where its elements start, in bytes.
    pub first: u64,
}

/// Whole numbers of so many bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// From 0 on.
    Unsigned(usize),
    /// Two's complement.
    Signed(usize),
}

impl Element {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::Unsigned(bytes) | Self::Signed(bytes) => bytes,
        }
    }

    /// The value of these bytes; of unsigned ones beyond `i64`, `i64::MAX`.
    pub fn value(self, bytes: &[u8]) -> i64 {
        let raw = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        match self {
            Self::Unsigned(_) => i64::try_from(raw).unwrap_or(i64::MAX),
            Self::Signed(bytes) => {
                let unused = 64 - 8 * bytes as u32;
                (raw << unused) as i64 >> unused
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(bytes) => write!(f, "unsigned whole numbers of {bytes} bytes"),
            Self::Signed(bytes) => write!(f, "whole numbers of {bytes} bytes"),
        }
    }
}

impl Header {
    /// Reads the header of a file of `length` bytes that starts with `start`.
    ///
    /// # Errors
    /// In words, if it is no array of whole numbers in C order, or not as long as it says.
    pub fn decode(start: &[u8], length: u64) -> Result<Self, String> {
        let ended = || "ends inside its header: get it again".to_owned();
        let version = start.strip_prefix(MAGIC).ok_or("is no .npy file (it does not start with \\x93NUMPY)")?;
        let (size, rest) = match version {
            [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            [1..=3, ..] | [] => return Err(ended()),
            [version, ..] => return Err(format!("is a .npy file of version {version}; 1 to 3 are read")),
        };
        let first = start.len() - rest.len() + size;
        if first as u64 > MAX_HEADER {
            return Err(format!("has a header of {size} bytes, more than any plain array's"));
        }
        let text = rest.get(..size).ok_or_else(ended)?;
        let text = std::str::from_utf8(text).map_err(|_| "has a header that is no text")?;
        let header = Self { element: element(text)?, shape: shape(text)?, first: first as u64 };
        header.check_length(length)?;
        Ok(header)
    }

    fn check_length(&self, length: u64) -> Result<(), String> {
        let elements = self.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        let bytes = elements.and_then(|elements| elements.checked_mul(self.element.bytes() as u64));
        match bytes.and_then(|bytes| bytes.checked_add(self.first)) {
            Some(promised) if promised == length => Ok(()),
            Some(promised) => Err(format!("has {length} bytes where its header promises {promised}: get it again")),
            None => Err(format!("promises more bytes than there can be: shape {:?}", self.shape)),
        }
    }
}

/// The text behind a key of the header's dictionary.
fn value<'t>(text: &'t str, key: &str) -> Result<&'t str, String> {
    let missing = || format!("has a header without {key}");
    let behind = text.split_once(&format!("'{key}'")).ok_or_else(missing)?.1;
    Ok(behind.trim_start().strip_prefix(':').ok_or_else(missing)?.trim_start())
}

fn element(text: &str) -> Result<Element, String> {
    if !value(text, "fortran_order")?.starts_with("False") {
        return Err("is in Fortran order: save it with numpy.ascontiguousarray".to_owned());
    }
    let behind = value(text, "descr")?;
    let descr = behind.strip_prefix('\'').and_then(|behind| behind.split_once('\''));
    let descr = descr.ok_or("holds records: only whole numbers are read")?.0;
    Ok(match descr {
        "|u1" | "<u1" => Element::Unsigned(1),
        "<u2" => Element::Unsigned(2),
        "<u4" => Element::Unsigned(4),
        "<u8" => Element::Unsigned(8),
        "|i1" | "<i1" => Element::Signed(1),
        "<i2" => Element::Signed(2),
        "<i4" => Element::Signed(4),
        "<i8" => Element::Signed(8),
        other => return Err(format!("holds elements of type {other:?}: only little-endian whole numbers are read")),
    })
}

fn shape(text: &str) -> Result<Vec<u64>, String> {
    let wrong = || "has a header without a shape".to_owned();
    let behind = value(text, "shape")?.strip_prefix('(').ok_or_else(wrong)?;
    let sizes = behind.split_once(')').ok_or_else(wrong)?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<u64> = sizes.map(|size| size.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    if shape.is_empty() || shape.len() > MAX_DIMENSIONS || shape.contains(&0) {
        return Err(format!("is of shape {shape:?}: arrays of 1 to {MAX_DIMENSIONS} sizes above 0 are read"));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, dictionary: &str, elements: usize) -> Vec<u8> {
        let size = dictionary.len() as u32;
        let size = if version == 1 { size.to_le_bytes()[..2].to_vec() } else { size.to_le_bytes().to_vec() };
        [MAGIC, &[version, 0], &size, dictionary.as_bytes(), &vec![0; elements]].concat()
    }

    fn decode(file: &[u8]) -> Result<Header, String> {
        Header::decode(file, file.len() as u64)
    }

    #[test]
    fn headers_of_numpy_are_read() {
        for version in [1, 2, 3] {
            let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4, 3), }      \n";
            let header = decode(&file(version, text, 72)).unwrap();
            assert_eq!((header.element, header.shape), (Element::Unsigned(1), vec![2, 3, 4, 3]));
            let text = "{'descr': '<i8', 'fortran_order': False, 'shape': (5,), }\n";
            let header = decode(&file(version, text, 40)).unwrap();
            assert_eq!((header.element, header.shape), (Element::Signed(8), vec![5]));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |bytes: &[u8], told: &str| {
            let said = decode(bytes).unwrap_err();
            assert!(said.contains(told), "{said}");
        };
        check(b"PK\x03\x04", "is no .npy file");
        check(MAGIC, "ends inside");
        check(&file(9, "", 0), "version 9");
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";
        check(&file(1, text, 5), "promises");
        check(&file(1, text, 7), "promises");
        check(&file(1, text, 6)[..40], "ends inside");
        check(&file(1, &text.replace("False", "True"), 6), "Fortran");
        check(&file(1, &text.replace("|u1", "<f4"), 6), "\"<f4\"");
        check(&file(1, &text.replace("(2, 3)", "()"), 6), "shape []");
        check(&file(1, &text.replace("(2, 3)", "(0, 3)"), 6), "shape [0, 3]");
        check(&file(1, &text.replace("(2, 3)", "(4294967296, 4294967296, 2)"), 6), "more bytes than there can be");
        check(&file(2, &text.replace(", }", &format!(", {}}}", " ".repeat(5000))), 6), "more than any plain array's");
    }

    #[test]
    fn values_are_those_of_two_complements() {
        assert_eq!(Element::Signed(1).value(&[0xff]), -1);
        assert_eq!(Element::Unsigned(1).value(&[0xff]), 255);
        assert_eq!(Element::Signed(2).value(&[0x01, 0x80]), -32_767);
        assert_eq!(Element::Signed(8).value(&[0xfe, 255, 255, 255, 255, 255, 255, 255]), -2);
        assert_eq!(Element::Unsigned(8).value(&[255; 8]), i64::MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, version in 0u8..5, length: u64) {
            let mut file = [MAGIC, &[version, 0]].concat();
            file.extend(bytes);
            let _ = Header::decode(&file, length);
        }
    }
}
