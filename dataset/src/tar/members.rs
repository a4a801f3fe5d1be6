//! Going through a tar file: USTAR, and of PAX and GNU what gives plain files other names.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::{Problem, TarError};

const BLOCK: u64 = 512;
/// Names, times and comments take far less.
const MAX_EXTENSION: u64 = 1 << 16;

/// A plain file in a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, with folders, without `./`.
    pub name: String,
    /// Where its content starts.
    pub offset: u64,
    /// Bytes of its content.
    pub length: u64,
}

/// Calls `each` with the plain files in their order. The content is not read.
///
/// # Errors
/// The first thing that is wrong, or what `each` gives.
pub fn members<E: From<TarError>>(path: &Path, mut each: impl FnMut(Member) -> Result<(), E>) -> Result<(), E> {
    let whole = |problem| TarError { path: path.to_owned(), member: None, offset: 0, problem };
    let file = File::open(path).map_err(|error| whole(error.into()))?;
    let length = file.metadata().map_err(|error| whole(error.into()))?.len();
    let mut archive = Archive::new(&file);
    let entries = archive.entries_with_seek().map_err(|error| whole(error.into()))?.raw(true);
    let mut end = 0;
    let mut renamed = None;
    for entry in entries {
        let at_end = |problem| TarError { path: path.to_owned(), member: None, offset: end, problem };
        let mut entry = entry.map_err(|error| at_end(Problem::Header(error.to_string())))?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let found = header(&mut entry, &mut renamed, length);
        let name = || Some(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
        let member = found.map_err(|problem| TarError {
            path: path.to_owned(),
            member: name(),
            offset: entry.raw_header_position(),
            problem,
        })?;
        // Below the file's length, or `header` would have refused it.
        end = offset + size.next_multiple_of(BLOCK);
        if let Some(name) = member {
            each(Member { name, offset, length: size })?;
        }
    }
    let mut last = [1; BLOCK as usize];
    if file.read_exact_at(&mut last, end).is_err() || last != [0; BLOCK as usize] {
        return Err(TarError { path: path.to_owned(), member: None, offset: end, problem: Problem::NoEnd }.into());
    }
    Ok(())
}

/// What a header says: the name of a plain file, or nothing that is one. `renamed`: the name that an extended header has
/// for the next.
fn header<R: Read>(
    entry: &mut Entry<'_, R>,
    renamed: &mut Option<Vec<u8>>,
    length: u64,
) -> Result<Option<String>, Problem> {
    let end = entry.raw_file_position().checked_add(entry.size());
    let missing = end.map_or(u64::MAX, |end| end.saturating_sub(length));
    if missing > 0 {
        return Err(Problem::Cut { missing });
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let name = renamed.take().unwrap_or_else(|| entry.path_bytes().into_owned());
            plain_name(name).map(Some)
        }
        EntryType::Directory => {
            *renamed = None;
            Ok(None)
        }
        EntryType::XHeader => {
            *renamed = pax(&extension(entry)?)?.or(renamed.take());
            Ok(None)
        }
        EntryType::GNULongName => {
            let mut name = extension(entry)?;
            name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
            *renamed = Some(name);
            Ok(None)
        }
        EntryType::XGlobalHeader => Ok(None),
        EntryType::GNUSparse => Err(Problem::Sparse),
        other => Err(Problem::Kind(char::from(other.as_byte()))),
    }
}

/// Content of an extended header.
fn extension<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Problem> {
    if entry.size() > MAX_EXTENSION {
        return Err(Problem::Extension(entry.size()));
    }
    let mut content = Vec::new();
    entry.take(MAX_EXTENSION).read_to_end(&mut content)?;
    Ok(content)
}

/// The next member's name by a PAX header, if it has one.
fn pax(content: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
    let mut name = None;
    for extension in PaxExtensions::new(content) {
        let extension = extension.map_err(|error| Problem::Header(error.to_string()))?;
        match extension.key_bytes() {
            b"path" => name = Some(extension.value_bytes().to_vec()),
            // It is there only where the header's own field is too small.
            b"size" => return Err(Problem::Huge),
            key if key.starts_with(b"GNU.sparse.") => return Err(Problem::Sparse),
            _ => {}
        }
    }
    Ok(name)
}

fn plain_name(name: Vec<u8>) -> Result<String, Problem> {
    let name = String::from_utf8(name).map_err(|_| Problem::Name)?;
    let name = name.trim_start_matches("./");
    if name.is_empty() || name.starts_with('/') || name.contains('\0') || name.split('/').any(|part| part == "..") {
        return Err(Problem::Traversal);
    }
    Ok(name.to_owned())
}
