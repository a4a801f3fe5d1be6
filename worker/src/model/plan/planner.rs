//! Goes through a pass in order of time, to see what stays in memory when, and deals slots.

use super::cuts::Segments;
use super::schedule::Schedule;
use super::stays::{StayId, Stays};
use super::{Held, NoteSlots, Places, Plan, Step, Use, Way};
use crate::layers::MAX_INPUTS;
use crate::model::graph::ValueId;

/// A part of a plan, with stays in the places of slots.
struct Draft {
    forward: Places,
    back: Places,
    way_back: Vec<Step>,
    ways: Vec<[Way; MAX_INPUTS]>,
}

/// A plan in the making.
pub(super) struct Planner<'a> {
    features: &'a [usize],
    nodes: &'a [Use<'a>],
    schedule: Schedule,
    values: Stays<Held>,
    choices: Stays<usize>,
    moments: Stays<usize>,
    /// Gradients in flight, and all.
    in_flight: Vec<Option<StayId>>,
    gradients: Vec<Option<StayId>>,
    /// Whether something before each value has parameters.
    has_gradient: Vec<bool>,
}

impl<'a> Planner<'a> {
    /// For values of these `features`.
    pub fn new(features: &'a [usize], nodes: &'a [Use<'a>], segments: &Segments) -> Self {
        let mut has_gradient = vec![false; features.len()];
        nodes.iter().for_each(|node| has_gradient[node.links.output] = node.differentiates);
        Self {
            features,
            nodes,
            schedule: Schedule::new(features.len(), nodes, segments),
            values: Stays::new(),
            choices: Stays::new(),
            moments: Stays::new(),
            in_flight: vec![None; features.len()],
            gradients: vec![None; features.len()],
            has_gradient,
        }
    }

    /// With a gradient of the model's input.
    pub fn reaching_input(mut self) -> Self {
        self.has_gradient[0] = true;
        self
    }

    pub fn plan(mut self) -> Plan {
        let Draft { forward, back, way_back, ways } = self.draft();
        let (values, choices, moments) = (self.values.housed(), self.choices.housed(), self.moments.housed());
        let notes =
            |stays: NoteSlots| NoteSlots { choices: choices.of[stays.choices], moments: moments.of[stays.moments] };
        let places = |stays: Places| Places {
            values: stays.values.into_iter().map(|stay| values.of[stay]).collect(),
            notes: stays.notes.into_iter().map(notes).collect(),
        };
        Plan {
            forward: places(forward),
            back: places(back),
            way_back,
            gradients: self.gradients.into_iter().map(|stay| stay.map(|stay| values.of[stay])).collect(),
            ways: ways.into_iter().map(|ways| ways.map(|way| way.map(|stay| values.of[stay]))).collect(),
            slots: values.slots,
            choices: choices.slots,
            moments: moments.slots,
        }
    }

    fn draft(&mut self) -> Draft {
        let (values, nodes) = (self.features.len(), self.nodes.len());
        let mut forward = Places { values: vec![0; values], notes: vec![NoteSlots::default(); nodes] };
        forward.values[0] = self.value(0, 0);
        for index in 0..nodes {
            self.run(index, index, &mut forward);
        }
        if let Some(last) = self.nodes.last() {
            self.gradient(last.links.output, nodes);
        }
        let mut back = forward.clone();
        let mut ways = vec![[Way::None; MAX_INPUTS]; nodes];
        let way_back = std::mem::take(&mut self.schedule.way_back);
        for (time, step) in (nodes + 1..).zip(&way_back) {
            match *step {
                Step::Again(index) => self.run(index, time, &mut back),
                Step::Back(index) => ways[index] = self.back(index, time),
            }
        }
        Draft { forward, back, way_back, ways }
    }

    /// A node's way forward.
    fn run(&mut self, index: usize, time: usize, places: &mut Places) {
        let Use { links, memo, .. } = &self.nodes[index];
        places.values[links.output] = self.value(links.output, time);
        // Whoever notes nothing may do so anywhere.
        let until = |size| if size > 0 { self.schedule.notes_until(index, time) } else { time };
        places.notes[index] = NoteSlots {
            choices: self.choices.begin(index, memo.choices, (time, until(memo.choices))),
            moments: self.moments.begin(index, memo.numbers(), (time, until(memo.numbers()))),
        };
    }

    /// A value that is written at this time.
    fn value(&mut self, value: ValueId, time: usize) -> StayId {
        let until = self.schedule.value_until(value, time);
        self.values.begin(Held::Value(value), self.features[value], (time, until))
    }

    /// A gradient whose first share is written at this time.
    fn gradient(&mut self, value: ValueId, time: usize) -> StayId {
        let gradient = self.values.begin(Held::Gradient(value), self.features[value], (time, time));
        self.becomes(value, gradient);
        gradient
    }

    fn becomes(&mut self, value: ValueId, gradient: StayId) {
        self.in_flight[value] = Some(gradient);
        self.gradients[value] = Some(gradient);
    }

    /// Gradients before a node, from the one behind it, which nobody reads later unless it is passed on.
    fn back(&mut self, index: usize, time: usize) -> [Way; MAX_INPUTS] {
        let node = &self.nodes[index];
        let mut ways = [Way::None; MAX_INPUTS];
        let Some(behind) = self.in_flight[node.links.output].take() else { return ways };
        self.values.prolong(behind, time);
        for (place, value) in node.links.inputs().enumerate() {
            if !self.has_gradient[value] {
                continue;
            }
            ways[place] = match (self.in_flight[value], node.passes_on == Some(place)) {
                (None, true) => {
                    self.becomes(value, behind);
                    Way::Becomes
                }
                (Some(gradient), true) => Way::AddBehind(gradient),
                (None, false) => Way::Write(self.gradient(value, time)),
                (Some(gradient), false) if node.adds => Way::Add(gradient),
                (Some(gradient), false) => {
                    let from = self.values.begin(Held::Gradient(value), self.features[value], (time, time));
                    Way::AddFrom(gradient, from)
                }
            };
        }
        ways
    }
}
