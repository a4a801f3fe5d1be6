//! When a checkpoint is due, where it goes, and which there are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lockstep_checkpoint::{About, Error, Name, Outcome, Place, Priority, RETRY, Snapshot, Wanted, Writer};
use lockstep_kernels::device::Device;
use lockstep_proto::plans::Plans;
use lockstep_proto::{job, wire};
use tokio::sync::mpsc::UnboundedSender;

use super::schedule::Cursor;
use super::snapshot::snapshot;
use super::state::State;
use crate::control::{Event, TrainerEvent};
use crate::model;

/// A job's checkpoints: the places where they may be, and the thread that writes.
pub(super) struct Checkpoints {
    /// Where new ones go; `None` if this worker does not see the run folder, which they belong in.
    place: Option<Place>,
    /// Further places to go on from.
    from: Vec<Place>,
    /// What all of this job's checkpoints say of themselves.
    about: About,
    /// What the job can go on from.
    wanted: Wanted,
    /// Started when it is first needed.
    writer: Option<Writer>,
    newest: Instant,
    shared: Arc<Shared>,
    events: UnboundedSender<Event>,
}

/// What the writer's thread needs for its messages.
#[derive(Default)]
struct Shared {
    /// Digests of the states that are being written, by step.
    digests: Mutex<BTreeMap<u64, String>>,
    full: AtomicBool,
}

/// The newest checkpoint that a job can go on from.
#[derive(Default)]
pub(super) struct Newest {
    pub(super) held: Option<wire::Held>,
    pub(super) name: String,
    pub(super) remarks: Vec<String>,
}

impl Checkpoints {
    /// The places of an assignment. `about` says what all its checkpoints have in common, `wanted` what it can go on
    /// from.
    ///
    /// # Errors
    /// If a place is none, or cannot be written to.
    pub(super) fn open(
        assignment: &wire::Assignment,
        keys: &job::Checkpoint,
        (about, wanted): (About, Wanted),
        events: UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let place = if keys.dir.is_empty() {
            let folder = Path::new(&assignment.run_folder).join("checkpoints");
            let seen = sees_run_folder(assignment).then(|| Place::open(&folder.to_string_lossy()));
            seen.transpose()?
        } else {
            Some(Place::open(&keys.dir)?)
        };
        let place = place.map(|place| if keys.max_bytes > 0 { place.with_quota(keys.max_bytes) } else { place });
        if let Some(place) = &place {
            place.check_writable()?;
        }
        let from = assignment.from.iter().map(|text| Place::open(text)).collect::<Result<_, _>>()?;
        let shared = Arc::default();
        Ok(Self { place, from, about, wanted, writer: None, newest: Instant::now(), shared, events })
    }

    /// Looks through all places.
    ///
    /// # Errors
    /// If the newest of a place is another job's, or a place cannot be read.
    pub(super) fn newest(&self) -> Result<Newest, Error> {
        let mut remarks = Vec::new();
        if self.place.is_none() {
            remarks.push("the run folder is not on a disk that this worker sees: it writes no checkpoints".into());
        }
        let mut newest: Option<(Name, About, &Place)> = None;
        for place in self.places() {
            let found = place.newest(&self.wanted)?;
            remarks.extend(found.remarks);
            if let Some((name, about)) = found.newest
                && newest.as_ref().is_none_or(|(other, ..)| name > *other)
            {
                newest = Some((name, about, place));
            }
        }
        let Some((name, about, place)) = newest else { return Ok(Newest { remarks, ..Newest::default() }) };
        remarks.extend(self.differences(name, &about, place));
        let held = Some(wire::Held { step: about.step, digest: about.digest });
        Ok(Newest { held, name: name.to_string(), remarks })
    }

    /// What the user should know before the job goes on from a checkpoint.
    fn differences(&self, name: Name, about: &About, place: &Place) -> Option<String> {
        if about.fingerprint != self.about.fingerprint {
            let (theirs, ours) = (&about.fingerprint, &self.about.fingerprint);
            return Some(format!(
                "checkpoint {name} in {place} was written by build {} with {}, this is {} with {}: from here on the \
                 weights may differ from those of a run without a stop",
                theirs.build, theirs.instruction_set, ours.build, ours.instruction_set
            ));
        }
        (about.job_hash != self.about.job_hash)
            .then(|| format!("checkpoint {name} in {place} was written by a job with other settings"))
    }

    /// The checkpoint of this name, from wherever it is. Plans of another build or device, of which the user was told,
    /// are none here.
    ///
    /// # Errors
    /// Of the last place that was tried.
    pub(super) fn read(&self, name: &str) -> Result<Snapshot, String> {
        let name: Name = name.parse().map_err(|_| format!("{name:?} is no checkpoint's name"))?;
        let mut failed = format!("there is no place for checkpoint {name}");
        for place in self.places() {
            match place.read(name) {
                Ok(snapshot) if snapshot.about.fingerprint == self.about.fingerprint => return Ok(snapshot),
                Ok(Snapshot { about, tensors }) => {
                    return Ok(Snapshot { about: About { plans: Plans::default(), ..about }, tensors });
                }
                Err(error) => failed = error.to_string(),
            }
        }
        Err(failed)
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.place.iter().chain(&self.from)
    }

    /// Whether rank 0 should write one behind this step.
    pub(super) fn is_due(&self, when: &job::Checkpoint, cursor: &Cursor, epoch_ends: bool) -> bool {
        let every = |count: u64, every: u64| every > 0 && count.is_multiple_of(every);
        let time = Duration::from_secs(60 * u64::from(when.every_minutes));
        (epoch_ends && every(cursor.epoch, when.every_epochs.into()))
            || every(cursor.step, when.every_steps)
            || (when.every_minutes > 0 && self.newest.elapsed() >= time)
    }

    /// Copies the state and has it written, unless a newer one comes before its turn.
    pub(super) fn write<D: Device>(&mut self, state: &State<D>, device: &mut D, tensors: &[model::Tensor]) {
        self.submit(state, device, tensors, Priority::Replaceable);
    }

    /// Copies the state and has it written, whatever comes after it.
    pub(super) fn write_wanted<D: Device>(&mut self, state: &State<D>, device: &mut D, tensors: &[model::Tensor]) {
        self.submit(state, device, tensors, Priority::Urgent);
    }

    fn submit<D: Device>(&mut self, state: &State<D>, device: &mut D, tensors: &[model::Tensor], priority: Priority) {
        self.newest = Instant::now();
        let (step, shared) = (state.cursor.step, self.shared.clone());
        let snapshot = snapshot(state, device, tensors, &self.about).map_err(|failure| failure.to_string());
        let submitted = snapshot.and_then(|snapshot| {
            let writer = self.writer()?;
            // Before it can have been written.
            let digest = snapshot.about.digest.clone();
            shared.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(step, digest);
            writer.submit(snapshot, priority);
            Ok(())
        });
        if let Err(reason) = submitted {
            let failed = wire::CheckpointFailed { step, reason, full: false };
            let _ = self.events.send(Event::Trainer(TrainerEvent::CheckpointFailed(Box::new(failed))));
        }
    }

    /// Has checkpoints of this job's own place deleted.
    pub(super) fn remove(&mut self, names: &[String]) {
        let names: Vec<Name> = names.iter().filter_map(|name| name.parse().ok()).collect();
        match self.writer() {
            Ok(writer) => names.into_iter().for_each(|name| writer.remove(name)),
            Err(reason) => tracing::warn!("checkpoints are not deleted: {reason}"),
        }
    }

    /// Waits up to `limit`; gives whether all is written and deleted.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let started = Instant::now();
        self.writer.as_ref().is_none_or(|writer| writer.flush(|| started.elapsed() >= limit))
    }

    /// Waits until all is written and deleted; a full disk is not waited for.
    pub(super) fn finish(&self) {
        if let Some(writer) = &self.writer {
            writer.flush(|| self.is_full());
        }
    }

    /// Whether the last write found no room.
    pub(super) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    fn writer(&mut self) -> Result<&Writer, String> {
        if self.writer.is_none() {
            let Some(place) = self.place.clone() else {
                return Err("the run folder is not on a disk that this worker sees: set checkpoint.dir".into());
            };
            let (shared, events, dir) = (self.shared.clone(), self.events.clone(), place.to_string());
            let tell = move |outcome| {
                if let Some(event) = shared.event(outcome, &dir) {
                    // As in `Seat::tell`.
                    let _ = events.send(Event::Trainer(event));
                }
            };
            let writer = Writer::start(place, RETRY, tell);
            self.writer = Some(writer.map_err(|error| format!("cannot start the writer's thread: {error}"))?);
        }
        self.writer.as_ref().ok_or_else(|| "there is no writer".into())
    }
}

impl Shared {
    /// What control is told of an outcome.
    fn event(&self, outcome: Outcome, dir: &str) -> Option<TrainerEvent> {
        match outcome {
            Outcome::Written(written) => {
                self.full.store(false, Ordering::Relaxed);
                let step = written.name.step;
                let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
                let digest = digests.get(&step).cloned().unwrap_or_default();
                // Those of earlier steps gave way to this one.
                digests.retain(|&other, _| other >= step);
                Some(TrainerEvent::CheckpointWritten(Box::new(wire::CheckpointWritten {
                    step,
                    name: written.name.to_string(),
                    digest,
                    bytes: written.bytes,
                    seconds: written.took.as_secs_f64(),
                    dir: dir.into(),
                })))
            }
            Outcome::Failed { step, reason, full } => {
                self.full.store(full, Ordering::Relaxed);
                Some(TrainerEvent::CheckpointFailed(Box::new(wire::CheckpointFailed { step, reason, full })))
            }
            Outcome::Removed(name) => {
                tracing::debug!(%name, "checkpoint deleted");
                None
            }
            Outcome::NotRemoved { name, reason } => {
                tracing::warn!(%name, %reason, "checkpoint not deleted");
                None
            }
        }
    }
}

/// Whether the run folder is on a disk that this worker sees.
pub(super) fn sees_run_folder(assignment: &wire::Assignment) -> bool {
    !assignment.run_folder.is_empty() && Path::new(&assignment.run_folder).is_dir()
}
