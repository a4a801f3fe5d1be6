//! Reader of idx files, plain or gzip: images `(N, H, W)` or `(N, C, H, W)` of unsigned bytes, labels `(N)` of unsigned
//! bytes or of 16-bit integers from 0.
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
/// Most channels of an image.
pub const MAX_CHANNELS: u64 = 256;
/// Most bytes of a file, uncompressed.
pub const MAX_BYTES: u64 = 16 << 30;

/// Deflate's best ratio: a match of 258 bytes takes two bits at least. Rounded up.
const MAX_GZIP_RATIO: u64 = 1040;
/// What gzip files start with.
pub(crate) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTE: u8 = 0x08;
/// Big-endian, with a sign.
const SHORT: u8 = 0x0b;

/// Images, `(count, height, width)` or `(count, channels, height, width)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    /// Number of images, at least 1.
    pub count: usize,
    /// Planes of an image, at least 1; none in a file of grey images, which has no such dimension.
    pub channels: Option<usize>,
    /// Rows of an image, at least 1.
    pub height: usize,
    /// Columns of an image, at least 1.
    pub width: usize,
    /// Row by row, plane by plane, image by image.
    pub pixels: Vec<u8>,
}

impl Images {
    /// The idx header of these images.
    pub fn header(&self) -> Vec<u8> {
        let sizes = [Some(self.count), self.channels, Some(self.height), Some(self.width)];
        header(UNSIGNED_BYTE, &sizes.into_iter().flatten().collect::<Vec<_>>())
    }

    /// The same images with `pad` rows and columns of black around each.
    pub fn padded(self, pad: usize) -> Self {
        if pad == 0 {
            return self;
        }
        let (height, width) = (self.height + 2 * pad, self.width + 2 * pad);
        let planes = self.count * self.channels.unwrap_or(1);
        let mut pixels = vec![0; planes * height * width];
        let rows = self.pixels.chunks_exact(self.width);
        for (index, row) in rows.enumerate() {
            let (plane, row_of_plane) = (index / self.height, index % self.height);
            let start = (plane * height + row_of_plane + pad) * width + pad;
            pixels[start..start + self.width].copy_from_slice(row);
        }
        Self { height, width, pixels, ..self }
    }
}

/// Labels, and how wide their file has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// At least one.
    pub values: Vec<u16>,
    /// Whether they are 16-bit integers.
    wide: bool,
}

impl Labels {
    /// The idx file of these labels.
    pub fn file(&self) -> Vec<u8> {
        let mut bytes = header(if self.wide { SHORT } else { UNSIGNED_BYTE }, &[self.values.len()]);
        match self.wide {
            true => bytes.extend(self.values.iter().flat_map(|label| label.to_be_bytes())),
            false => bytes.extend(self.values.iter().map(|&label| label as u8)),
        }
        bytes
    }
}

fn header(element: u8, sizes: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0, 0, element, sizes.len() as u8];
    for &size in sizes {
        bytes.extend((size as u32).to_be_bytes());
    }
    bytes
}

/// Where the images of a file that is not compressed lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of images.
    pub count: u64,
    /// Planes of an image.
    pub channels: u8,
    /// Rows of an image.
    pub height: u16,
    /// Columns of an image.
    pub width: u16,
    /// Where the first starts, in bytes; they follow one another.
    pub first: u64,
}

impl Layout {
    /// Reads a file's header.
    ///
    /// # Errors
    /// If it is no idx file of images, or not as long as it says.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let file = IdxFile::open(&[path.to_owned()])?;
        let header = read_header(&IMAGES, &mut &file.file).and_then(|header| {
            check_size(header.bytes() + header.body_bytes(), file.bytes, false)?;
            Ok(header)
        });
        let header = header.map_err(|failure| file.error(failure))?;
        let (channels, sides) = match header.sizes[1..] {
            [channels, height, width] => (channels, [height, width]),
            [height, width] => (1, [height, width]),
            _ => unreachable!("images have three or four dimensions"),
        };
        let refused = |got, limit| file.error(Problem::Limit { what: "channels", got, limit }.into());
        let channels = u8::try_from(channels).map_err(|_| refused(channels, u8::MAX.into()))?;
        // At most MAX_SIDE.
        let [height, width] = sides.map(|side| side as u16);
        Ok(Self { count: header.sizes[0], channels, height, width, first: header.bytes() })
    }
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
    /// Opens the first of `paths` that there is, plain or with `.gz` added.
    pub fn open(paths: &[PathBuf]) -> Result<Self, DataError> {
        let compressed = |path: &PathBuf| {
            let mut name = path.as_os_str().to_owned();
            name.push(".gz");
            PathBuf::from(name)
        };
        let found = paths
            .iter()
            .flat_map(|path| [path.to_owned(), compressed(path)])
            // A pipe or device would block or never end, and has no size to check against.
            .find(|path| path.is_file())
            .ok_or_else(|| DataError::NoFile(paths.first().cloned().unwrap_or_default()))?;
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
    pub fn labels(&self) -> Result<Labels, DataError> {
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
    let (Header { sizes, .. }, pixels) = read(&IMAGES, stream, stored)?;
    let sizes: Vec<usize> = sizes.iter().map(|&size| size as usize).collect();
    let (channels, [height, width]) = match sizes[1..] {
        [channels, height, width] => (Some(channels), [height, width]),
        [height, width] => (None, [height, width]),
        _ => unreachable!("images have three or four dimensions"),
    };
    Ok(Images { count: sizes[0], channels, height, width, pixels })
}

/// Labels of a stream whose stored size is `stored` bytes.
pub(super) fn read_labels(stream: impl BufRead, stored: u64) -> Result<Labels, Failure> {
    let (Header { element, .. }, bytes) = read(&LABELS, stream, stored)?;
    if element == UNSIGNED_BYTE {
        return Ok(Labels { values: bytes.into_iter().map(u16::from).collect(), wide: false });
    }
    let values: Vec<u16> = bytes.as_chunks().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
    match values.iter().position(|&label| label > i16::MAX as u16) {
        Some(sample) => Err(Problem::Negative { sample, label: values[sample] as i16 }.into()),
        None => Ok(Labels { values, wide: true }),
    }
}

/// What a kind of file may hold.
struct Kind {
    what: &'static str,
    /// In words.
    dimensions: &'static str,
    least_dimensions: u8,
    most_dimensions: u8,
    elements: &'static [u8],
    /// In words.
    element_names: &'static str,
}

const IMAGES: Kind = Kind {
    what: "images",
    dimensions: "3- or 4-dimensional",
    least_dimensions: 3,
    most_dimensions: 4,
    elements: &[UNSIGNED_BYTE],
    element_names: "unsigned bytes (0x08)",
};

const LABELS: Kind = Kind {
    what: "labels",
    dimensions: "1-dimensional",
    least_dimensions: 1,
    most_dimensions: 1,
    elements: &[UNSIGNED_BYTE, SHORT],
    element_names: "unsigned bytes (0x08) and 16-bit integers (0x0b)",
};

/// A header that is within this reader's limits.
struct Header {
    element: u8,
    /// At most four.
    sizes: Vec<u64>,
}

impl Header {
    /// Bytes of the header itself.
    fn bytes(&self) -> u64 {
        4 + 4 * self.sizes.len() as u64
    }

    /// Bytes of the elements.
    fn body_bytes(&self) -> u64 {
        self.sizes.iter().product::<u64>() * if self.element == SHORT { 2 } else { 1 }
    }
}

fn read(kind: &Kind, mut stream: impl BufRead, stored: u64) -> Result<(Header, Vec<u8>), Failure> {
    let start = stream.fill_buf().map_err(Failure::Read)?;
    let compressed = start.starts_with(&GZIP_MAGIC);
    let read_all = |stream: &mut dyn Read| {
        let header = read_header(kind, stream)?;
        let promised = header.bytes() + header.body_bytes();
        check_size(promised, stored, compressed)?;
        let body = read_body(stream, promised, header.bytes())?;
        Ok((header, body))
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

/// The sizes of all dimensions, within this reader's limits.
fn read_header(kind: &Kind, stream: &mut dyn Read) -> Result<Header, Failure> {
    let mut word = || {
        let mut bytes = [0; 4];
        match stream.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Problem::ShortHeader.into()),
            Err(error) => Err(Failure::Read(error)),
        }
    };
    let (element, dimensions) = match word()? {
        [0, 0, element @ (UNSIGNED_BYTE | 0x09 | 0x0b..=0x0e), dimensions @ 1..=4] => (element, dimensions),
        magic => return Err(Problem::Magic(magic).into()),
    };
    if !kind.elements.contains(&element) {
        return Err(Problem::ElementType { element, wanted: kind.element_names }.into());
    }
    if !(kind.least_dimensions..=kind.most_dimensions).contains(&dimensions) {
        let (what, wanted) = (kind.what, kind.dimensions);
        return Err(Problem::Dimensions { what, wanted, got: dimensions }.into());
    }
    let mut sizes = Vec::new();
    for dimension in 0..dimensions {
        let size = u64::from(u32::from_be_bytes(word()?));
        let (what, limit) = match (dimension, dimensions) {
            (0, _) => ("samples", MAX_SAMPLES),
            (1, 4) => ("channels", MAX_CHANNELS),
            _ => ("pixels a side", MAX_SIDE),
        };
        within(what, size, limit)?;
        sizes.push(size);
    }
    let header = Header { element, sizes };
    // Below 2^28 · 2^8 · 2^12 · 2^12: no overflow.
    within("bytes", header.body_bytes(), MAX_BYTES)?;
    Ok(header)
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
        write!(f, "Images({}, {}, {}, {})", self.count, self.channels.unwrap_or(1), self.height, self.width)
    }
}
