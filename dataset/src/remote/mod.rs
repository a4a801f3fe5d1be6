//! Datasets in object stores: what a split's files are there, and how they come here.
//!
//! [`Remote`] asks the store. [`cache`] keeps whole shards on this machine's disk, [`mirror`] brings those that a job is
//! going to need, and [`ahead`] brings single samples into memory before a lane asks for them, as long as their shard is
//! not here. Who reads a sample sees none of it: the bytes are the same wherever they come from, and each sample's
//! checksum is looked at behind all of this ([`crate::shards`]).

pub mod ahead;
pub mod cache;
pub mod mirror;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use lockstep_objects::{Objects, Patience, variables, words};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::{self, Runtime};

/// A request is for a few megabytes at most. A server that is away for a moment costs time and no job.
const PATIENCE: Patience = Patience { request: Duration::from_secs(30), retries: 8, all: Duration::from_secs(120) };

/// Before bytes are asked for once more, each pause twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// See [`FIRST_PAUSE`].
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Pieces of a file that are asked for at once: with a latency of 20 ms, up to 600 MB/s.
const PIECES: usize = 3;
/// Bytes of a piece.
const PIECE: u64 = 4 << 20;

/// A folder in an object store.
#[derive(Clone, Debug)]
pub struct Remote {
    objects: Arc<Objects>,
    folder: Path,
}

impl Remote {
    /// The place that a text names. Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn open(text: &str) -> Result<Self, String> {
        let objects = Objects::open(text, variables(), PATIENCE)?;
        Ok(Self { folder: objects.prefix().clone(), objects: Arc::new(objects) })
    }

    /// A folder in it.
    pub fn inside(&self, name: &str) -> Self {
        Self { objects: Arc::clone(&self.objects), folder: self.folder.clone().join(name) }
    }

    /// A file of it, for people.
    pub fn path(&self, file: &str) -> PathBuf {
        self.objects.named(&self.object(file)).into()
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// If the store doesn't say.
    pub fn has(&self, file: &str) -> io::Result<bool> {
        match self.len(file) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// If there is no such file, or the store doesn't say.
    pub fn len(&self, file: &str) -> io::Result<u64> {
        let (store, object) = (Arc::clone(&self.objects.store), self.object(file));
        let about = wait(async move { store.head(&object).await })?;
        about.map(|about| about.size).map_err(|error| told(&error))
    }

    /// A whole file of at most `most` bytes.
    ///
    /// # Errors
    /// If there is no such file, it is longer, or the store fails.
    pub fn read(&self, file: &str, most: u64) -> io::Result<Bytes> {
        let (store, object) = (Arc::clone(&self.objects.store), self.object(file));
        let read = wait(async move {
            let found = store.get(&object).await?;
            let size = found.meta.size;
            if size > most { Ok(Err(size)) } else { found.bytes().await.map(Ok) }
        })?;
        let too_long = |size| io::Error::other(format!("has {size} bytes, more than {most}"));
        read.map_err(|error| told(&error))?.map_err(too_long)
    }

    /// Bytes of a file, all of them.
    ///
    /// # Errors
    /// If they can't be had.
    pub fn read_range(&self, file: &str, range: Range<u64>) -> io::Result<Bytes> {
        wait(self.range(file, range))?
    }

    /// As [`Self::read_range`], for tasks.
    pub(crate) fn range(
        &self,
        file: &str,
        range: Range<u64>,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + 'static {
        let (store, object) = (Arc::clone(&self.objects.store), self.object(file));
        async move {
            let mut pause = FIRST_PAUSE;
            loop {
                match get_range(&*store, &object, range.clone()).await {
                    // The store's client asks again by itself, but not for the rest of what was cut off.
                    Err(error) if error.kind() == io::ErrorKind::Other && pause <= LAST_PAUSE => {
                        tokio::time::sleep(pause).await;
                        pause *= 2;
                    }
                    answer => return answer,
                }
            }
        }
    }

    /// Hands the `bytes` bytes of a file to `take`, in order, some of them on their way meanwhile.
    ///
    /// # Errors
    /// If they can't be had, or `take` fails.
    pub(crate) fn copy(&self, file: &str, bytes: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut coming = VecDeque::new();
        let mut pieces = (0..bytes.div_ceil(PIECE)).map(|piece| piece * PIECE);
        loop {
            while coming.len() < PIECES
                && let Some(start) = pieces.next()
            {
                coming.push_back(begin(self.range(file, start..(start + PIECE).min(bytes)))?);
            }
            let Some(piece) = coming.pop_front() else { return Ok(()) };
            take(&piece.wait()??)?;
        }
    }

    fn object(&self, file: &str) -> Path {
        self.folder.clone().join(file)
    }
}

async fn get_range(store: &dyn ObjectStore, object: &Path, range: Range<u64>) -> io::Result<Bytes> {
    let wanted = range.end - range.start;
    let bytes = store.get_range(object, range).await.map_err(|error| told(&error))?;
    match bytes.len() as u64 == wanted {
        true => Ok(bytes),
        false => Err(io::Error::other(format!("{} bytes came where {wanted} were asked for", bytes.len()))),
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.objects.named(&self.folder))
    }
}

/// Where requests are carried out.
pub(crate) fn io() -> io::Result<&'static Runtime> {
    static IO: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = IO.get() {
        return Ok(runtime);
    }
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).thread_name("data-io").enable_all().build()?;
    Ok(IO.get_or_init(|| runtime))
}

/// A request under way.
pub(crate) struct Coming<T>(Receiver<T>);

impl<T> Coming<T> {
    /// Its answer.
    pub(crate) fn wait(self) -> io::Result<T> {
        self.0.recv().map_err(|_| io::Error::other("the request came to no end"))
    }
}

/// Begins a request, for whichever thread: its own runtime does the work.
pub(crate) fn begin<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> io::Result<Coming<T>> {
    let (answer, answered) = sync_channel(1);
    io()?.spawn(async move { _ = answer.send(request.await) });
    Ok(Coming(answered))
}

fn wait<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    let _waits = Waits::begin();
    begin(request)?.wait()
}

/// Threads that can't go on before a store has answered, which it does or doesn't within [`PATIENCE`].
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Whether one of this process' threads waits for a store: it is not stuck.
pub fn is_awaited() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}

/// A thread that waits, for as long as this lives.
pub(crate) struct Waits;

impl Waits {
    pub(crate) fn begin() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// With what a user can do about it.
fn told(error: &object_store::Error) -> io::Error {
    use object_store::Error;
    match error {
        Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, "there is no such object"),
        // Where machines of AWS ask for their own credentials: it was looked for them in vain.
        _ if error.to_string().contains("169.254.169.254") => io::Error::new(
            io::ErrorKind::PermissionDenied,
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for what \
             all may read",
        ),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "the store refuses: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of who may read it ({})",
                words(error)
            ),
        ),
        _ => io::Error::other(words(error)),
    }
}
