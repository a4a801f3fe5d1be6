//! What a JPEG says of itself before its first scan.

use super::{DecodeError, Sides};

const START_OF_SCAN: u8 = 0xda;
const ADOBE: u8 = 0xee;

/// The header of a JPEG. Each of the decoders looks at other parts of it.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code)]
pub(super) struct Segments {
    pub(super) sides: Sides,
    /// 1, grey; 3, colour; 4, with black.
    pub(super) components: usize,
    /// The frame header's height, two bytes, starts here.
    pub(super) height_at: usize,
    /// Rows that are decoded together.
    pub(super) unit_rows: usize,
    /// Columns that are decoded together.
    pub(super) unit_columns: usize,
    /// Adobe's marker, and its transform: 0, none; 1, YCbCr; 2, YCCK.
    pub(super) adobe: Option<u8>,
    /// Whether all components are in one scan, top to bottom.
    pub(super) is_sequential: bool,
}

/// The frame header's part.
struct Frame {
    at: usize,
    is_baseline: bool,
}

impl Segments {
    /// Reads up to the first scan, and looks for the end behind it.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        const CUT_OFF: DecodeError = DecodeError::CutOff("JPEG");
        let (mut at, mut frame, mut adobe) = (2, None, None);
        loop {
            let marker = loop {
                match bytes.get(at..at + 2).ok_or(CUT_OFF)? {
                    // Bytes of 255 may fill up.
                    [0xff, 0xff] => at += 1,
                    [0xff, marker] => break *marker,
                    _ => return Err(DecodeError::damaged("JPEG", "no marker where one has to be")),
                }
            };
            let length = usize::from(u16::from_be_bytes(*bytes[at + 2..].first_chunk().ok_or(CUT_OFF)?));
            let body = bytes.get(at + 4..at + 2 + length.max(2)).ok_or(CUT_OFF)?;
            match marker {
                // Tables of Huffman codes and of arithmetic coding, and a kind that nobody has.
                0xc4 | 0xcc | 0xc8 => {}
                0xc0..=0xcf => frame = Some(Frame { at: at + 4, is_baseline: marker <= 0xc1 }),
                ADOBE if body.len() >= 12 && body.starts_with(b"Adobe") => adobe = Some(body[11]),
                START_OF_SCAN => {
                    // Thumbnails have ends of their own, in segments before this.
                    let has_end = bytes[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]);
                    let frame = frame.ok_or_else(|| DecodeError::damaged("JPEG", "no frame header before its scan"))?;
                    let scanned = body.first().map_or(0, |&count| usize::from(count));
                    return if has_end { frame.segments(bytes, scanned, adobe) } else { Err(CUT_OFF) };
                }
                _ => {}
            }
            at += 2 + length.max(2);
        }
    }
}

impl Frame {
    fn segments(self, bytes: &[u8], scanned: usize, adobe: Option<u8>) -> Result<Segments, DecodeError> {
        let header: &[u8; 6] = bytes[self.at..].first_chunk().ok_or(DecodeError::CutOff("JPEG"))?;
        let components = usize::from(header[5]);
        if !matches!(components, 1 | 3 | 4) {
            return Err(DecodeError::Unread("other than 1, 3 or 4 components"));
        }
        let factors = bytes[self.at + 6..].chunks_exact(3).take(components).map(|component| component[1]);
        let columns = factors.clone().map(|factors| factors >> 4).max();
        let (Some(rows @ 1..=4), Some(columns @ 1..=4)) = (factors.map(|factors| factors & 15).max(), columns) else {
            return Err(DecodeError::damaged("JPEG", "no such sampling of its components"));
        };
        Ok(Segments {
            sides: Sides {
                height: usize::from(u16::from_be_bytes([header[1], header[2]])),
                width: usize::from(u16::from_be_bytes([header[3], header[4]])),
            },
            components,
            height_at: self.at + 1,
            unit_rows: 8 * usize::from(rows),
            unit_columns: 8 * usize::from(columns),
            adobe,
            is_sequential: self.is_baseline && scanned == components,
        })
    }
}
