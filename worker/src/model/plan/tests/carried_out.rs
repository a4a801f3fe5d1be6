//! A plan carried out with names for numbers: a slot holds the name of what was written to it last, and whoever reads
//! looks whether it is what was wanted.

use super::super::*;

/// What is in all slots.
struct Memory<'a> {
    plan: &'a Plan,
    nodes: &'a [Use<'a>],
    slots: Vec<Option<Held>>,
    choices: Vec<Option<usize>>,
    moments: Vec<Option<usize>>,
    /// Readers of each value that have given their share of its gradient.
    shares: Vec<usize>,
}

/// Carries a plan out.
///
/// # Errors
/// The first that is not where it should be.
pub fn carry_out(plan: &Plan, features: &[usize], nodes: &[Use<'_>]) -> Result<(), String> {
    let mut memory = Memory {
        plan,
        nodes,
        slots: vec![None; plan.slots.len()],
        choices: vec![None; plan.choices.len()],
        moments: vec![None; plan.moments.len()],
        shares: vec![0; features.len()],
    };
    memory.write(plan.forward.values[0], Held::Value(0));
    for index in 0..nodes.len() {
        memory.run(index, &plan.forward)?;
    }
    let output = nodes[nodes.len() - 1].links.output;
    memory.wants(plan.forward.values[output], Held::Value(output))?;
    let behind = plan.gradients[output].ok_or("the loss has nowhere to write")?;
    wants(behind != plan.forward.values[output], || "the loss writes over the output".to_owned())?;
    memory.write(behind, Held::Gradient(output));
    for step in &plan.way_back {
        match *step {
            Step::Again(index) => memory.run(index, &plan.back)?,
            Step::Back(index) => memory.back(index)?,
        }
    }
    let backs: Vec<usize> = plan.way_back.iter().filter_map(back).collect();
    wants(backs == (0..nodes.len()).rev().collect::<Vec<_>>(), || format!("the way back is {backs:?}"))
}

fn back(step: &Step) -> Option<usize> {
    match step {
        Step::Back(index) => Some(*index),
        Step::Again(_) => None,
    }
}

fn wants(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl Memory<'_> {
    fn write(&mut self, slot: SlotId, what: Held) {
        self.slots[slot] = Some(what);
    }

    fn wants(&self, slot: SlotId, what: Held) -> Result<(), String> {
        wants(self.slots[slot] == Some(what), || format!("slot {slot} has {:?} for {what:?}", self.slots[slot]))
    }

    /// A node's way forward.
    fn run(&mut self, index: usize, places: &Places) -> Result<(), String> {
        let Use { links, memo, .. } = &self.nodes[index];
        let (y, notes) = (places.values[links.output], places.notes[index]);
        for value in links.inputs() {
            self.wants(places.values[value], Held::Value(value))?;
            wants(places.values[value] != y, || format!("node {index} writes to what it reads"))?;
        }
        let value = Held::Value(links.output);
        wants(self.plan.slots[y].holds.contains(&value), || format!("slot {y} has no room for {value:?}"))?;
        self.write(y, value);
        let rooms = [&self.plan.choices[notes.choices], &self.plan.moments[notes.moments]];
        wants(rooms.iter().all(|slot| slot.holds.contains(&index)), || format!("node {index} has no room for notes"))?;
        self.note(memo, notes, Some(index));
        Ok(())
    }

    /// What a node without notes writes has no length.
    fn note(&mut self, memo: &Memo, slots: NoteSlots, what: Option<usize>) {
        if memo.choices > 0 {
            self.choices[slots.choices] = what;
        }
        if memo.numbers() > 0 {
            self.moments[slots.moments] = what;
        }
    }

    /// A node's way back. It reads everything before it writes anything, and may spoil its notes and the gradient behind.
    fn back(&mut self, index: usize) -> Result<(), String> {
        let node = &self.nodes[index];
        let Some(behind) = self.plan.gradients[node.links.output] else { return Ok(()) };
        if !node.differentiates {
            return Ok(());
        }
        let read = self.reads(index, behind)?;
        self.note(&node.memo, self.plan.back.notes[index], None);
        let mut left_behind = None;
        let mut written = read;
        for (way, value) in self.plan.ways[index].iter().zip(node.links.inputs()) {
            let gradient = Held::Gradient(value);
            match *way {
                Way::None => continue,
                Way::Write(slot) | Way::AddFrom(_, slot) => {
                    wants(!written.contains(&slot), || format!("node {index} writes to slot {slot}, which is in use"))?;
                    written.push(slot);
                }
                Way::Add(slot) | Way::AddBehind(slot) => self.wants(slot, gradient)?,
                Way::Becomes => left_behind = Some(gradient),
            }
            if let Way::AddFrom(slot, _) = *way {
                self.wants(slot, gradient)?;
            }
            if let Way::Write(slot) = *way {
                wants(self.shares[value] == 0, || format!("node {index} writes over a share of {gradient:?}"))?;
                self.write(slot, gradient);
            }
            if let Way::AddFrom(_, slot) = *way {
                self.slots[slot] = None;
            }
            self.shares[value] += 1;
        }
        self.slots[behind] = left_behind;
        Ok(())
    }

    /// Slots that a node's way back reads, if what it wants is there.
    fn reads(&self, index: usize, behind: SlotId) -> Result<Vec<SlotId>, String> {
        let (node, back) = (&self.nodes[index], &self.plan.back);
        let output = node.links.output;
        let readers = self.nodes.iter().filter(|node| node.links.inputs().any(|value| value == output)).count();
        wants(self.shares[output] == readers, || format!("the gradient behind node {index} is not whole"))?;
        self.wants(behind, Held::Gradient(output))?;
        let mut read = vec![behind];
        for value in node.kept() {
            self.wants(back.values[value], Held::Value(value))?;
            read.push(back.values[value]);
        }
        let notes = back.notes[index];
        let choices = node.memo.choices == 0 || self.choices[notes.choices] == Some(index);
        let moments = node.memo.numbers() == 0 || self.moments[notes.moments] == Some(index);
        wants(choices && moments, || format!("the notes of node {index} are gone"))?;
        Ok(read)
    }
}
