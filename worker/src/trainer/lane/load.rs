//! From positions to the network's input: pixels, labels, and the samples' random numbers.

use std::ops::Range;

use lockstep_kernels::device::Device;
use lockstep_kernels::pixels::PixelsSize;

use super::{LaneRunner, Source, TrainStep, Work};
use crate::trainer::measures::{self, LaneSamples};
use crate::trainer::schedule::StepPlan;
use lockstep_dataset::DataError;
use lockstep_dataset::augment::Seen;
use lockstep_dataset::dataset::Split;
use lockstep_dataset::loader::Loader;
use lockstep_dataset::random::{Purpose, Random};

impl<D: Device> LaneRunner<D> {
    /// Gathers a training lane's samples.
    pub(super) fn load_train_lane(&mut self, step: &TrainStep<'_, D>, lane: u32) -> LaneSamples {
        let StepPlan { first, samples, epoch, .. } = step.plan;
        let places = lane_positions(0..samples, lane, step.work.micro_batch);
        let split = match step.source {
            Source::Epoch(order) => {
                let samples = places.map(|place| (place, order.sample_at(first + place)));
                return self.load(step.work, Split::Train, Some(epoch), samples);
            }
            Source::AsTheyLie(split) => split,
        };
        let samples = self.load(step.work, split, None, places.map(|place| (place, first + place)));
        if samples.count > 0 {
            self.draw_keys(step.work, epoch);
        }
        samples
    }

    /// Gathers the samples, each behind its place in the batch or split, and writes them to the model's input. `epoch`: of
    /// training. Nothing is written if all of them are left out, or more than may be.
    pub(super) fn load(
        &mut self,
        work: &Work<D>,
        split: Split,
        epoch: Option<u64>,
        samples: impl Iterator<Item = (u64, u64)>,
    ) -> LaneSamples {
        self.unload();
        let (mut hashes, mut skipped) = (0u64, Vec::new());
        let mut samples = samples.peekable();
        let first = samples.peek().map(|(_, sample)| *sample);
        let read_before = |loader: &Loader| loader.take(split, epoch, first?);
        self.decoded = work.loader.as_ref().and_then(read_before).map(|decoded| (decoded, 0));
        for (place, sample) in samples {
            let Some(label) = self.read(work, split, epoch, sample) else {
                skipped.push(place);
                continue;
            };
            self.labels.values.push(label);
            hashes = hashes.wrapping_add(measures::sample_hash(sample));
            self.ids.push(sample);
        }
        if skipped.len() as u64 > work.skip_bad {
            // The job ends behind this lane. Nobody computes it: its size is none that a library's plans were made for.
            self.unload();
        }
        let samples = LaneSamples { count: self.ids.len() as u64, hashes, skipped };
        if samples.count == 0 {
            return samples;
        }
        if let Some(epoch) = epoch {
            self.draw_keys(work, epoch);
            self.mix(work, epoch);
        }
        self.pixels.send(&mut self.device);
        self.labels.send(&mut self.device);
        self.write_input(work);
        samples
    }

    fn unload(&mut self) {
        self.pixels.values.clear();
        self.labels.values.clear();
        self.ids.clear();
        self.others.values.clear();
        self.shares.values.clear();
    }

    /// Appends a sample's pixels; gives its label, or none if it can't be decoded and the job leaves such out. Once another
    /// could not be read, there are zeros instead, and nobody takes what becomes of them for a result: see
    /// [`LaneRunner::take_unread`].
    fn read(&mut self, work: &Work<D>, split: Split, epoch: Option<u64>, sample: u64) -> Option<u16> {
        if let Some(label) = self.copy_decoded(work) {
            return Some(label);
        }
        let start = self.pixels.values.len();
        if self.unread.is_none() {
            match self.reader.append(&work.dataset, split, sample, epoch, &mut self.pixels.values) {
                Ok(label) => return Some(label),
                Err(error) if work.skip_bad > 0 && error.is_undecodable() => {
                    if !self.fills_up {
                        self.pixels.values.truncate(start);
                        return None;
                    }
                }
                Err(error) => self.unread = Some(error),
            }
        }
        self.pixels.values.truncate(start);
        self.pixels.values.resize(start + work.dataset.shape().len(), 0);
        Some(0)
    }

    /// Appends the pixels of the lane's next sample, if they were read before; gives its label.
    fn copy_decoded(&mut self, work: &Work<D>) -> Option<u16> {
        let (decoded, next) = self.decoded.as_mut()?;
        let (index, size) = (*next, work.dataset.shape().len());
        *next += 1;
        let label = (*decoded.labels.get(index)?)?;
        self.pixels.values.extend_from_slice(decoded.pixels.get(index * size..(index + 1) * size)?);
        Some(label)
    }

    /// Whether samples that would be left out are black images instead, for lanes of a certain size that are of no use but
    /// for that.
    pub fn fill_up(&mut self, fills_up: bool) {
        self.fills_up = fills_up;
    }

    /// Samples that evaluations have left out since the last call.
    pub fn take_skipped(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.skipped)
    }

    /// Why a sample of the lanes since the last call could not be read.
    pub fn take_unread(&mut self) -> Option<DataError> {
        self.unread.take()
    }

    /// Writes the samples that were gathered to the model's input, which every way back overwrites.
    pub(super) fn write_input(&mut self, work: &Work<D>) {
        let samples = self.samples();
        let size = PixelsSize { samples, ..work.pixels };
        let input = self.activations.input(&self.device, &work.model, samples);
        self.device.pixels_forward(&size, self.pixels.view(), input);
    }

    /// Mixes the samples of an epoch, if the job wants that.
    fn mix(&mut self, work: &Work<D>, epoch: u64) {
        let Some(mixing) = &work.mixing else { return };
        let first = Seen { epoch, sample: self.ids[0] };
        let share = mixing.mix(&mut self.pixels.values, first, &mut self.mixed);
        self.others.values.extend_from_slice(&self.labels.values);
        self.others.values.rotate_left(1);
        // Right answers are counted by the label of the larger share.
        if share < 0.5 {
            std::mem::swap(&mut self.labels.values, &mut self.others.values);
        }
        self.shares.values.resize(self.ids.len(), share.max(1.0 - share) as f32);
        self.others.send(&mut self.device);
        self.shares.send(&mut self.device);
    }

    /// Draws the samples' random numbers of an epoch.
    fn draw_keys(&mut self, work: &Work<D>, epoch: u64) {
        self.keys.values.clear();
        for stream in 0..work.model.streams() {
            let key = |sample: &u64| {
                let mut random = Random::new(work.mask_seed, Purpose::Dropout, epoch, *sample);
                (0..stream).for_each(|_| _ = random.next_u64());
                random.next_u64()
            };
            self.keys.values.extend(self.ids.iter().map(key));
        }
        self.keys.send(&mut self.device);
    }
}

/// Lane `lane`'s share of `positions`, `micro_batch` a lane; the last may be short.
pub fn lane_positions(positions: Range<u64>, lane: u32, micro_batch: u64) -> Range<u64> {
    let start = positions.start + u64::from(lane) * micro_batch;
    start..(start + micro_batch).min(positions.end)
}
