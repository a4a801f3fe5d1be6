//! `[[model.layers]]`: keys that go with a layer's kind, and values that it can have.

use super::Violation;
use crate::job::spec::{Job, Layer, LayerKind, ModelName};

const KEYS: [&str; 1] = ["model.layers"];
const MAX_LAYERS: u64 = 10_000;
const MAX_DEPTH: usize = 8;
const MAX_SIZE: u32 = 1 << 16;
const MAX_KERNEL: u32 = 64;

pub(super) fn layers(job: &Job) -> Result<(), Violation> {
    let layers = &job.model.layers;
    match (job.model.name, layers.is_empty()) {
        (ModelName::Layers, true) => {
            refused("`model.name` = \"layers\" needs `[[model.layers]]`: list them in the job file".to_owned())
        }
        (ModelName::Layers, false) => {
            let count = all(layers, "model.layers", 1)?;
            match count > MAX_LAYERS {
                true => refused(format!("`model.layers` has {count} layers: {MAX_LAYERS} are the most")),
                false => Ok(()),
            }
        }
        (_, true) => Ok(()),
        (_, false) => refused("`model.layers` needs `model.name` = \"layers\"".to_owned()),
    }
}

fn refused<T>(problem: String) -> Result<T, Violation> {
    Err(Violation::new(&KEYS, problem))
}

/// Checks layers and those inside them; gives how many there are.
fn all(layers: &[Layer], path: &str, depth: usize) -> Result<u64, Violation> {
    if depth > MAX_DEPTH {
        return refused(format!("`{path}` is nested too deep: {MAX_DEPTH} levels are the most"));
    }
    let mut count = 0u64;
    for (index, layer) in layers.iter().enumerate() {
        count = count.saturating_add(one(layer, &format!("{path}[{index}]"), depth)?);
    }
    Ok(count)
}

fn one(layer: &Layer, path: &str, depth: usize) -> Result<u64, Violation> {
    use LayerKind::{Conv, Dropout, Repeat, Residual};
    let kind = layer.kind;
    let inside = matches!(kind, Residual | Repeat);
    numbers(layer, path)?;
    if !layer.bias && kind != Conv {
        return refused(format!("`{path}.bias` does not go with this kind of layer: only `conv` has it"));
    }
    let chance = layer.probability;
    if (kind == Dropout) != (chance != 0.0) || !(0.0..1.0).contains(&chance) {
        return refused(format!(
            "`{path}.probability` = {chance:?}: above 0 and below 1 for `dropout`, and for it alone"
        ));
    }
    if inside == layer.layers.is_empty() {
        return refused(format!("`{path}.layers`: `residual` and `repeat` have layers inside, and no other"));
    }
    if !inside {
        return Ok(1);
    }
    let within = all(&layer.layers, &format!("{path}.layers"), depth + 1)?;
    Ok(within.saturating_mul(u64::from(layer.times.max(1))))
}

/// Which sizes a kind has, from which to which; all others must be 0, as where they are left out.
fn numbers(layer: &Layer, path: &str) -> Result<(), Violation> {
    use LayerKind::{AveragePool, Conv, GroupNorm, Linear, MaxPool, Repeat};
    let kind = layer.kind;
    let pool = matches!(kind, MaxPool | AveragePool);
    let between = |has: bool, low: u32, high: u32| if has { (low, high) } else { (0, 0) };
    let limits = [
        ("channels", layer.channels, between(matches!(kind, Conv | Linear), 1, MAX_SIZE)),
        ("kernel", layer.kernel, between(kind == Conv || pool, 1, if pool { 16 } else { MAX_KERNEL })),
        ("stride", layer.stride, between(kind == Conv || pool, 0, MAX_KERNEL)),
        ("padding", layer.padding, between(kind == Conv || pool, 0, if pool { 8 } else { MAX_KERNEL })),
        ("dilation", layer.dilation, between(kind == Conv, 0, MAX_KERNEL)),
        ("groups", layer.groups, between(matches!(kind, Conv | GroupNorm), 0, MAX_SIZE)),
        ("times", layer.times, between(kind == Repeat, 1, 1000)),
    ];
    for (key, value, (low, high)) in limits {
        if (low..=high).contains(&value) {
            continue;
        }
        return match high {
            0 => refused(format!("`{path}.{key}` does not go with this kind of layer: leave it out")),
            _ => refused(format!("`{path}.{key}` = {value}: must be {low} to {high}")),
        };
    }
    Ok(())
}
