//! From a sample's number to the pixels that the network sees, wherever the sample lies.

use lockstep_proto::job::Job;

use super::augment::Seen;
use super::dataset::{Dataset, Samples, Split};
use super::error::DataError;
use super::image_reader::ImageReader;
use super::label_noise::LabelNoise;

/// Reads a job's samples. One a thread: pixels do not depend on which, and its memory is kept from sample to sample.
#[derive(Clone, Debug)]
pub struct SampleReader {
    images: ImageReader,
    noise: Option<LabelNoise>,
    bytes: Vec<u8>,
}

impl SampleReader {
    /// For a job's samples.
    ///
    /// # Errors
    /// In words, if the job's augmentation doesn't fit them.
    pub fn of(job: &Job, dataset: &Dataset) -> Result<Self, String> {
        let images = ImageReader::of(job, dataset.shape())?;
        Ok(Self { images, noise: LabelNoise::of(job, dataset), bytes: Vec::new() })
    }

    /// Appends a sample's pixels (channels, height, width) to `out`; gives its label, of training as the job has it. `epoch`: of training, which sees
    /// samples augmented.
    ///
    /// # Errors
    /// If the sample can't be had, or can't be decoded ([`DataError::is_undecodable`]). What `out` has more is of no use
    /// then.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn append(
        &mut self,
        dataset: &Dataset,
        split: Split,
        sample: u64,
        epoch: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<u16, DataError> {
        let label = self.read(dataset, split, sample, epoch, out)?;
        Ok(self.noise.as_ref().map_or(label, |noise| noise.label(split, sample, label)))
    }

    /// Appends a sample's pixels; gives the label that it came with.
    fn read(
        &mut self,
        dataset: &Dataset,
        split: Split,
        sample: u64,
        epoch: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<u16, DataError> {
        let seen = epoch.map(|epoch| Seen { epoch, sample });
        match dataset.locate(split, sample) {
            (Samples::Memory(images), index) => {
                images.check_decoded(index as usize)?;
                let pixels = images.pixels(index as usize);
                match seen {
                    Some(seen) => self.images.train_decoded(pixels, seen, out),
                    None => out.extend_from_slice(pixels),
                }
                Ok(images.label(index as usize))
            }
            (Samples::Shards(shards), index) => {
                let record = shards.read(index, &mut self.bytes)?;
                let start = out.len();
                out.resize(start + dataset.shape().len(), 0);
                let read = match seen {
                    Some(seen) => self.images.train(&self.bytes, seen, &mut out[start..]),
                    None => self.images.evaluate(&self.bytes, &mut out[start..]),
                };
                match read {
                    // Below the manifest's classes, of which there are at most 2¹⁶.
                    Ok(()) => Ok(record.label as u16),
                    Err(problem) => Err(DataError::Sample { place: shards.place(index)?, problem }),
                }
            }
        }
    }
}
