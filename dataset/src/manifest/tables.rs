//! Tables of records, read when they are first asked for, checked, and kept as far as memory is meant to go.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Hash, Manifest, ManifestError, Record, Shard, TABLES};
use crate::kept::Kept;
use crate::remote::Remote;

/// Records that are kept in memory: 16 million samples' worth. More are read again when they are needed again.
const KEPT_BYTES: usize = 256 << 20;

/// The tables of a split's shards.
#[derive(Debug)]
pub struct Tables {
    path: PathBuf,
    /// Where the file comes from, if it is a copy.
    origin: Option<Remote>,
    file: File,
    kept: Mutex<Kept<Arc<[Record]>>>,
}

impl Tables {
    /// Opens the file of the tables of so many samples.
    pub(super) fn open(path: PathBuf, samples: u64) -> Result<Self, ManifestError> {
        let read = |source| ManifestError::Read { path: path.clone(), source };
        let file = File::open(&path).map_err(read)?;
        let found = file.metadata().map_err(read)?.len();
        let wanted = samples.saturating_mul(Record::BYTES as u64);
        if found != wanted {
            return Err(ManifestError::Length { path, found, wanted });
        }
        Ok(Self { path, origin: None, file, kept: Mutex::new(Kept::new(KEPT_BYTES)) })
    }

    /// Brings the tables of a split in an object store to a file of this machine, which is then there, whole, or not.
    pub(super) fn bring(remote: &Remote, path: &Path, manifest: &Manifest) -> Result<(), ManifestError> {
        let kept = |source| ManifestError::Read { path: path.to_owned(), source };
        // Machines that share a cache may have processes of the same number.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let part = path.with_extension(format!("{}-{now}.part", std::process::id()));
        let come = || {
            let mut file = File::create(&part).map_err(kept)?;
            remote
                .copy(TABLES, manifest.samples * Record::BYTES as u64, |piece| file.write_all(piece))
                .map_err(|source| ManifestError::Read { path: remote.path(TABLES), source })?;
            let tables = Self { path: remote.path(TABLES), ..Self::open(part.clone(), manifest.samples)? };
            manifest.shards.iter().try_for_each(|shard| tables.read(shard, manifest.classes.len()).map(drop))?;
            tables.file.sync_all().and_then(|()| fs::rename(&part, path)).map_err(kept)
        };
        let brought = come();
        if brought.is_err() {
            let _ = fs::remove_file(&part);
        }
        brought
    }

    /// The same, as a copy of those of a split in an object store.
    pub(super) fn copied_from(self, origin: Remote) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// A shard's table.
    pub(super) fn table(&self, manifest: &Manifest, shard: usize) -> Result<Arc<[Record]>, ManifestError> {
        if let Some(table) = self.lock().get(shard) {
            return Ok(table);
        }
        // Read without the lock: threads that come at once may read one twice, and none waits for another's disk.
        let table = self.read(&manifest.shards[shard], manifest.classes.len())?;
        self.lock().keep(shard, Arc::clone(&table), table.len() * Record::BYTES);
        Ok(table)
    }

    fn lock(&self) -> MutexGuard<'_, Kept<Arc<[Record]>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, shard: &Shard, classes: usize) -> Result<Arc<[Record]>, ManifestError> {
        let offset = shard.first_sample * Record::BYTES as u64;
        let mut bytes = vec![0; shard.samples as usize * Record::BYTES];
        let read = self.file.read_exact_at(&mut bytes, offset);
        match &self.origin {
            None => read.map_err(|source| ManifestError::Read { path: self.path.clone(), source })?,
            // The copy is damaged.
            Some(origin) if read.is_err() || Hash::of(&bytes) != shard.table_blake3 => {
                return self.read_anew(origin, shard, classes);
            }
            Some(_) => {}
        }
        self.decode(&bytes, shard, classes)
    }

    /// A table from where it was prepared.
    fn read_anew(&self, origin: &Remote, shard: &Shard, classes: usize) -> Result<Arc<[Record]>, ManifestError> {
        let offset = shard.first_sample * Record::BYTES as u64;
        let bytes = origin.read_range(TABLES, offset..offset + (shard.samples as usize * Record::BYTES) as u64);
        let bytes = bytes.map_err(|source| ManifestError::Read { path: origin.path(TABLES), source })?;
        self.decode(&bytes, shard, classes)
    }

    /// Whether a shard's table is the manifest's, where it was prepared.
    pub(super) fn check(&self, manifest: &Manifest, shard: usize) -> Result<(), ManifestError> {
        let (shard, classes) = (&manifest.shards[shard], manifest.classes.len());
        match &self.origin {
            Some(origin) => self.read_anew(origin, shard, classes).map(drop),
            None => self.read(shard, classes).map(drop),
        }
    }

    fn decode(&self, bytes: &[u8], shard: &Shard, classes: usize) -> Result<Arc<[Record]>, ManifestError> {
        let offset = shard.first_sample * Record::BYTES as u64;
        let path = self.origin.as_ref().map_or_else(|| self.path.clone(), |origin| origin.path(TABLES));
        let wrong = |problem| ManifestError::Table { path: path.clone(), shard: shard.name.clone(), offset, problem };
        if Hash::of(bytes) != shard.table_blake3 {
            return Err(wrong("its hash differs"));
        }
        let table: Arc<[Record]> = bytes.as_chunks().0.iter().map(Record::decode).collect();
        if table.iter().any(|record| record.label as usize >= classes) {
            return Err(wrong("a label is no class"));
        }
        if table.iter().any(|record| record.length == 0 || record.offset() + u64::from(record.length) > shard.bytes) {
            return Err(wrong("an image reaches beyond its shard"));
        }
        Ok(table)
    }
}
