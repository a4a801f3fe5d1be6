//! A GPU's plans are cuDNN's and cuBLASLt's.

use std::collections::HashMap;

use super::{Plan, Plans, Rest};
use crate::cuda::{Cuda, CudaError, Work};

/// What a GPU was dealt.
#[derive(Default)]
pub(crate) struct Dealt {
    /// By work.
    texts: HashMap<String, String>,
    rest: Rest,
}

impl Dealt {
    /// The text of the plan for this work; none if the library is to choose.
    ///
    /// # Errors
    /// [`CudaError::NoPlan`].
    pub fn text(&self, work: &Work) -> Result<Option<&str>, CudaError> {
        match (self.texts.get(&name(work)), self.rest) {
            (Some(text), _) => Ok(Some(text)),
            (None, Rest::Chosen) => Ok(None),
            (None, Rest::Refused) => Err(CudaError::NoPlan { work: work.to_string() }),
        }
    }

    /// Whether this is the plan that was dealt for the work.
    pub fn has(&self, work: &Work, text: &str) -> bool {
        self.texts.get(&name(work)).is_some_and(|dealt| dealt == text)
    }
}

/// All that a work says of itself, so that no two have the same.
fn name(work: &Work) -> String {
    format!("{work:?}")
}

impl Plans for Cuda {
    fn uses_plans(&self) -> bool {
        self.has_dnn() || self.has_blas()
    }

    fn tell_plans(&self) -> Vec<Plan> {
        let told = |(work, text)| Plan { work: name(&work), text };
        let mut plans: Vec<Plan> = self.plans().into_iter().map(told).collect();
        plans.sort_by(|one, other| one.work.cmp(&other.work));
        plans
    }

    fn take_plans(&mut self, plans: &[Plan], rest: Rest) {
        let texts = plans.iter().map(|plan| (plan.work.clone(), plan.text.clone())).collect();
        self.deal(Dealt { texts, rest });
    }
}
