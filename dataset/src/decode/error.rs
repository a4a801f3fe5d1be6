//! What can be wrong with a sample's file: one line each. Whoever knows shard, member and offset puts them in front.

/// Bytes that are no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No bytes at all.
    #[error("is empty: get the file again")]
    Empty,
    /// Another kind of file.
    #[error("is neither JPEG nor PNG (starts with {0:02x?}): convert it to one of them")]
    Kind(Vec<u8>),
    /// Without pixels, or with more than are decoded.
    #[error(
        "claims {height}×{width} pixels: an image has 1 to {} of them: get the file again, or make it smaller",
        super::MOST_PIXELS
    )]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Of another size than all are said to be.
    #[error("has {}×{} pixels, but images are {}×{}: set data.size to have all of one size",
            found.height, found.width, wanted.height, wanted.width)]
    Sides {
        /// Its own.
        found: super::Sides,
        /// Those of all.
        wanted: super::Sides,
    },
    /// So narrow that it would become very large.
    #[error("has {}×{} pixels, too narrow to resize its shorter side: leave it out", .0.height, .0.width)]
    Narrow(super::Sides),
    /// Ends too early.
    #[error("is a {0} that is cut off: get the file again")]
    CutOff(&'static str),
    /// Anything else that a decoder finds.
    #[error("is a damaged {kind} ({reason}): get the file again")]
    Damaged {
        /// JPEG or PNG.
        kind: &'static str,
        /// In the decoder's words, on one line.
        reason: String,
    },
    /// A kind of JPEG that is not read.
    #[error("is a JPEG with {0}, which is not read: convert it")]
    Unread(&'static str),
}

impl DecodeError {
    /// Of a library's error, whose words may be of several lines.
    pub(super) fn damaged(kind: &'static str, reason: impl ToString) -> Self {
        let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self::Damaged { kind, reason }
    }
}
