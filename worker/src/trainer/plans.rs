//! By which plans cuDNN and cuBLASLt compute: the same on all workers, from a job's first step to its last.
//!
//! In each generation one member deals them to all, the one that has the state to start from, since they are part of it.
//! What it has no plan for yet it chooses. Which works need one is known to the ops alone: so each member tries a lane of
//! every size that the job has, once, before its first step. A plan that can't be made there ends it with its name.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use lockstep_collective::{Error, Group, Tag};
use lockstep_kernels::device::Device;
use lockstep_kernels::plans::{self, Rest};
use lockstep_proto::plans::{Plan, Plans};

use super::generation::FIRST_PASS;
use super::lane::{Evaluation, Pass, TrainStep};
use super::probes;
use super::progress::Phase;
use super::schedule::{StepPlan, lane_sizes};
use super::signals::Signals;
use super::state::State;
use super::{Trainer, TrainerError};
use lockstep_dataset::dataset::Split;
use lockstep_dataset::order::Order;

impl<D: Device> Trainer<D> {
    /// Has this worker compute by the plans of rank `dealer`, as all members do that call this. `state`: the one that the
    /// generation starts from, with its plans at the dealer, and everywhere behind this.
    ///
    /// # Errors
    /// If the device fails, also in a plan that it can't make; if the generation is aborted or the dealer is lost.
    pub(super) fn agree_on_plans(
        &mut self,
        state: &mut State<D>,
        dealer: u32,
        group: &mut Group,
        signals: &Signals,
    ) -> Result<(), TrainerError> {
        if !self.crew.first().device.uses_plans() {
            return Ok(());
        }
        let deals = group.rank_and_ranks().0 == dealer as usize;
        let mut payload = Vec::new();
        if deals {
            self.try_lanes(state, Rest::Chosen, signals)?;
            state.plans = self.made_plans()?;
            self.crew.first().device.take_plans(&of_device(&state.plans), Rest::Refused);
            payload = state.plans.encode();
        }
        group.broadcast(dealer, Tag { step: state.cursor.step, pass: FIRST_PASS }, &mut payload)?;
        if !deals {
            let malformed = |error| TrainerError::Entry(format!("rank {dealer} gave no plans: {error}"));
            state.plans = Plans::decode(&payload).map_err(malformed)?;
            self.try_lanes(state, Rest::Refused, signals)?;
        }
        self.tried = Some(state.plans.clone());
        Ok(())
    }

    /// Computes lanes by the state's plans, one of every size, unless it has done so before.
    fn try_lanes(&mut self, state: &State<D>, rest: Rest, signals: &Signals) -> Result<(), TrainerError> {
        if self.tried.as_ref() == Some(&state.plans) {
            return Ok(());
        }
        self.tried = None;
        self.seat.progress.enter(Phase::Plans, state.cursor.step);
        self.crew.first().device.take_plans(&of_device(&state.plans), rest);
        self.crew.first().fill_up(true);
        self.try_training(state, signals);
        self.try_evaluation(state, signals);
        let runner = self.crew.first();
        runner.fill_up(false);
        // It is no step's time.
        runner.take_seconds();
        runner.device.health()?;
        self.crew.check_read()?;
        match signals.abort_flag().load(Ordering::Relaxed) {
            true => Err(Error::Aborted.into()),
            false => Ok(()),
        }
    }

    fn try_training(&mut self, state: &State<D>, signals: &Signals) {
        let mut trained = self.schedule.lane_sizes();
        trained.extend(probes::lane_sizes(&self.job, &self.work.dataset, true));
        let measured = lane_sizes([self.curvature_samples()], self.work.micro_batch);
        let passes = [(Pass::Gradient, trained), (Pass::Curvature, measured)];
        let passes = passes.map(|(pass, sizes)| (pass, with_smaller(sizes, self.work.skip_bad)));
        let Self { crew, work, job, seat, .. } = self;
        let order = Order::of(job, 0, work.dataset.len(Split::Train));
        let (runner, len) = (crew.first(), work.model.len());
        let mut gradient = runner.device.zeros(len);
        for (pass, samples) in passes.iter().flat_map(|(pass, sizes)| sizes.iter().map(|&size| (*pass, size))) {
            let plan = StepPlan { epoch: 0, first: 0, samples, lanes: 1 };
            let pulse = signals.pulse(&seat.progress);
            let step = TrainStep { pass, ..TrainStep::new(work, state.weights(), plan, &order, pulse) };
            runner.train_subtree(&step, 0..1, &mut D::view_mut(&mut gradient, 0..len));
        }
    }

    fn try_evaluation(&mut self, state: &State<D>, signals: &Signals) {
        let Self { crew, work, job, seat, .. } = self;
        let probed = probes::lane_sizes(job, &work.dataset, false);
        let mut tried = BTreeSet::new();
        for split in [Split::Train, Split::Validation, Split::Test] {
            // Only the last lane may be short.
            let sizes = match split {
                Split::Train => probed.clone(),
                _ => lane_sizes([work.dataset.len(split)], work.micro_batch),
            };
            for size in with_smaller(sizes, work.skip_bad).into_iter().filter(|size| tried.insert(*size)) {
                let (weights, pulse) = (state.averaged_weights(), signals.pulse(&seat.progress));
                let evaluation = Evaluation { work, weights, split, positions: 0..size, flags: 0, pulse };
                crew.first().evaluate_subtree(&evaluation, 0..1);
            }
        }
    }

    /// The plans that the device has needed.
    fn made_plans(&mut self) -> Result<Plans, TrainerError> {
        let plans = self.crew.first().device.tell_plans();
        let plans: Vec<_> = plans.into_iter().map(|plans::Plan { work, text }| Plan { work, text }).collect();
        plans.try_into().map_err(|error| TrainerError::Machine(format!("the libraries' plans can't be told: {error}")))
    }
}

/// All sizes that lanes of these sizes come to where so many samples may be left out.
fn with_smaller(sizes: BTreeSet<u64>, skip_bad: u64) -> BTreeSet<u64> {
    sizes.into_iter().flat_map(|size| size.saturating_sub(skip_bad).max(1)..=size).collect()
}

fn of_device(plans: &Plans) -> Vec<plans::Plan> {
    plans.all().iter().map(|Plan { work, text }| plans::Plan { work: work.clone(), text: text.clone() }).collect()
}
