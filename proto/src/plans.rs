//! By which plans a job computes what cuDNN and cuBLASLt compute. They are part of a job's state, like the ledger: they
//! travel with the weights that were computed by them.

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::wire;

/// Most plans of a job; the largest of the named networks has some hundreds.
const MOST: usize = 4096;
/// Longest description of a work, bytes; a convolution's takes 300.
const WORK_BYTES: usize = 1024;
/// Longest text, bytes; an engine of cuDNN with 44 knobs takes 500.
const TEXT_BYTES: usize = 2048;

/// How one work is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// All that tells this work from another.
    pub work: String,
    /// The library, its version, and what it has chosen.
    pub text: String,
}

/// The plans of a job, in the order of their works, one for each. What they say is checked by who makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Plan>", into = "Vec<Plan>")]
pub struct Plans(Vec<Plan>);

/// Why a list of plans was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlans {
    /// It is too long.
    #[error("there are {0} plans, more than {MOST}")]
    TooMany(usize),
    /// A plan is not of one line, or of too many letters.
    #[error("plan {0} is malformed")]
    Malformed(usize),
    /// A work comes twice, or before a smaller one.
    #[error("plan {0} is out of order")]
    OutOfOrder(usize),
    /// It is no message.
    #[error("they are no message: {0}")]
    NoMessage(String),
}

impl Plans {
    /// All of them.
    pub fn all(&self) -> &[Plan] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As [`wire::Plans`].
    pub fn encode(&self) -> Vec<u8> {
        let plan = |Plan { work, text }: &Plan| wire::Plan { work: work.clone(), text: text.clone() };
        wire::Plans { plans: self.0.iter().map(plan).collect() }.encode_to_vec()
    }

    /// From the bytes of a [`wire::Plans`] that came from elsewhere.
    ///
    /// # Errors
    /// See [`BadPlans`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BadPlans> {
        let message = wire::Plans::decode(bytes).map_err(|error| BadPlans::NoMessage(error.to_string()))?;
        let plan = |wire::Plan { work, text }| Plan { work, text };
        message.plans.into_iter().map(plan).collect::<Vec<_>>().try_into()
    }
}

impl TryFrom<Vec<Plan>> for Plans {
    type Error = BadPlans;

    fn try_from(plans: Vec<Plan>) -> Result<Self, BadPlans> {
        if plans.len() > MOST {
            return Err(BadPlans::TooMany(plans.len()));
        }
        let good = |text: &str, bytes| (1..=bytes).contains(&text.len()) && !text.contains(char::is_control);
        if let Some(bad) = plans.iter().position(|plan| !good(&plan.work, WORK_BYTES) || !good(&plan.text, TEXT_BYTES))
        {
            return Err(BadPlans::Malformed(bad));
        }
        match plans.windows(2).position(|pair| pair[0].work >= pair[1].work) {
            Some(before) => Err(BadPlans::OutOfOrder(before + 1)),
            None => Ok(Self(plans)),
        }
    }
}

impl From<Plans> for Vec<Plan> {
    fn from(plans: Plans) -> Self {
        plans.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(work: &str, text: &str) -> Plan {
        Plan { work: work.into(), text: text.into() }
    }

    #[test]
    fn what_is_told_is_taken() {
        for plans in [vec![], vec![plan("a", "cuDNN 9.21.1, engine 2, knobs"), plan("b × c", "x")]] {
            let plans: Plans = plans.try_into().unwrap();
            assert_eq!(Plans::decode(&plans.encode()), Ok(plans));
        }
    }

    #[test]
    fn anything_else_is_refused_without_a_panic() {
        let many = (0..=MOST).map(|number| plan(&format!("{number:05}"), "x")).collect::<Vec<_>>();
        let (long_work, long_text) = ("w".repeat(WORK_BYTES + 1), "t".repeat(TEXT_BYTES + 1));
        for (plans, refused) in [
            (many, BadPlans::TooMany(MOST + 1)),
            (vec![plan("", "x")], BadPlans::Malformed(0)),
            (vec![plan("a", "x"), plan("b", "")], BadPlans::Malformed(1)),
            (vec![plan("a", "x\n")], BadPlans::Malformed(0)),
            (vec![plan(&long_work, "x")], BadPlans::Malformed(0)),
            (vec![plan("a", &long_text)], BadPlans::Malformed(0)),
            (vec![plan("b", "x"), plan("a", "x")], BadPlans::OutOfOrder(1)),
            (vec![plan("a", "x"), plan("a", "y")], BadPlans::OutOfOrder(1)),
        ] {
            // As a message it can be told all the same.
            let message = Plans(plans.clone()).encode();
            assert_eq!(Plans::decode(&message), Err(refused.clone()));
            assert_eq!(Plans::try_from(plans), Err(refused));
        }
        let whole = Plans(vec![plan("a", "x"), plan("b", "y")]);
        let message = whole.encode();
        assert!((0..message.len()).all(|cut| Plans::decode(&message[..cut]).as_ref() != Ok(&whole)));
    }
}
