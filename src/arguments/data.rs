//! Arguments of `data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Bytes of the smallest and the largest shard that can be asked for.
const SHARD_SIZES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;

/// `data`.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// Make shards and a manifest of folders of classes, WebDataset tars, idx, CIFAR or .npy files
    Prepare(DataPrepare),
    /// Say what a prepared dataset has, and which samples a step takes
    Inspect(DataInspect),
    /// Look whether a prepared dataset is what its manifest says
    Verify(DataVerify),
}

/// `data prepare`.
#[derive(Debug, Args)]
pub struct DataPrepare {
    /// Folders and tars; `fashion-mnist` is found where Debian's dataset-fashion-mnist is installed
    #[arg(value_name = "SRC", required = true)]
    pub sources: Vec<PathBuf>,
    /// The dataset's folder: a folder for each split will be in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Of which split samples are whose source does not say it
    #[arg(long, value_name = "SPLIT", default_value = "train")]
    pub split: PreparedSplit,
    /// Of the shuffling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// About so much a shard
    #[arg(long, value_name = "SIZE", default_value = "128MB", value_parser = shard_size)]
    pub shard_size: u64,
    /// Make images smaller whose shorter side is longer than this
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub short_side: Option<u32>,
    /// JPEG quality of those that are made smaller
    #[arg(long, value_name = "Q", default_value_t = 90, requires = "short_side", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: u8,
    /// A file with the names of all classes, one a line, in the order of their numbers
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Leave out up to so many samples that can't be decoded
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip_bad: u64,
    /// Shards that are made at once; as many as there are cores
    #[arg(long, value_name = "T", value_parser = threads)]
    pub threads: Option<usize>,
    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// `data inspect`.
#[derive(Debug, Args)]
pub struct DataInspect {
    /// The dataset's folder, or one split's
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Name the samples of a step of this job, from its order's seed and its batch
    #[arg(long, value_name = "JOB.toml")]
    pub job: Option<PathBuf>,
    /// Change a key of the job, e.g. --set batch.size=256
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "job")]
    pub set: Vec<String>,
    /// The step's epoch
    #[arg(long, value_name = "E", default_value_t = 0, requires = "job")]
    pub epoch: u64,
    /// The step, from the epoch's first on
    #[arg(long, value_name = "S", default_value_t = 0, requires = "job")]
    pub step: u64,
    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// `data verify`.
#[derive(Debug, Args)]
pub struct DataVerify {
    /// The dataset's folder, or one split's
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Look at sizes alone
    #[arg(long, group = "depth")]
    pub quick: bool,
    /// Look at every byte (this is what is done without another word)
    #[arg(long, group = "depth")]
    pub full: bool,
    /// Decode every sample besides
    #[arg(long, group = "depth")]
    pub decode: bool,
    /// Shards that are looked at at once; as many as there are cores
    #[arg(long, value_name = "T", value_parser = threads)]
    pub threads: Option<usize>,
    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// A split that samples can be prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PreparedSplit {
    /// To train on
    Train,
    /// To evaluate on
    Test,
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|threads| (1..=1024).contains(threads)).ok_or_else(|| "is not 1 to 1024".to_owned())
}

/// A number of bytes, with a unit or without.
fn shard_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("is no size: write 128MB, 1GB or a number of bytes".to_owned()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| SHARD_SIZES.contains(bytes)).ok_or_else(|| "is not 1 MiB to 1 TiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(shard_size("128MB"), Ok(128_000_000));
        assert_eq!(shard_size("2GiB"), Ok(2 << 30));
        assert_eq!(shard_size("1048576"), Ok(1 << 20));
        for wrong in ["", "MB", "1", "1kB", "5TB", "1.5GB", "-1", "99999999999999999999GB", "2TB"] {
            assert!(shard_size(wrong).is_err(), "{wrong}");
        }
    }
}
