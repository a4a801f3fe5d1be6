//! The best learning rate of a grid that grows until the best lies between others.
//!
//! Of equals the smaller is better: it is the stabler one. With few seeds the best of a flat valley is a matter of luck;
//! more of them (`tuning.seeds`) narrow that down, and the report shows all trials.

use crate::grid::tidy;
use crate::recipe::Tuning;

/// How good a learning rate is, less being better; whoever has no number comes behind all that have.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Worth {
    /// The score.
    Reached(f64),
    /// The target was not reached; the loss at the end.
    Short(f64),
    /// Numbers were not finite any more.
    Diverged,
}

impl Worth {
    /// Of several seeds: the mean, but as bad as the worst kind among them. Nothing of none.
    pub fn mean(worths: &[Self]) -> Option<Self> {
        let mean = |part: &dyn Fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = worths.iter().filter_map(part).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let is_reached = |worth: &Self| matches!(worth, Self::Reached(_));
        match worths {
            [] => None,
            _ if worths.contains(&Self::Diverged) => Some(Self::Diverged),
            _ if worths.iter().all(is_reached) => Some(Self::Reached(mean(&|worth| worth.number()))),
            _ => Some(Self::Short(mean(&|worth| worth.number().filter(|_| !is_reached(worth))))),
        }
    }

    /// Its number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Reached(number) | Self::Short(number) => Some(*number),
            Self::Diverged => None,
        }
    }
}

/// A learning rate that was, or is to be, tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// η.
    pub learning_rate: f64,
    /// Absent until all its runs are known.
    pub worth: Option<Worth>,
    /// Not in the grid as it began.
    pub extended: bool,
}

/// The learning rate that a cell takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// η.
    pub learning_rate: f64,
    /// Whether it lies between others.
    pub interior: bool,
}

/// How far the tuning of a cell is.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// Learning rates ascending.
    pub trials: Vec<Trial>,
    /// Absent until it is known.
    pub choice: Option<Choice>,
    /// Whether the grid would have grown, but the next learning rate can't be used.
    pub at_bound: bool,
}

/// Goes as far as `worth` knows. `usable`: whether a learning rate can be tried at all.
pub fn tune(tuning: &Tuning, usable: impl Fn(f64) -> bool, mut worth: impl FnMut(f64) -> Option<Worth>) -> Tuned {
    let mut trial = |learning_rate, extended| Trial { learning_rate, worth: worth(learning_rate), extended };
    let mut trials: Vec<Trial> = tuning.learning_rates.iter().map(|rate| trial(*rate, false)).collect();
    let (mut below, mut above) = (tuning.extend, tuning.extend);
    loop {
        let known: Option<Vec<Worth>> = trials.iter().map(|trial| trial.worth).collect();
        let Some(known) = known else { return Tuned { trials, choice: None, at_bound: false } };
        let mut best = 0;
        for (place, worth) in known.iter().enumerate() {
            if *worth < known[best] {
                best = place;
            }
        }
        let (learning_rate, last) = (trials[best].learning_rate, trials.len() - 1);
        let interior = best != 0 && best != last;
        let beside = if best == 0 { 1 } else { best - 1 };
        let next = tidy(learning_rate * (learning_rate / trials[beside].learning_rate));
        let left = if best == 0 { &mut below } else { &mut above };
        let at_bound = !interior && *left > 0 && !usable(next);
        if interior || *left == 0 || at_bound {
            return Tuned { trials, choice: Some(Choice { learning_rate, interior }), at_bound };
        }
        *left -= 1;
        let place = if best == 0 { 0 } else { trials.len() };
        trials.insert(place, trial(next, true));
    }
}

impl Tuned {
    /// What people should know of it.
    pub fn remark(&self) -> String {
        let Some(choice) = self.choice else { return String::new() };
        let chosen = self.trials.iter().find(|trial| trial.learning_rate == choice.learning_rate);
        let all = format!("all {} learning rates", self.trials.len());
        match chosen.and_then(|trial| trial.worth) {
            Some(Worth::Diverged) => format!("{all} diverged"),
            Some(Worth::Short(_)) => format!("no learning rate of {} reached the target", self.trials.len()),
            _ if choice.interior => String::new(),
            _ => {
                let lowest = self.trials.first().is_some_and(|first| first.learning_rate == choice.learning_rate);
                let side = if lowest { "smallest" } else { "largest" };
                let extensions = self.trials.iter().filter(|trial| trial.extended).count();
                let bound = match self.at_bound {
                    true => "; the next, or one that is scaled from it, is not above 0 and finite as a 32-bit number",
                    false => "",
                };
                let of = self.trials.len();
                format!("the best learning rate is the {side} of {of} after {extensions} extensions{bound}")
            }
        }
    }
}
