//! Reader of idx files, plain or gzip: images `(N, H, W)` and labels `(N)`, of unsigned bytes.
//!
//! An idx file is `00 00 type dimensions`, a big-endian u32 a dimension, then the elements. Everything read is
//! distrusted: the header's promise is held against fixed limits and against the file's size before anything is
//! allocated, and decompression stops at one byte more than promised. Whether a file is compressed is told by its
//! first bytes, not by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::error::{DataError, Found, Problem};

/// Most samples of a file.
pub const MAX_SAMPLES: u64 = 1 << 28;
/// Greatest height and width of an image, in pixels.
pub const MAX_SIDE: u64 = 4096;
/// Most bytes of a file, uncompressed.
pub const MAX_BYTES: u64 = 16 << 30;

/// Deflate's best ratio: a match of 258 bytes takes two bits at least. Rounded up.
const MAX_GZIP_RATIO: u64 = 1040;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTE: u8 = 0x08;

/// Grey images, `(count, height, width)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    /// Number of images, at least 1.
    pub count: usize,
    /// Rows of an image, at least 1.
    pub height: usize,
    /// Columns of an image, at least 1.
    pub width: usize,
    /// Row by row, image by image.
    pub pixels: Vec<u8>,
}

impl Images {
    /// The idx header of these images.
    pub fn header(&self) -> Vec<u8> {
        header(&[self.count, self.height, self.width])
    }
}

/// The idx header of this many labels.
pub fn labels_header(count: usize) -> Vec<u8> {
    header(&[count])
}

fn header(sizes: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0, 0, UNSIGNED_BYTE, sizes.len() as u8];
    for &size in sizes {
        bytes.extend((size as u32).to_be_bytes());
    }
    bytes
}

/// An idx file found on disk.
#[derive(Debug)]
pub struct IdxFile {
    /// Where it is, with `.gz` where that was found.
    pub path: PathBuf,
    bytes: u64,
    file: File,
}

impl IdxFile {
    /// Opens `path`, or `path` with `.gz` added where `path` doesn't exist.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let mut compressed = path.as_os_str().to_owned();
        compressed.push(".gz");
        let found = [path.to_owned(), PathBuf::from(compressed)]
            .into_iter()
            // A pipe or device would block or never end, and has no size to check against.
            .find(|path| path.is_file())
            .ok_or_else(|| DataError::NoFile(path.to_owned()))?;
        let opened = File::open(&found).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((bytes, file)) => Ok(Self { path: found, bytes, file }),
            Err(source) => Err(DataError::Read { path: found, source }),
        }
    }

    /// Reads it as images.
    pub fn images(&self) -> Result<Images, DataError> {
        read_images(BufReader::new(&self.file), self.bytes).map_err(|failure| self.error(failure))
    }

    /// Reads it as labels.
    pub fn labels(&self) -> Result<Vec<u8>, DataError> {
        read_labels(BufReader::new(&self.file), self.bytes).map_err(|failure| self.error(failure))
    }

    fn error(&self, failure: Failure) -> DataError {
        let path = self.path.clone();
        match failure {
            Failure::Problem(problem) => DataError::File { path, problem },
            Failure::Read(source) => DataError::Read { path, source },
        }
    }
}

#[derive(Debug)]
pub(super) enum Failure {
    Problem(Problem),
    Read(io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Images of a stream whose stored size is `stored` bytes.
pub(super) fn read_images(stream: impl BufRead, stored: u64) -> Result<Images, Failure> {
    let ([count, height, width], pixels) = read("images", stream, stored)?;
    Ok(Images { count: count as usize, height: height as usize, width: width as usize, pixels })
}

/// Labels of a stream whose stored size is `stored` bytes.
pub(super) fn read_labels(stream: impl BufRead, stored: u64) -> Result<Vec<u8>, Failure> {
    let ([_], labels) = read("labels", stream, stored)?;
    Ok(labels)
}

fn read<const D: usize>(
    what: &'static str,
    mut stream: impl BufRead,
    stored: u64,
) -> Result<([u64; D], Vec<u8>), Failure> {
    let start = stream.fill_buf().map_err(Failure::Read)?;
    let compressed = start.starts_with(&GZIP_MAGIC);
    let body = |stream: &mut dyn Read, sizes: [u64; D]| {
        let promised = header_bytes::<D>() + sizes.iter().product::<u64>();
        check_size(promised, stored, compressed)?;
        read_body(stream, promised, header_bytes::<D>())
    };
    let read_all = |stream: &mut dyn Read| {
        let sizes = read_header(what, stream)?;
        Ok((sizes, body(stream, sizes)?))
    };
    if compressed {
        read_all(&mut MultiGzDecoder::new(stream)).map_err(|failure| match failure {
            Failure::Read(error) => Problem::Gzip(error.to_string()).into(),
            problem => problem,
        })
    } else {
        read_all(&mut stream)
    }
}

fn header_bytes<const D: usize>() -> u64 {
    4 + 4 * D as u64
}

/// The sizes of the `D` dimensions, within this reader's limits.
fn read_header<const D: usize>(what: &'static str, stream: &mut dyn Read) -> Result<[u64; D], Failure> {
    let mut word = || {
        let mut bytes = [0; 4];
        match stream.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Problem::ShortHeader.into()),
            Err(error) => Err(Failure::Read(error)),
        }
    };
    match word()? {
        [0, 0, UNSIGNED_BYTE, dimensions] if usize::from(dimensions) == D => {}
        [0, 0, UNSIGNED_BYTE, got @ 1..=4] => {
            let wanted = D as u8;
            return Err(Problem::Dimensions { what, wanted, got }.into());
        }
        [0, 0, element @ (0x09 | 0x0b..=0x0e), 1..=4] => return Err(Problem::ElementType(element).into()),
        magic => return Err(Problem::Magic(magic).into()),
    }
    let mut sizes = [0; D];
    for (dimension, size) in sizes.iter_mut().enumerate() {
        *size = u64::from(u32::from_be_bytes(word()?));
        let (what, limit) = match dimension {
            0 => ("samples", MAX_SAMPLES),
            _ => ("pixels a side", MAX_SIDE),
        };
        within(what, *size, limit)?;
    }
    // Below 2^28 · 2^12 · 2^12: no overflow.
    within("bytes", sizes.iter().product(), MAX_BYTES)?;
    Ok(sizes)
}

fn within(what: &'static str, got: u64, limit: u64) -> Result<(), Problem> {
    match got {
        0 => Err(Problem::Empty),
        got if got > limit => Err(Problem::Limit { what, got, limit }),
        _ => Ok(()),
    }
}

/// Whether a file of `stored` bytes can hold what its header promises, before memory is taken for it.
fn check_size(promised: u64, stored: u64, compressed: bool) -> Result<(), Problem> {
    if compressed {
        if promised > stored.saturating_mul(MAX_GZIP_RATIO) {
            let found = Found::Compressed(stored);
            return Err(Problem::Truncated { promised, found });
        }
    } else if promised > stored {
        let found = Found::Bytes(stored);
        return Err(Problem::Truncated { promised, found });
    } else if promised < stored {
        return Err(Problem::Trailing { promised });
    }
    Ok(())
}

/// The bytes after the header; the stream must then end. Reaching the end also makes gzip check its CRC.
fn read_body(stream: &mut dyn Read, promised: u64, header: u64) -> Result<Vec<u8>, Failure> {
    let elements = promised - header;
    let mut body = Vec::new();
    let room = usize::try_from(elements).unwrap_or(usize::MAX);
    if body.try_reserve_exact(room).is_err() {
        return Err(Problem::Memory(elements).into());
    }
    let read = stream.take(elements).read_to_end(&mut body);
    match read {
        Ok(_) if body.len() as u64 == elements => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(Failure::Read(error)),
        _ => {
            let found = Found::Bytes(header + body.len() as u64);
            return Err(Problem::Truncated { promised, found }.into());
        }
    }
    match stream.read(&mut [0]) {
        Ok(0) => Ok(body),
        Ok(_) => Err(Problem::Trailing { promised }.into()),
        Err(error) => Err(Failure::Read(error)),
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Images({}, {}, {})", self.count, self.height, self.width)
    }
}
