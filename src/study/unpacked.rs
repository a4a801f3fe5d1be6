//! Compressed data, unpacked once for all runs of a study: MNIST takes a third of a second, which is as long as a small
//! network trains for an epoch. Jobs say where the data are; that this machine has them elsewhere as well is the agent's
//! business, as with any dataset that nodes know by a name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use lockstep_dataset::idx::IdxFile;
use lockstep_dataset::known;
use lockstep_proto::job::{Data, Job};
use lockstep_study::grid::Grid;
use lockstep_worker::datasets::NamedFolder;

use crate::BadInput;

/// What gzip files start with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Plain copies, which are removed when this is dropped.
pub struct Unpacked {
    folder: PathBuf,
    /// Names of copies by what they are of.
    names: BTreeMap<PathBuf, String>,
}

impl Unpacked {
    /// Unpacks what cells' jobs train on into a folder of its own.
    ///
    /// # Errors
    /// If data can't be read, or there is no room.
    pub fn of(grid: &Grid, folder: PathBuf) -> Result<Self> {
        let mut unpacked = Self { folder, names: BTreeMap::new() };
        for data in grid.cells.iter().map(|cell| &cell.job.data).filter(|data| data.name.is_empty()) {
            let name = format!("unpacked-{}", unpacked.names.len() + 1);
            if !unpacked.names.contains_key(&data.path) && unpack(data, &unpacked.folder.join(&name))? {
                unpacked.names.insert(data.path.clone(), name);
            }
        }
        Ok(unpacked)
    }

    /// What an agent is to know.
    ///
    /// # Errors
    /// If the folder's name can't be said.
    pub fn folders(&self) -> Result<Vec<NamedFolder>> {
        let named = |name: &String| format!("{name}={}", self.folder.join(name).display()).parse();
        self.names.values().map(named).collect::<Result<_, String>>().map_err(|error| anyhow!(error))
    }

    /// Lets a job's workers take the copy, where there is one.
    pub fn name(&self, job: &mut Job) {
        if let Some(name) = self.names.get(&job.data.path).filter(|_| job.data.name.is_empty()) {
            job.data.name.clone_from(name);
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // What stays is overwritten by the next call.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Writes the four idx files of a job's data plainly into a folder; they are the same dataset there. False, and nothing is
/// written, if they are no idx files, or not compressed.
///
/// # Errors
/// If one can't be read, or written.
fn unpack(data: &Data, to: &Path) -> Result<bool> {
    let from = known::resolved(&data.path);
    let open = |name: &str, kinds: [&str; 2]| IdxFile::open(&kinds.map(|kind| from.join(format!("{name}-{kind}"))));
    let mut files = Vec::new();
    for name in ["train", "t10k"] {
        let images = open(name, ["images-idx3-ubyte", "images-idx4-ubyte"]);
        let labels = open(name, ["labels-idx1-ubyte", "labels-idx1-short"]);
        let (Ok(images), Ok(labels)) = (images, labels) else { return Ok(false) };
        files.push((images, labels));
    }
    if !files.iter().any(|(images, _)| is_compressed(images)) {
        return Ok(false);
    }
    let room = || format!("cannot unpack data into {}", to.display());
    std::fs::create_dir_all(to).with_context(room)?;
    for (images, labels) in &files {
        let pixels = images.images().map_err(BadInput::from_display)?;
        write(to, images, &[&pixels.header(), &pixels.pixels]).with_context(room)?;
        let labelled = labels.labels().map_err(BadInput::from_display)?;
        write(to, labels, &[&labelled.file()]).with_context(room)?;
    }
    Ok(true)
}

/// By its first bytes; one that can't be read is for its reader to tell.
fn is_compressed(file: &IdxFile) -> bool {
    let mut first = GZIP_MAGIC.map(|_| 0);
    let read = File::open(&file.path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == GZIP_MAGIC
}

/// Under the name of the file that it is of, without `.gz`.
fn write(to: &Path, of: &IdxFile, parts: &[&[u8]]) -> io::Result<()> {
    let name = of.path.file_name().unwrap_or_default().to_string_lossy();
    let mut out = BufWriter::new(File::create(to.join(name.trim_end_matches(".gz")))?);
    parts.iter().try_for_each(|part| out.write_all(part))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use lockstep_dataset::Dataset;

    use super::*;

    #[test]
    fn a_plain_copy_is_the_same_dataset() {
        let folder = tempfile::tempdir().unwrap();
        let mnist = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist");
        let data = Data { path: mnist, ..Data::default() };
        assert!(unpack(&data, folder.path()).unwrap());
        let copy = Data { path: folder.path().to_owned(), ..Data::default() };
        assert_eq!(Dataset::open(&copy).unwrap().id(), Dataset::open(&data).unwrap().id());
        let again = folder.path().join("again");
        assert!(!unpack(&copy, &again).unwrap(), "it is plain");
        assert!(!unpack(&Data { path: again.clone(), ..Data::default() }, &again).unwrap(), "there is nothing");
        assert!(!again.exists());
    }
}
