//! Checkpoints as objects of an S3 bucket: `prefix/step-…/state.safetensors`, then `checkpoint.json`.
//!
//! An object is whole or absent, so that no renaming is needed: a checkpoint counts from the moment that its manifest
//! is there, and no longer when its manifest is gone. What has none is being written, being removed, or left over.

use std::fmt;
use std::future::Future;
use std::time::{Duration, SystemTime};

use lockstep_objects::{Objects, Patience, words};
use object_store::path::Path;
use object_store::{ListResult, ObjectStoreExt};
use tokio::runtime::{self, Runtime};

use super::{Draft, Part, Read, Store};
use crate::error::Error;
use crate::fault::{self, Point};

/// The manifest goes first.
const BACKWARDS: [Part; 2] = [Part::Manifest, Part::State];

/// One request, also of a large state over a slow line; the writer's thread and a starting worker wait that long.
const PATIENCE: Patience = Patience { request: Duration::from_secs(15 * 60), retries: 5, all: Duration::from_secs(60) };

/// No upload takes this long.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// A prefix of a bucket.
pub(crate) struct Bucket {
    objects: Objects,
    /// Taken out when dropped.
    runtime: Option<Runtime>,
}

impl Bucket {
    /// `text` is `s3://bucket/prefix`; `variables` are like those of the environment, of which `AWS_…` are used.
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn new(text: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let objects = Objects::open(text, variables, PATIENCE)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(Self { objects, runtime: Some(runtime) })
    }

    /// Waits for a request. `None` if there is no such object.
    fn wait<T>(
        &self,
        doing: &'static str,
        object: &Path,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, Error> {
        let named = || self.objects.named(object);
        let Some(runtime) = self.runtime.as_ref().filter(|_| runtime::Handle::try_current().is_err()) else {
            let reason = "a bucket is for threads that may wait, not for tasks".into();
            return Err(Error::Bucket { doing, object: named(), reason });
        };
        match runtime.block_on(request) {
            Ok(answer) => Ok(Some(answer)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(doing, named(), &error)),
        }
    }

    fn object(&self, name: &str, part: Part) -> Path {
        self.objects.prefix().clone().join(name).join(part.file())
    }

    fn exists(&self, object: &Path) -> Result<bool, Error> {
        Ok(self.wait("look for", object, self.objects.store.head(object))?.is_some())
    }

    fn put(&self, object: &Path, bytes: Vec<u8>) -> Result<(), Error> {
        match self.wait("write", object, self.objects.store.put(object, bytes.into()))? {
            Some(_) => Ok(()),
            None => Err(Error::Bucket {
                doing: "write",
                object: self.objects.named(object),
                reason: "there is no such bucket".into(),
            }),
        }
    }

    fn delete(&self, object: &Path) -> Result<(), Error> {
        self.wait("remove", object, self.objects.store.delete(object)).map(drop)
    }

    /// Objects and folders right under a prefix; `None` if there is no such bucket.
    fn look(&self, prefix: &Path) -> Result<Option<ListResult>, Error> {
        self.wait("look through", prefix, self.objects.store.list_with_delimiter(Some(prefix)))
    }

    fn sweep_or_fail(&self) -> Result<(), Error> {
        let old = SystemTime::now() - OLD;
        for name in self.names()?.iter().filter(|name| name.starts_with("step-")) {
            let Some(found) = self.look(&self.objects.prefix().clone().join(name.as_str()))? else { continue };
            let manifest = self.object(name, Part::Manifest);
            let written = found.objects.iter().any(|object| object.location == manifest);
            if !written && found.objects.iter().all(|object| SystemTime::from(object.last_modified) < old) {
                self.delete(&self.object(name, Part::State))?;
            }
        }
        Ok(())
    }
}

impl Store for Bucket {
    fn names(&self) -> Result<Vec<String>, Error> {
        let found = self.look(self.objects.prefix())?;
        let folders = found.map(|found| found.common_prefixes).unwrap_or_default();
        Ok(folders.iter().filter_map(|folder| folder.filename().map(str::to_owned)).collect())
    }

    fn stands(&self, name: &str) -> Result<bool, Error> {
        self.exists(&self.object(name, Part::Manifest))
    }

    fn read(&self, name: &str, part: Part, limit: u64) -> Result<Read, Error> {
        let object = self.object(name, part);
        let read = self.wait("read", &object, async {
            let found = self.objects.store.get(&object).await?;
            if found.meta.size > limit {
                return Ok(Read::Wrong(format!("it has {} bytes, more than {limit}", found.meta.size)));
            }
            found.bytes().await.map(|bytes| Read::Whole(bytes.into()))
        })?;
        Ok(read.unwrap_or(Read::Missing))
    }

    fn draft(&self, name: &str) -> Result<Box<dyn Draft + '_>, Error> {
        Ok(Box::new(BucketDraft { bucket: self, name: name.into(), bytes: Vec::new() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<bool, Error> {
        let mut copied = false;
        for part in BACKWARDS {
            if self.exists(&self.object(to, part))? {
                return Ok(false);
            }
        }
        for part in [Part::State, Part::Manifest] {
            let (old, new) = (self.object(from, part), self.object(to, part));
            copied |= self.wait("copy", &old, self.objects.store.copy(&old, &new))?.is_some();
        }
        for part in BACKWARDS {
            self.delete(&self.object(from, part))?;
        }
        Ok(copied)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        fault::point(Point::BeforeDelete);
        self.delete(&self.object(name, Part::Manifest))?;
        fault::point(Point::HalfDelete);
        self.delete(&self.object(name, Part::State))
    }

    fn sweep(&self) {
        if let Err(error) = self.sweep_or_fail() {
            tracing::debug!("cannot look for leftovers: {error}");
        }
    }

    fn used_bytes(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        for name in self.names()? {
            let found = self.look(&self.objects.prefix().clone().join(name.as_str()))?;
            bytes += found.iter().flat_map(|found| &found.objects).map(|object| object.size).sum::<u64>();
        }
        Ok(bytes)
    }

    fn check_writable(&self) -> Result<(), Error> {
        let probe = self.objects.prefix().clone().join(".probe");
        self.put(&probe, b"probe".to_vec())?;
        self.delete(&probe)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Its own drop would wait, which tasks may not; nothing is under way.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.objects, f)
    }
}

/// Objects that are put one by one. A state without manifest stays if the second is refused: the same is put again, or
/// it is swept a day later.
struct BucketDraft<'a> {
    bucket: &'a Bucket,
    name: String,
    /// Of the part at hand.
    bytes: Vec<u8>,
}

impl Draft for BucketDraft<'_> {
    fn write(&mut self, _: Part, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self, part: Part) -> Result<(), Error> {
        match part {
            Part::State => self.bucket.put(&self.bucket.object(&self.name, part), std::mem::take(&mut self.bytes)),
            // It publishes the checkpoint.
            Part::Manifest => Ok(()),
        }
    }

    fn publish(self: Box<Self>) -> Result<bool, Error> {
        fault::point(Point::BeforeRename);
        self.bucket.put(&self.bucket.object(&self.name, Part::Manifest), self.bytes)?;
        fault::point(Point::AfterRename);
        Ok(true)
    }
}

/// [`Error::Full`] where the server says so; S3-like servers have different words for it.
fn failed(doing: &'static str, object: String, error: &object_store::Error) -> Error {
    let reason = words(error);
    if ["507 ", "StorageFull", "QuotaExceeded"].iter().any(|full| reason.contains(full)) {
        return Error::Full { what: object, reason };
    }
    Error::Bucket { doing, object, reason }
}
