//! `model show NAME`: layers, shapes, parameters, operations and memory of a network.

use anyhow::Result;
use lockstep_coordinator::client::{columns, grouped};
use lockstep_proto::job::{Job, ModelName};
use lockstep_worker::model::{CpuModel, LayerView, SampleShape, build};

use crate::arguments::ModelShow;
use crate::{BadInput, print};

/// Prints the layers of a network.
///
/// # Errors
/// If there is no such network, or it does not fit the samples.
pub fn show(arguments: &ModelShow) -> Result<()> {
    let loss = if arguments.name == "lenet5-1998" { "map" } else { "cross_entropy" };
    let mut overrides = vec![format!("model.name={}", arguments.name), format!("loss.name={loss}")];
    overrides.extend(arguments.set.clone());
    // No data is read.
    overrides.push("data.path=.".into());
    let job = Job::from_overrides(&overrides).map_err(BadInput::from_display)?;
    let usual = usual_shape(job.model.name);
    let or_usual = |given: Option<u32>, usual: usize| given.map_or(usual, |given| given as usize);
    let shape = SampleShape {
        channels: or_usual(arguments.channels, usual.channels),
        height: or_usual(arguments.size, usual.height),
        width: or_usual(arguments.size, usual.width),
        classes: or_usual(arguments.classes, usual.classes),
    };
    let model: CpuModel = build(&job.model, shape).map_err(BadInput::from_display)?;
    if arguments.json { print(&format!("{}\n", json(&model))) } else { print(&table(&model, shape)) }
}

/// The samples that a network is known for.
fn usual_shape(name: ModelName) -> SampleShape {
    use ModelName::{Lenet5, Lenet5Of1998, Mlp, Resnet20, Resnet32, Resnet44, Resnet56, Resnet110};
    let (channels, side, classes) = match name {
        Mlp | Lenet5 => (1, 28, 10),
        Lenet5Of1998 => (1, 32, 10),
        Resnet20 | Resnet32 | Resnet44 | Resnet56 | Resnet110 => (3, 32, 10),
        _ => (3, 224, 1000),
    };
    SampleShape { channels, height: side, width: side, classes }
}

fn table(model: &CpuModel, samples: SampleShape) -> String {
    let mut rows = vec![["LAYER", "VALUES", "PARAMETERS", "FLOP"].map(String::from).to_vec()];
    let SampleShape { channels, height, width, .. } = samples;
    rows.push(vec!["(sample)".into(), format!("{channels}×{height}×{width}"), String::new(), String::new()]);
    rows.extend(model.layers().map(|layer| {
        let LayerView { name, shape, parameters, operations } = layer;
        let count = |count: f64| if count > 0.0 { grouped(count) } else { String::new() };
        vec![name.to_owned(), shape.to_string(), count(parameters as f64), count(operations as f64)]
    }));
    let bytes = |elements: usize| format!("{} MiB", grouped(elements as f64 * 4.0 / f64::from(1 << 20)));
    let operations: u64 = model.layers().map(|layer| layer.operations).sum();
    let mut totals = vec![
        ("parameters", format!("{} ({})", grouped(model.parameters() as f64), bytes(model.parameters()))),
        ("operations", format!("{} FLOP a sample forward, three times that in training", grouped(operations as f64))),
        ("working memory", format!("{} for 16 samples of a lane", bytes(16 * model.memory_features()))),
    ];
    let again = model.operations_again();
    if again > 0 {
        totals.push(("computed again", format!("{} FLOP a sample on the way back", grouped(again as f64))));
    }
    let totals: Vec<Vec<String>> = totals.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect();
    format!("{}\n{}", columns(&rows), columns(&totals))
}

fn json(model: &CpuModel) -> serde_json::Value {
    let layer = |layer: LayerView<'_>| {
        let shape = [layer.shape.channels, layer.shape.height, layer.shape.width];
        serde_json::json!({
            "name": layer.name, "shape": shape, "parameters": layer.parameters, "operations": layer.operations,
        })
    };
    let tensors: Vec<_> =
        model.tensors().iter().map(|t| serde_json::json!({ "name": t.shape.name, "shape": t.shape.shape })).collect();
    serde_json::json!({
        "parameters": model.parameters(),
        "memory_features": model.memory_features(),
        "operations_again": model.operations_again(),
        "layers": model.layers().map(layer).collect::<Vec<_>>(),
        "tensors": tensors,
    })
}
