//! What a manifest has of each sample: 16 bytes.

/// Where in its shard a sample's image lies, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the image starts, in blocks of 512 bytes: tar files are made of those.
    pub block: u32,
    /// Bytes of the image as it is stored.
    pub length: u32,
    /// Its class.
    pub label: u32,
    /// CRC-32 of these bytes (ISO 3309, as in gzip and PNG).
    pub crc32: u32,
}

impl Record {
    /// Bytes of a record in `manifest.samples`: its four numbers in their order, little-endian.
    pub const BYTES: usize = 16;
    /// Bytes of a block.
    pub const BLOCK: u64 = 512;
    /// No image starts behind this.
    pub const MAX_OFFSET: u64 = u32::MAX as u64 * Self::BLOCK;

    /// Where the image starts in its shard, in bytes.
    pub fn offset(&self) -> u64 {
        u64::from(self.block) * Self::BLOCK
    }

    /// As it is in `manifest.samples`.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.block, self.length, self.label, self.crc32];
        bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
        bytes
    }

    /// Reads one.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let [block, length, label, crc32] =
            std::array::from_fn(|word| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * word + byte])));
        Self { block, length, label, crc32 }
    }
}
