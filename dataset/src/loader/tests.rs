//! Loaders: what is made is what the reader would read, in whatever order it is asked for.

use lockstep_proto::job::Job;

use super::*;

fn job() -> Job {
    let mut job = Job::from_toml("data.path = '.'\naugment = { pad_crop = 2, flip = true }").unwrap();
    job.data.path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist").into();
    job.data.limit = 100;
    job
}

struct Stage {
    dataset: Arc<Dataset>,
    reader: SampleReader,
}

impl Stage {
    fn new() -> Self {
        let job = job();
        let dataset = Dataset::open(&job.data).unwrap();
        Self { reader: SampleReader::of(&job, &dataset).unwrap(), dataset: Arc::new(dataset) }
    }

    fn loader(&self, threads: usize, takes: u32) -> Loader {
        Loader::start(Arc::clone(&self.dataset), &self.reader, threads, 4, takes).unwrap()
    }

    /// Those that a thread has begun with.
    fn check_made(&self, loader: &Loader, lanes: impl Iterator<Item = Lane>) {
        for lane in lanes {
            if let Some(decoded) = loader.take(lane.split, lane.epoch, lane.samples[0]) {
                self.check(&lane, &decoded);
            }
        }
    }

    /// As the reader has it.
    fn check(&self, lane: &Lane, decoded: &Decoded) {
        let (mut reader, mut pixels) = (self.reader.clone(), Vec::new());
        for (sample, label) in lane.samples.iter().zip(&decoded.labels) {
            let read = reader.append(&self.dataset, lane.split, *sample, lane.epoch, &mut pixels).unwrap();
            assert_eq!(Some(read), *label);
        }
        assert_eq!((pixels, lane.samples.len()), (decoded.pixels.clone(), decoded.labels.len()));
    }
}

/// Lanes of five samples of an epoch.
fn lanes(epoch: u64) -> impl Iterator<Item = Lane> + Send {
    (0..20).map(move |lane| Lane {
        split: Split::Train,
        epoch: Some(epoch),
        samples: (0..5).map(|sample| (lane * 5 + sample + epoch) % 100).collect(),
    })
}

fn test_lanes() -> impl Iterator<Item = Lane> + Send {
    (0..10).map(|lane| Lane { split: Split::Test, epoch: None, samples: vec![3 * lane, 3 * lane + 1, 3 * lane + 2] })
}

#[test]
fn lanes_are_made_in_the_order_in_which_they_are_asked_for() {
    let stage = Stage::new();
    for threads in [1, 3] {
        let loader = stage.loader(threads, 1);
        loader.train(Box::new((0..3).flat_map(lanes)));
        for epoch in 0..3 {
            for (number, lane) in lanes(epoch).enumerate() {
                // Every other one by somebody who is in a hurry: if no thread has begun with it, none does.
                let take = if number % 2 == 0 { Loader::wait } else { Loader::take };
                match take(&loader, lane.split, lane.epoch, lane.samples[0]) {
                    Some(decoded) => stage.check(&lane, &decoded),
                    None => assert!(number % 2 == 1, "{threads} threads: lane {number}"),
                }
            }
            // What no plan has is read by who needs it.
            assert!(loader.take(Split::Train, Some(epoch + 100), 0).is_none());
            loader.evaluate(Box::new(test_lanes()));
            stage.check_made(&loader, test_lanes());
        }
    }
}

#[test]
fn a_lane_can_be_asked_for_twice_and_a_new_plan_forgets_the_old() {
    let stage = Stage::new();
    let loader = stage.loader(2, 2);
    loader.train(Box::new(lanes(0)));
    for lane in lanes(0) {
        for take in [Loader::wait, Loader::take] {
            stage.check(&lane, &take(&loader, lane.split, lane.epoch, lane.samples[0]).unwrap());
        }
        assert!(loader.take(lane.split, lane.epoch, lane.samples[0]).is_none());
    }
    loader.train(Box::new(lanes(5)));
    let again: Vec<Lane> = lanes(5).collect();
    loader.train(Box::new(again.clone().into_iter()));
    assert!(loader.take(Split::Train, Some(0), 0).is_none());
    stage.check_made(&loader, again.into_iter());
}

#[test]
fn who_waits_gets_all_lanes_that_are_announced() {
    let stage = Stage::new();
    let loader = stage.loader(2, 1);
    loader.train(Box::new(lanes(0)));
    for lane in lanes(0) {
        stage.check(&lane, &loader.wait(lane.split, lane.epoch, lane.samples[0]).unwrap());
    }
    assert!(loader.wait(Split::Train, Some(0), 0).is_none(), "it was taken");
}

/// A device that asks for nothing leaves no more in memory than there is room for.
#[test]
fn what_waits_is_bounded() {
    let stage = Stage::new();
    let loader = stage.loader(2, 1);
    loader.train(Box::new(lanes(0)));
    let full = |state: &mut State| {
        let here = state.slots.values().filter(|slot| matches!(slot, Slot::Here(..))).count();
        here < loader.shared.most
    };
    let state = loader.shared.state.wait_while(full);
    assert_eq!(state.slots.len(), 4);
}
