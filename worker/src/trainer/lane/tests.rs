//! What lanes are loaded with over an epoch: every sample, label and pixel, whoever loads them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::{fs, thread};

use expect_test::expect;
use lockstep_dataset::prepare::{Wanted, prepare};
use lockstep_dataset::{Order, Split};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_proto::job::{Job, LastBatch};
use tempfile::TempDir;

use super::load::lane_positions;
use super::*;
use crate::model::Weights;
use crate::trainer::prepare::work;
use crate::trainer::progress::Progress;
use crate::trainer::schedule::{Cursor, Schedule, StepPlan};

const TRAIN: u64 = 61;
const TEST: u64 = 23;

/// Noise of a size of its own.
fn picture(number: u32) -> Vec<u8> {
    let (height, width) = (20 + number % 11, 18 + number * 7 % 13);
    let level = |place: u32| ((place + 1).wrapping_mul(2_654_435_761).wrapping_add(number * 977) >> 24) as u8;
    let pixels: Vec<u8> = (0..height * width * 3).map(level).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

/// Pictures of three classes, prepared in shards of a few.
fn dataset() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, samples) in [("train", TRAIN), ("val", TEST)] {
        for number in 0..samples as u32 {
            let class = folder.path().join("source").join(split).join(["a", "b", "c"][number as usize % 3]);
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join(format!("{number}.png")), picture(number)).unwrap();
        }
    }
    let wanted = Wanted {
        sources: vec![folder.path().join("source")],
        out: folder.path().join("data"),
        split: Split::Train,
        seed: 0,
        shard_bytes: 30_000,
        smaller: None,
        classes: None,
        skip_bad: 0,
        threads: 1,
    };
    prepare(&wanted, &|_| {}).unwrap();
    folder
}

/// Steps of six lanes of four samples, but for the last; windows of pictures, half of them mirrored.
fn job(folder: &Path, last_batch: LastBatch) -> Job {
    let mut job = Job::default();
    (job.data.path, job.data.classes, job.data.size, job.data.last_batch) = (folder.join("data"), 3, 12, last_batch);
    (job.augment.random_resized_crop, job.augment.flip) = (vec![0.2, 1.0], true);
    (job.batch.size, job.batch.micro_batch) = (24, 4);
    (job.schedule.epochs, job.model.hidden) = (6, vec![2]);
    job
}

/// A micro-batch as it was loaded: BLAKE3 of ids, labels and pixels, with what mixes them; and the ids.
type Loaded = (blake3::Hash, Vec<u64>);

fn loaded(runner: &LaneRunner<Cpu>) -> Loaded {
    let mut hasher = blake3::Hasher::new();
    runner.ids.iter().for_each(|id| _ = hasher.update(&id.to_le_bytes()));
    [&runner.labels, &runner.others].iter().flat_map(|labels| &labels.values).for_each(|label| {
        hasher.update(&label.to_le_bytes());
    });
    runner.shares.values.iter().for_each(|share| _ = hasher.update(&share.to_le_bytes()));
    hasher.update(&runner.pixels.values);
    (hasher.finalize(), runner.ids.clone())
}

/// An even part of a range, one of `parts`.
fn part(range: Range<u32>, index: u32, parts: u32) -> Range<u32> {
    let len = range.len() as u32;
    range.start + len * index / parts..range.start + len * (index + 1) / parts
}

/// What all workers' threads load with `load(runner, work, thread's lanes)` for each of these numbers of lanes, in the
/// order of lanes. Each worker opens the dataset for itself, as processes do.
fn each_lane(
    job: &Job,
    (workers, threads): (u32, u32),
    batches: &[u32],
    load: impl Fn(&mut LaneRunner<Cpu>, &Work<Cpu>, usize, u32) + Sync,
) -> Vec<Loaded> {
    let mut all = BTreeMap::new();
    for worker in 0..workers {
        let work = work::<Cpu>(job, Dataset::open(&job.data).unwrap()).unwrap();
        let of_thread = |index| {
            let mut runner = LaneRunner::new(Cpu::new(InstructionSet::detect()), &work);
            let mut found = Vec::new();
            for (batch, lanes) in batches.iter().enumerate() {
                for lane in part(part(0..*lanes, worker, workers), index, threads) {
                    load(&mut runner, &work, batch, lane);
                    found.push(((batch, lane), loaded(&runner)));
                }
            }
            assert!(runner.take_unread().is_none());
            found
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|index| scope.spawn(move || of_thread(index))).collect();
            running.into_iter().for_each(|thread| all.extend(thread.join().unwrap()));
        });
    }
    assert_eq!(all.len() as u32, batches.iter().sum::<u32>(), "each lane is one thread's");
    all.into_values().collect()
}

/// An epoch of training.
fn epoch(job: &Job, crew: (u32, u32), epoch: u64) -> Vec<Loaded> {
    let schedule = Schedule::new(job, TRAIN).unwrap();
    let mut cursor = Cursor { epoch, step: schedule.steps_before(epoch), ..Cursor::default() };
    let mut plans: Vec<StepPlan> = Vec::new();
    while let Some(plan) = schedule.step(&cursor).filter(|plan| plan.epoch == epoch) {
        cursor = schedule.advance(&cursor, &plan);
        plans.push(plan);
    }
    let (order, abort, progress) =
        (Order::new(job.seed.order, epoch, TRAIN), AtomicBool::new(false), Progress::default());
    let lanes: Vec<u32> = plans.iter().map(|plan| plan.lanes).collect();
    each_lane(job, crew, &lanes, |runner, work, batch, lane| {
        let pulse = Pulse { abort: &abort, progress: &progress };
        let step = TrainStep::new(work, Weights { parameters: &[], statistics: &[] }, plans[batch], &order, pulse);
        runner.load_train_lane(&step, lane);
    })
}

fn evaluation(job: &Job, crew: (u32, u32)) -> Vec<Loaded> {
    let lanes = TEST.div_ceil(job.batch.micro_batch.into()) as u32;
    each_lane(job, crew, &[lanes], |runner, work, _, lane| {
        let positions = lane_positions(0..TEST, lane, work.micro_batch);
        runner.load(work, Split::Test, None, positions.map(|position| (position, position)));
    })
}

/// Test samples from `first` on, as a probe's gradients see them.
fn probe(job: &Job, crew: (u32, u32), first: u64) -> Vec<Loaded> {
    let lanes = (TEST - first).div_ceil(job.batch.micro_batch.into()) as u32;
    let plan = StepPlan { epoch: 3, first, samples: TEST - first, lanes };
    let (abort, progress) = (AtomicBool::new(false), Progress::default());
    each_lane(job, crew, &[lanes], |runner, work, _, lane| {
        let pulse = Pulse { abort: &abort, progress: &progress };
        let weights = Weights { parameters: &[][..], statistics: &[][..] };
        runner.load_train_lane(&TrainStep::probing(work, weights, plan, Split::Test, pulse), lane);
    })
}

/// Of all micro-batches, in order.
fn hash(loaded: &[Loaded]) -> String {
    let mut hasher = blake3::Hasher::new();
    loaded.iter().for_each(|(hash, _)| _ = hasher.update(hash.as_bytes()));
    hasher.finalize().to_hex().to_string()
}

fn ids(loaded: &[Loaded]) -> Vec<u64> {
    let mut ids: Vec<u64> = loaded.iter().flat_map(|(_, ids)| ids).copied().collect();
    ids.sort_unstable();
    ids
}

/// All numbers of workers, and more threads than some of them have lanes.
fn crews() -> impl Iterator<Item = (u32, u32)> {
    (1..=7).flat_map(|workers| [(workers, 1), (workers, 3)])
}

#[test]
fn an_epoch_is_the_same_micro_batches_for_any_number_of_workers_and_threads() {
    let folder = dataset();
    let job = job(folder.path(), LastBatch::Keep);
    for number in [0, 5] {
        let one = epoch(&job, (1, 1), number);
        assert_eq!(ids(&one), Vec::from_iter(0..TRAIN), "every sample once");
        for crew in crews() {
            assert_eq!(epoch(&job, crew, number), one, "epoch {number}, {crew:?}");
        }
    }
    assert_ne!(hash(&epoch(&job, (1, 1), 0)), hash(&epoch(&job, (1, 1), 1)));
    // A change here is one of every weight that is trained on such data.
    expect!["103bc0590387a98c8647d877f6f253f193a62f3a04b86d6426cf0fe88ce67c4d"].assert_eq(&hash(&epoch(
        &job,
        (1, 1),
        0,
    )));
}

#[test]
fn a_short_last_batch_that_is_dropped_leaves_the_others_as_they_are() {
    let folder = dataset();
    let [keep, drop] = [LastBatch::Keep, LastBatch::Drop].map(|last_batch| job(folder.path(), last_batch));
    let whole = epoch(&keep, (1, 1), 3);
    for crew in crews() {
        let dropped = epoch(&drop, crew, 3);
        assert_eq!(dropped, whole[..12], "{crew:?}");
        let ids = ids(&dropped);
        assert!(ids.len() == 48 && ids.is_sorted_by(|a, b| a < b), "none of them twice: {ids:?}");
    }
}

#[test]
fn mixed_micro_batches_are_the_same_too() {
    let folder = dataset();
    let mut job = job(folder.path(), LastBatch::Keep);
    let plain = hash(&epoch(&job, (1, 1), 1));
    (job.augment.mixup, job.augment.cutmix) = (0.4, 1.0);
    let one = epoch(&job, (1, 1), 1);
    assert_ne!(hash(&one), plain);
    for crew in crews() {
        assert_eq!(epoch(&job, crew, 1), one, "{crew:?}");
    }
    expect!["69960376e2edd0a607effb44f9a545bc1101a4b34cb4ccf0b53a6d22694db288"].assert_eq(&hash(&one));
}

#[test]
fn an_evaluation_sees_every_sample_once_for_any_number_of_workers() {
    let folder = dataset();
    let mut job = job(folder.path(), LastBatch::Keep);
    let one = evaluation(&job, (1, 1));
    assert_eq!(ids(&one), Vec::from_iter(0..TEST));
    for crew in crews() {
        assert_eq!(evaluation(&job, crew), one, "{crew:?}");
    }
    // Evaluations go around all that changes training samples.
    (job.augment.flip, job.augment.mixup, job.seed.augment) = (false, 0.4, 9);
    assert_eq!(evaluation(&job, (2, 1)), one);
    expect!["a1dba321fb32e187b148d88c32e0d750aba01683a5edb8254d787490764f5be0"].assert_eq(&hash(&one));
}

/// Whatever the job does to its training samples, and from any lane of the split on.
#[test]
fn a_probe_s_gradients_are_of_samples_as_evaluations_see_them() {
    let folder = dataset();
    let mut job = job(folder.path(), LastBatch::Keep);
    (job.augment.mixup, job.augment.cutmix) = (0.4, 1.0);
    let evaluated = evaluation(&job, (1, 1));
    for crew in crews() {
        assert_eq!(probe(&job, crew, 0), evaluated, "{crew:?}");
    }
    assert_eq!(probe(&job, (2, 1), 8), evaluated[2..]);
}
