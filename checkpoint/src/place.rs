//! A place for one job's checkpoints: write, list, read, set aside, remove.

use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::fault::{self, Point};
use crate::manifest::{FileSeal, MANIFEST_BYTES, Manifest, Refused, VERSION};
use crate::state_file::{self, StateFile};
use crate::store::{Bucket, Draft, Folder, Part, Read, Store};
use crate::{Name, Snapshot};

/// How many damaged checkpoints of one name are set aside.
const DAMAGED: u32 = 1000;

/// A folder or a bucket that holds a job's checkpoints. Copies are the same place.
#[derive(Clone, Debug)]
pub struct Place {
    /// As the user wrote it.
    text: String,
    pub(crate) store: Arc<dyn Store>,
    quota_bytes: Option<u64>,
    /// Leftovers were looked for.
    swept: Arc<Once>,
}

/// A checkpoint that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: Name,
    /// Size of its files; 0 if it was there already.
    pub bytes: u64,
    /// From the first byte until it was durable.
    pub took: Duration,
}

impl Place {
    /// A place by its text: a folder, which need not exist, or `s3://bucket/prefix`. Nothing is created before the
    /// first write. Credentials and endpoint of a bucket come from the environment: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and so on.
    ///
    /// A bucket's place is for threads that may wait: in an async task its methods give an error.
    ///
    /// # Errors
    /// [`Error::Place`] if the text is neither.
    pub fn open(text: &str) -> Result<Self, Error> {
        Self::open_with(text, lockstep_objects::variables())
    }

    /// [`Place::open`] with other variables than the environment's.
    ///
    /// # Errors
    /// The same.
    pub fn open_with(text: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let refused = |reason: String| Error::Place { place: text.into(), reason };
        let store: Arc<dyn Store> = match text.split_once("://") {
            Some(("s3", _)) => Arc::new(Bucket::new(text, variables).map_err(refused)?),
            Some(_) => return Err(refused("give a folder or s3://bucket/prefix".into())),
            None if text.is_empty() => return Err(refused("it is empty".into())),
            None => Arc::new(Folder::new(PathBuf::from(text))),
        };
        Ok(Self { text: text.into(), store, quota_bytes: None, swept: Arc::new(Once::new()) })
    }

    /// The same place, in which a write that would make it larger than `bytes` fails as on a full disk.
    #[must_use]
    pub fn with_quota(self, bytes: u64) -> Self {
        Self { quota_bytes: Some(bytes), ..self }
    }

    /// Checks before a job starts that it could write. Leaves nothing behind.
    ///
    /// # Errors
    /// With the reason, such as a read-only disk or a missing permission.
    pub fn check_writable(&self) -> Result<(), Error> {
        self.store.check_writable()
    }

    /// Writes a checkpoint, durable when this returns. If the same state is there already, valid, of whatever
    /// generation, nothing is written.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no room; then nothing has changed. [`Error::Foreign`] if another job's
    /// checkpoint has that name.
    pub fn write(&self, snapshot: &Snapshot) -> Result<Written, Error> {
        let start = Instant::now();
        snapshot.check()?;
        self.swept.call_once(|| self.store.sweep());
        if let Some(name) = self.same(snapshot)? {
            return Ok(Written { name, bytes: 0, took: start.elapsed() });
        }
        let name = Name { step: snapshot.about.step, generation: snapshot.about.generation };
        let bytes = self.publish(name, snapshot)?;
        Ok(Written { name, bytes, took: start.elapsed() })
    }

    /// Names of all checkpoints, valid or not, by step and generation; what has other names is passed over.
    ///
    /// # Errors
    /// If the place cannot be read.
    pub fn list(&self) -> Result<Vec<Name>, Error> {
        let mut names: Vec<Name> = self.store.names()?.iter().filter_map(|name| name.parse().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// All of a checkpoint, after the same checks as in [`Place::newest`].
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`] or [`Error::Newer`]; others if the place cannot be read.
    pub fn read(&self, name: Name) -> Result<Snapshot, Error> {
        let manifest = self.manifest(name)?;
        let file = self.file(name, Part::State, manifest.state.bytes)?;
        if file.len() as u64 != manifest.state.bytes || blake3::hash(&file).to_hex().as_str() != manifest.state.blake3 {
            return Err(self.damaged(name, "its state is not as it was written"));
        }
        let tensors = state_file::decode(&file).map_err(|reason| self.damaged(name, &reason))?;
        Ok(Snapshot { about: manifest.about, tensors })
    }

    /// Removes a checkpoint; one that is gone already is no error.
    ///
    /// # Errors
    /// If the place refuses.
    pub fn remove(&self, name: Name) -> Result<(), Error> {
        self.store.remove(&name.to_string())
    }

    /// Renames a checkpoint to `damaged-…`, so that nothing is lost and nobody takes it for one; gives the new name.
    ///
    /// # Errors
    /// If the place refuses, as a read-only disk does.
    pub fn set_aside(&self, name: Name, why: &str) -> Result<String, Error> {
        let from = name.to_string();
        for count in 1..=DAMAGED {
            let to = if count == 1 { format!("damaged-{from}") } else { format!("damaged-{from}-{count}") };
            if self.store.rename(&from, &to)? {
                tracing::warn!("checkpoint {name} in {self} is set aside as {to}: {why}");
                return Ok(to);
            }
            if !self.store.stands(&from)? {
                return Err(self.missing(name));
            }
        }
        Err(self.damaged(name, "too many of its name are set aside"))
    }

    /// What a checkpoint says of its state, checked by itself.
    pub(crate) fn manifest(&self, name: Name) -> Result<Manifest, Error> {
        let text = self.file(name, Part::Manifest, MANIFEST_BYTES)?;
        let manifest = Manifest::decode(&text).map_err(|refused| match refused {
            Refused::Newer(version) => Error::Newer { name, place: self.text.clone(), version, known: VERSION },
            Refused::Damaged(reason) => self.damaged(name, &reason),
        })?;
        if (manifest.about.step, manifest.about.generation) != (name.step, name.generation) {
            return Err(self.damaged(name, "it has another checkpoint's name"));
        }
        Ok(manifest)
    }

    fn file(&self, name: Name, part: Part, limit: u64) -> Result<Vec<u8>, Error> {
        match self.store.read(&name.to_string(), part, limit)? {
            Read::Whole(bytes) => Ok(bytes),
            Read::Wrong(reason) => Err(self.damaged(name, &format!("{}: {reason}", part.file()))),
            // It may have been removed while it was read.
            Read::Missing if self.store.stands(&name.to_string())? => {
                Err(self.damaged(name, &format!("it has no {}", part.file())))
            }
            Read::Missing => Err(self.missing(name)),
        }
    }

    /// The valid checkpoint that holds the very state, if there is one.
    fn same(&self, snapshot: &Snapshot) -> Result<Option<Name>, Error> {
        let about = &snapshot.about;
        for name in self.list()?.into_iter().rev().filter(|name| name.step == about.step) {
            match self.read(name) {
                Ok(there) if about.same_state(&there.about) => return Ok(Some(name)),
                Ok(there) if name.generation == about.generation => {
                    let (theirs, ours) = (there.about.digest, about.digest.clone());
                    return Err(Error::Foreign { name, place: self.text.clone(), what: "state", theirs, ours });
                }
                Err(Error::Damaged { reason, .. }) if name.generation == about.generation => {
                    self.set_aside(name, &reason)?;
                }
                Ok(_) | Err(Error::Damaged { .. } | Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn publish(&self, name: Name, snapshot: &Snapshot) -> Result<u64, Error> {
        let invalid = |reason| Error::Invalid { reason };
        let file = StateFile::new(&snapshot.tensors).map_err(invalid)?;
        let mut draft = Bounded { draft: self.store.draft(&name.to_string())?, left: self.left()?, what: self };
        fault::point(Point::BeforeState);
        let blake3 = write_state(&mut draft, &file)?;
        fault::point(Point::AfterState);
        let state = FileSeal { bytes: file.bytes, blake3 };
        let text = Manifest { state, about: snapshot.about.clone() }.encode().map_err(invalid)?;
        let (first, second) = text.as_bytes().split_at(text.len() / 2);
        draft.write(Part::Manifest, first)?;
        fault::point(Point::HalfManifest);
        draft.write(Part::Manifest, second)?;
        draft.draft.finish(Part::Manifest)?;
        if draft.draft.publish()? {
            return Ok(file.bytes + text.len() as u64);
        }
        // Another process has written the state at the same time; it is the same, or told as foreign.
        self.same(snapshot)?.map(|_| 0).ok_or_else(|| self.missing(name))
    }

    /// Bytes that the quota leaves.
    fn left(&self) -> Result<u64, Error> {
        match self.quota_bytes {
            Some(quota) => Ok(quota.saturating_sub(self.store.used_bytes()?)),
            None => Ok(u64::MAX),
        }
    }

    fn damaged(&self, name: Name, reason: &str) -> Error {
        Error::Damaged { name, place: self.text.clone(), reason: reason.into() }
    }

    fn missing(&self, name: Name) -> Error {
        Error::Missing { name, place: self.text.clone() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A draft within the place's quota.
struct Bounded<'a> {
    draft: Box<dyn Draft + 'a>,
    left: u64,
    what: &'a Place,
}

impl Bounded<'_> {
    fn write(&mut self, part: Part, bytes: &[u8]) -> Result<(), Error> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| Error::Full {
            what: self.what.to_string(),
            reason: format!("its quota of {} bytes is used up", self.what.quota_bytes.unwrap_or(u64::MAX)),
        })?;
        self.draft.write(part, bytes)
    }
}

/// Writes the state file, hashing the bytes while they are in the cache; gives their BLAKE3.
fn write_state(draft: &mut Bounded, file: &StateFile) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut written = 0;
    file.stream(|piece| {
        hasher.update(piece);
        draft.write(Part::State, piece)?;
        let before = written;
        written += piece.len() as u64;
        if before < file.bytes / 2 && written >= file.bytes / 2 {
            fault::point(Point::HalfState);
        }
        Ok(())
    })?;
    draft.draft.finish(Part::State)?;
    Ok(hasher.finalize().to_hex().to_string())
}
