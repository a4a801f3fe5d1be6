//! What can be wrong with a tar file.

use std::path::PathBuf;

/// A tar file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}{}", path.display(), Self::place(member.as_deref(), *offset))]
pub struct TarError {
    /// The file.
    pub path: PathBuf,
    /// The member at fault, where one is.
    pub member: Option<String>,
    /// Where its header starts, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

impl TarError {
    fn place(member: Option<&str>, offset: u64) -> String {
        match member {
            Some(member) => format!(" (member {member:?}, byte {offset})"),
            None => format!(" (byte {offset})"),
        }
    }
}

/// What is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// No header where one should be.
    #[error("is no tar file, or is damaged: {0}: get it again")]
    Header(String),
    /// Shorter than its members.
    #[error("is cut off: it ends {missing} bytes before the end of a member: get it again")]
    Cut {
        /// Bytes that are missing.
        missing: u64,
    },
    /// Without the block of zeros at its end.
    #[error("is cut off: the end-of-archive block is missing: get it again")]
    NoEnd,
    /// A sparse file.
    #[error("holds a sparse file, which is not read: pack it again without --sparse")]
    Sparse,
    /// A link, a device or the like.
    #[error("holds a member of type {0:?}: only plain files and folders are read")]
    Kind(char),
    /// A name that leads out of the folder it is unpacked in.
    #[error("holds a member whose name leads elsewhere: it is refused")]
    Traversal,
    /// A name that is no text.
    #[error("holds a member whose name is not UTF-8: rename it")]
    Name,
    /// An extended header that is too long.
    #[error("holds an extended header of {0} bytes, more than any name or time needs: pack it again as USTAR")]
    Extension(u64),
    /// A size in an extended header that differs from the header's own.
    #[error("holds a member of more than 8 GB: pack it in smaller parts")]
    Huge,
}
