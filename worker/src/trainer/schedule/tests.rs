//! Steps of a job, and learning rates against PyTorch 2.15.
//!
//! The rates are what this script prints, to 15 digits, for an epoch of three steps:
//!
//! ```python
//! import torch, warnings
//! warnings.filterwarnings('ignore')
//! from torch.optim import lr_scheduler as s
//! def show(name, make, steps, per_epoch=1):
//!     o = torch.optim.SGD([torch.zeros(1)], lr=0.3)
//!     schedules, rates = make(o), []
//!     for step in range(steps):
//!         rates.append(o.param_groups[0]['lr']); o.step()
//!         for schedule, every in schedules:
//!             if (step + 1) % every == 0:
//!                 schedule.step()
//!     print(f'const {name}: [f64; {steps}] = {rates};')
//! show('STEP', lambda o: [(s.StepLR(o, 2, 0.5), 3)], 21)
//! show('MULTI_STEP', lambda o: [(s.MultiStepLR(o, [1, 4, 5], 0.2), 3)], 21)
//! show('COSINE', lambda o: [(s.CosineAnnealingLR(o, 21, eta_min=0.03), 1)], 21)
//! show('POLYNOMIAL', lambda o: [(s.PolynomialLR(o, 21, power=0.9), 1)], 21)
//! show('ONE_CYCLE', lambda o: [(s.OneCycleLR(o, 0.3, 21, cycle_momentum=False), 1)], 21)
//! show('WARM_STEPS', lambda o: [(s.LinearLR(o, 0.1, 1, 6), 1), (s.MultiStepLR(o, [4], 0.1), 3)], 21)
//! show('WARM_COSINE', lambda o: [(s.SequentialLR(o, [s.LinearLR(o, 0.25, 1, 5), s.CosineAnnealingLR(o, 16)], [5]), 1)], 21)
//! ```

use lockstep_proto::job::{Course, Job, LastBatch, RateScaling};

use super::{Cursor, Schedule};

#[rustfmt::skip]
const STEP: [f64; 21] = [
    0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.075, 0.075, 0.075, 0.075, 0.075, 0.075,
    0.0375, 0.0375, 0.0375,
];

#[rustfmt::skip]
const MULTI_STEP: [f64; 21] = [
    0.3, 0.3, 0.3, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.012, 0.012, 0.012, 0.0024, 0.0024, 0.0024,
    0.0024, 0.0024, 0.0024,
];

#[rustfmt::skip]
const COSINE: [f64; 21] = [
    0.3, 0.298492161540392, 0.294002328781129, 0.286630797166826, 0.276542234532659, 0.263962002697026,
    0.249171123250929, 0.2325, 0.214321038289463, 0.195040326084102, 0.175088562634167, 0.154911437365833,
    0.134959673915897, 0.115678961710537, 0.0975, 0.080828876749071, 0.0660379973029734, 0.0534577654673407,
    0.0433692028331734, 0.035997671218871, 0.0315078384596076,
];

#[rustfmt::skip]
const POLYNOMIAL: [f64; 21] = [
    0.3, 0.287111696628146, 0.274158762002764, 0.261137441057748, 0.24804353878068, 0.234872339582958,
    0.221618505884867, 0.208275948798482, 0.194837660664108, 0.1812954943437, 0.167639866418933, 0.153859348614909,
    0.139940089700165, 0.125864970324413, 0.11161231740339, 0.0971538498574883, 0.0824511834042898,
    0.0674493675283122, 0.0520634590302457, 0.0361452210908511, 0.0193697443813407,
];

#[rustfmt::skip]
const ONE_CYCLE: [f64; 21] = [
    0.012, 0.036565581295171, 0.10188082817555, 0.185660921098718, 0.259321045014384, 0.297729203224454,
    0.298324630635274, 0.290208706681355, 0.275713312880913, 0.255497989754481, 0.230482534647413, 0.201805150944164,
    0.170770659806235, 0.138791130800093, 0.107321632721897, 0.0777940279569761, 0.0515518227311565,
    0.0297890375679796, 0.0134958793464267, 0.00341368688091628, 1.2e-06,
];

#[rustfmt::skip]
const WARM_STEPS: [f64; 21] = [
    0.03, 0.075, 0.12, 0.165, 0.21, 0.255, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03,
    0.03, 0.03,
];

#[rustfmt::skip]
const WARM_COSINE: [f64; 21] = [
    0.075, 0.12, 0.165, 0.21, 0.255, 0.3, 0.297117792060485, 0.288581929876693, 0.274720441845382, 0.256066017177982,
    0.23333553495294, 0.207402514854763, 0.179263548302419, 0.15, 0.120736451697581, 0.0925974851452365,
    0.0666644650470597, 0.0439339828220179, 0.0252795581546182, 0.011418070123307, 0.00288220793951544,
];
fn job(text: &str) -> Job {
    let mut job = Job::default();
    for line in text.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once('=').unwrap();
        let number: u32 = value.trim().parse().unwrap();
        match key.trim() {
            "size" => job.batch.size = number,
            "micro_batch" => job.batch.micro_batch = number,
            "epochs" => job.schedule.epochs = number,
            "max_steps" => job.schedule.max_steps = number.into(),
            "keep" => job.data.last_batch = LastBatch::Keep,
            other => panic!("{other}"),
        }
    }
    job
}

/// The steps as "epoch:first+samples/lanes".
#[track_caller]
fn check(text: &str, samples: u64, expected: &str) {
    check_job(&job(text), samples, expected);
}

#[track_caller]
fn check_job(job: &Job, samples: u64, expected: &str) {
    let schedule = Schedule::new(job, samples).unwrap();
    let mut cursor = Cursor::default();
    let (mut steps, micro_batch) = (Vec::new(), u64::from(job.batch.micro_batch));
    while let Some(plan) = schedule.step(&cursor) {
        let mut lanes = (0..plan.samples).step_by(micro_batch as usize).map(|start| plan.samples - start);
        assert!(lanes.all(|rest| schedule.lane_sizes().contains(&rest.min(micro_batch))), "{plan:?}");
        steps.push(format!("{}:{}+{}/{}", plan.epoch, plan.first, plan.samples, plan.lanes));
        cursor = schedule.advance(&cursor, &plan);
    }
    assert_eq!(steps.join(" "), expected);
    assert_eq!(cursor.step, schedule.total_steps());
}

#[test]
fn a_short_last_batch_is_dropped() {
    check("size=4; micro_batch=2; epochs=2", 11, "0:0+4/2 0:4+4/2 1:0+4/2 1:4+4/2");
}

#[test]
fn a_short_last_batch_is_kept_with_fewer_lanes() {
    check("size=4; micro_batch=2; epochs=1; keep=1", 9, "0:0+4/2 0:4+4/2 0:8+1/1");
    check("size=4; micro_batch=2; epochs=2; keep=1", 3, "0:0+3/2 1:0+3/2");
}

#[test]
fn lanes_are_whole_but_for_the_last_of_a_batch() {
    let sizes = |text, samples| Vec::from_iter(Schedule::new(&job(text), samples).unwrap().lane_sizes());
    assert_eq!(sizes("size=8; micro_batch=4; epochs=2", 27), [4]);
    assert_eq!(sizes("size=8; micro_batch=4; epochs=2; keep=1", 27), [3, 4]);
    assert_eq!(sizes("size=8; micro_batch=4; epochs=2; keep=1", 28), [4]);
    assert_eq!(sizes("size=8; micro_batch=4; epochs=2; keep=1", 2), [2]);
    assert_eq!(sizes("size=6; micro_batch=4; epochs=2; keep=1", 13), [1, 2, 4]);
}

#[test]
fn steps_can_be_limited() {
    check("size=4; micro_batch=4; epochs=9; max_steps=3", 8, "0:0+4/1 0:4+4/1 1:0+4/1");
}

#[test]
fn batches_grow_with_the_epochs() {
    let mut job = job("size=2; micro_batch=2; epochs=5; keep=1");
    job.batch.growth = vec![(1, 4), (3, 8), (9, 2)];
    let steps = "0:0+2/1 0:2+2/1 0:4+2/1 0:6+2/1 0:8+1/1 1:0+4/2 1:4+4/2 1:8+1/1 2:0+4/2 2:4+4/2 2:8+1/1 \
                 3:0+8/4 3:8+1/1 4:0+8/4 4:8+1/1";
    check_job(&job, 9, steps);
    let steps = Schedule::new(&job, 9).unwrap();
    assert_eq!((steps.total_steps(), steps.total_epochs()), (15, 5));
    (job.schedule.max_steps, job.data.last_batch) = (8, LastBatch::Drop);
    check_job(&job, 9, "0:0+2/1 0:2+2/1 0:4+2/1 0:6+2/1 1:0+4/2 1:4+4/2 2:0+4/2 2:4+4/2");
    assert_eq!(Schedule::new(&job, 9).unwrap().total_epochs(), 3);
    let error = Schedule::new(&job, 7).unwrap_err();
    assert!(error.starts_with("batch.growth: 8 is larger than the 7 training samples"), "{error}");
    assert_eq!((0..11).map(|epoch| job.batch.size_at(epoch)).collect::<Vec<_>>(), [2, 4, 4, 8, 8, 8, 8, 8, 8, 2, 2]);
    assert_eq!(job.batch.lanes(), 4);
}

/// Warm-up by epochs is as many steps as those have, whatever their batches.
#[test]
fn warm_up_counts_the_steps_of_growing_batches() {
    let mut job = job("size=2; micro_batch=2; epochs=4");
    job.batch.growth = vec![(1, 4)];
    (job.schedule.warmup_epochs, job.schedule.warmup_factor, job.optimizer.learning_rate) = (2, 0.0, 0.6);
    let schedule = Schedule::new(&job, 8).unwrap();
    let rate = |step, epoch| schedule.learning_rate(&Cursor { step, epoch, ..Cursor::default() });
    assert_eq!([rate(0, 0), rate(3, 0), rate(6, 2)], [0.0, 0.3, 0.6]);
}

#[test]
fn an_epoch_without_a_step_is_refused() {
    let error = Schedule::new(&job("size=64; micro_batch=32"), 63).unwrap_err();
    assert!(error.contains("batch.size 64") && error.contains("63"), "{error}");
}

/// The rates of a job of seven epochs of three steps.
fn rates(change: impl FnOnce(&mut Job)) -> Vec<f64> {
    let mut job = Job::default();
    (job.batch.size, job.schedule.epochs, job.optimizer.learning_rate) = (32, 7, 0.3);
    change(&mut job);
    // As a job file would say it.
    let job = Job::from_toml(&job.to_toml()).unwrap();
    let schedule = Schedule::new(&job, 3 * u64::from(job.batch.size)).unwrap();
    let mut cursor = Cursor::default();
    let mut rates = Vec::new();
    while let Some(plan) = schedule.step(&cursor) {
        rates.push(schedule.learning_rate(&cursor));
        cursor = schedule.advance(&cursor, &plan);
    }
    rates
}

#[track_caller]
fn check_rates(expected: &[f64], change: impl FnOnce(&mut Job)) {
    let rates = rates(change);
    assert_eq!(rates.len(), expected.len());
    for (step, (ours, theirs)) in rates.iter().zip(expected).enumerate() {
        assert!((ours - theirs).abs() < 1e-14, "step {step}: {ours} where {theirs} is expected");
    }
}

#[test]
fn rates_are_pytorchs() {
    check_rates(&[0.3; 21], |_| {});
    check_rates(&STEP, |job| {
        job.schedule.learning_rate = Course::Step;
        (job.schedule.step_every, job.schedule.step_factor) = (2, 0.5);
    });
    check_rates(&MULTI_STEP, |job| {
        job.schedule.learning_rate = Course::MultiStep;
        (job.schedule.step_at, job.schedule.step_factor) = (vec![1, 4, 5], 0.2);
    });
    check_rates(&COSINE, |job| (job.schedule.learning_rate, job.schedule.end_factor) = (Course::Cosine, 0.1));
    check_rates(&POLYNOMIAL, |job| (job.schedule.learning_rate, job.schedule.power) = (Course::Polynomial, 0.9));
    check_rates(&ONE_CYCLE, |job| {
        job.schedule.learning_rate = Course::OneCycle;
        job.schedule.end_factor = 4e-6;
    });
}

#[test]
fn warm_up_is_pytorchs() {
    check_rates(&WARM_STEPS, |job| {
        (job.schedule.learning_rate, job.schedule.step_at) = (Course::MultiStep, vec![4]);
        job.schedule.warmup_epochs = 2;
    });
    check_rates(&WARM_COSINE, |job| {
        job.schedule.learning_rate = Course::Cosine;
        (job.schedule.warmup_steps, job.schedule.warmup_factor) = (5, 0.25);
    });
}

/// LeCun, Bottou, Bengio & Haffner 1998, appendix C.
#[test]
fn a_table_gives_each_epoch_its_rate() {
    let rates = rates(|job| {
        job.schedule.learning_rate = Course::Table;
        job.schedule.epochs = 22;
        job.schedule.table = vec![(2, 5e-4), (3, 2e-4), (3, 1e-4), (4, 5e-5), (8, 1e-5)];
    });
    let by_epoch: Vec<f64> = rates.chunks(3).map(|epoch| epoch[1]).collect();
    let expected = [[5e-4; 2].as_slice(), &[2e-4; 3], &[1e-4; 3], &[5e-5; 4], &[1e-5; 10]].concat();
    assert_eq!(by_epoch, expected);
}

#[test]
fn rates_are_scaled_with_the_batch() {
    let scaled = |scaling| {
        let change = |job: &mut Job| {
            (job.batch.size, job.optimizer.base_batch, job.optimizer.scaling) = (1024, 64, scaling);
        };
        rates(change)[0]
    };
    assert_eq!([RateScaling::Linear, RateScaling::Sqrt].map(scaled), [0.3 * 16.0, 0.3 * 4.0]);
    let table = rates(|job| {
        (job.batch.size, job.optimizer.scaling) = (512, RateScaling::Linear);
        (job.schedule.learning_rate, job.schedule.table) = (Course::Table, vec![(1, 0.25)]);
    });
    assert_eq!(table[0], 0.5);
}

/// Courses over fewer steps than they have parts give numbers all the same.
#[test]
fn short_jobs_have_rates_too() {
    for steps in 1..5 {
        for course in [Course::Cosine, Course::Polynomial, Course::OneCycle] {
            let rates = rates(|job| {
                (job.schedule.learning_rate, job.schedule.max_steps) = (course, steps);
                job.schedule.warmup_steps = if course == Course::OneCycle { 0 } else { 3 };
            });
            assert_eq!(rates.len() as u64, steps);
            assert!(rates.iter().all(|rate| (0.0..=0.3).contains(rate)), "{course:?} {rates:?}");
        }
    }
}
