//! Where a sample comes from, and the list of all of them on disk: memory stays the same for any number.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::manifest::Hash;

/// A sample before it is prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The file that holds it.
    pub(super) path: PathBuf,
    /// Where in it.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) length: u32,
    /// Its class.
    pub(super) label: u32,
    /// What the bytes are.
    pub(super) stored: Stored,
}

/// What a sample's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// A file of a kind of its own: JPEG or PNG.
    Encoded,
    /// Grey levels, row by row.
    Pixels(Pixels),
}

/// How pixels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pixels {
    pub(super) channels: u8,
    pub(super) height: u16,
    pub(super) width: u16,
    /// Channel by channel; else pixel by pixel.
    pub(super) planar: bool,
}

impl Source {
    /// For people: file, member and offset.
    pub(super) fn place(&self) -> String {
        let (path, offset) = (self.path.display(), self.offset);
        match (offset, self.member()) {
            (0, _) => path.to_string(),
            (_, Some(member)) => format!("{path} (member {member:?}, byte {offset})"),
            (_, None) => format!("{path} (byte {offset})"),
        }
    }

    /// The name in the header before it, if it is a tar's member; the first hundred bytes of a longer one.
    fn member(&self) -> Option<String> {
        let header = self.offset.checked_sub(512).filter(|_| self.path.extension().is_some_and(|e| e == "tar"))?;
        let mut name = [0; 100];
        File::open(&self.path).and_then(|file| file.read_exact_at(&mut name, header)).ok()?;
        let name = name.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }
}

/// Bytes of an entry of the list: a path's place and length, label, offset, length, and what is stored.
const ENTRY: usize = 8 + 4 + 4 + 8 + 4 + 6;

/// Collects sources.
pub(super) struct Collector {
    entries: BufWriter<File>,
    paths: BufWriter<File>,
    last: PathBuf,
    last_at: u64,
    paths_end: u64,
    count: u64,
    hasher: blake3::Hasher,
    list: (PathBuf, PathBuf),
}

impl Collector {
    /// An empty list in a folder.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let list = (folder.join("sources"), folder.join("paths"));
        Ok(Self {
            entries: BufWriter::new(File::create(&list.0)?),
            paths: BufWriter::new(File::create(&list.1)?),
            last: PathBuf::new(),
            last_at: 0,
            paths_end: 0,
            count: 0,
            hasher: blake3::Hasher::new(),
            list,
        })
    }

    /// Appends one.
    pub(super) fn push(&mut self, source: &Source) -> io::Result<()> {
        if source.path != self.last {
            let path = source.path.as_os_str().as_bytes();
            self.paths.write_all(path)?;
            self.hasher.update(path);
            self.last.clone_from(&source.path);
            self.last_at = self.paths_end;
            self.paths_end += path.len() as u64;
        }
        let entry = encode(source, self.last_at);
        self.entries.write_all(&entry)?;
        self.hasher.update(&entry);
        self.count += 1;
        Ok(())
    }

    /// Takes notice of anything else that tells these sources from others: when a file was changed, say.
    pub(super) fn notice(&mut self, what: &[u8]) {
        self.hasher.update(what);
    }

    /// Number of sources so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The list.
    pub(super) fn finish(self) -> io::Result<Sources> {
        let Self { mut entries, mut paths, count, hasher, list, .. } = self;
        entries.flush()?;
        paths.flush()?;
        let (entries, paths) = (File::open(list.0)?, File::open(list.1)?);
        Ok(Sources { entries, paths, count, digest: hasher.finalize().into() })
    }
}

/// All sources, in the order in which they were found.
#[derive(Debug)]
pub(super) struct Sources {
    entries: File,
    paths: File,
    /// Number of sources.
    pub(super) count: u64,
    /// Of all that is known of them.
    pub(super) digest: Hash,
}

impl Sources {
    /// One of them.
    pub(super) fn get(&self, index: u64) -> io::Result<Source> {
        let mut entry = [0; ENTRY];
        self.entries.read_exact_at(&mut entry, index * ENTRY as u64)?;
        let (path_at, path_len, mut source) = decode(&entry);
        let mut path = vec![0; path_len];
        self.paths.read_exact_at(&mut path, path_at)?;
        source.path = PathBuf::from(std::ffi::OsString::from_vec(path));
        Ok(source)
    }
}

fn encode(source: &Source, path_at: u64) -> [u8; ENTRY] {
    let pixels = match source.stored {
        Stored::Encoded => Pixels { channels: 0, height: 0, width: 0, planar: false },
        Stored::Pixels(pixels) => pixels,
    };
    let mut entry = [0; ENTRY];
    let mut rest = &mut entry[..];
    let mut put = |bytes: &[u8]| {
        let (field, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
        field.copy_from_slice(bytes);
        rest = behind;
    };
    put(&path_at.to_le_bytes());
    put(&(OsStr::len(source.path.as_os_str()) as u32).to_le_bytes());
    put(&source.label.to_le_bytes());
    put(&source.offset.to_le_bytes());
    put(&source.length.to_le_bytes());
    put(&pixels.height.to_le_bytes());
    put(&pixels.width.to_le_bytes());
    put(&[pixels.channels, u8::from(pixels.planar)]);
    entry
}

/// Place and length of the path, and the rest without it.
fn decode(entry: &[u8; ENTRY]) -> (u64, usize, Source) {
    let mut rest = &entry[..];
    let mut take = |len: usize| {
        let (field, behind) = rest.split_at(len);
        rest = behind;
        field.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let (path_at, path_len) = (take(8), take(4) as usize);
    let (label, offset, length) = (take(4) as u32, take(8), take(4) as u32);
    let (height, width, channels, planar) = (take(2) as u16, take(2) as u16, take(1) as u8, take(1) != 0);
    let stored = match channels {
        0 => Stored::Encoded,
        _ => Stored::Pixels(Pixels { channels, height, width, planar }),
    };
    (path_at, path_len, Source { path: PathBuf::new(), offset, length, label, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let pixels = Stored::Pixels(Pixels { channels: 3, height: 32, width: 31, planar: true });
        let source = |path: &str, offset, stored| Source { path: path.into(), offset, length: 7, label: 9, stored };
        let all = [
            source("a/ä.jpg", 0, Stored::Encoded),
            source("b.tar", 512, Stored::Encoded),
            source("b.tar", u64::MAX, pixels),
            source("", 3, pixels),
            source("b.tar", 1 << 40, Stored::Encoded),
        ];
        let mut collector = Collector::new(folder.path()).unwrap();
        all.iter().for_each(|source| collector.push(source).unwrap());
        let sources = collector.finish().unwrap();
        assert_eq!(sources.count, all.len() as u64);
        for (index, source) in all.iter().enumerate() {
            assert_eq!(&sources.get(index as u64).unwrap(), source);
        }
    }
}
