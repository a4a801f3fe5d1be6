//! From positions to the network's input: pixels, labels, and the samples' random numbers.

use std::ops::Range;

use lockstep_kernels::device::Device;
use lockstep_kernels::pixels::PixelsSize;

use super::{LaneRunner, TrainStep, Work};
use crate::trainer::measures::{self, LaneSamples};
use crate::trainer::schedule::StepPlan;
use lockstep_dataset::DataError;
use lockstep_dataset::dataset::Split;
use lockstep_dataset::random::{Purpose, Random};

impl<D: Device> LaneRunner<D> {
    /// Gathers a training lane's samples.
    pub(super) fn load_train_lane(&mut self, step: &TrainStep<'_, D>, lane: u32) -> LaneSamples {
        let StepPlan { first, samples, epoch, .. } = step.plan;
        let positions = lane_positions(first..first + samples, lane, step.work.micro_batch);
        self.load(step.work, Split::Train, Some(epoch), positions.map(|position| step.order.sample_at(position)))
    }

    /// Gathers the samples and writes them to the model's input. `epoch`: of training.
    pub(super) fn load(
        &mut self,
        work: &Work<D>,
        split: Split,
        epoch: Option<u64>,
        samples: impl Iterator<Item = u64>,
    ) -> LaneSamples {
        self.pixels.values.clear();
        self.labels.values.clear();
        self.ids.clear();
        let mut hashes = 0u64;
        for sample in samples {
            let label = self.read(work, split, epoch, sample);
            self.labels.values.push(label);
            hashes = hashes.wrapping_add(measures::sample_hash(sample));
            self.ids.push(sample);
        }
        if let Some(epoch) = epoch {
            self.draw_keys(work, epoch);
        }
        self.pixels.send(&mut self.device);
        self.labels.send(&mut self.device);
        self.write_input(work);
        LaneSamples { count: self.ids.len() as u64, hashes }
    }

    /// Appends a sample's pixels; gives its label. Once a sample could not be read, there are zeros instead, and nobody
    /// takes what becomes of them for a result: see [`LaneRunner::take_unread`].
    fn read(&mut self, work: &Work<D>, split: Split, epoch: Option<u64>, sample: u64) -> u16 {
        let start = self.pixels.values.len();
        if self.unread.is_none() {
            match self.reader.append(&work.dataset, split, sample, epoch, &mut self.pixels.values) {
                Ok(label) => return label,
                Err(error) => self.unread = Some(error),
            }
        }
        self.pixels.values.truncate(start);
        self.pixels.values.resize(start + work.dataset.shape().len(), 0);
        0
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
