//! Writing shards: USTAR, as WebDataset has them, the same bytes for the same samples.

use std::io::{self, Write};

use crate::manifest::{Hash, Record};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// Its hash.
    pub blake3: Hash,
}

/// Writes members one after the other.
pub struct ShardWriter<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> ShardWriter<W> {
    /// A shard without members.
    pub fn new(out: W) -> Self {
        Self { out, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    /// Appends a member of at most 100 bytes of name; gives the block in which its content starts.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn append(&mut self, name: &str, content: &[u8]) -> io::Result<u32> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.write(header.as_bytes())?;
        let block = u32::try_from(self.bytes / Record::BLOCK).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.write(content)?;
        let padding = content.len().next_multiple_of(Record::BLOCK as usize) - content.len();
        self.write(&[0; Record::BLOCK as usize][..padding])?;
        Ok(block)
    }

    /// Ends the shard.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        self.write(&[0; 2 * Record::BLOCK as usize])?;
        self.out.flush()?;
        let written = Written { bytes: self.bytes, blake3: self.hasher.finalize().into() };
        Ok((self.out, written))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
