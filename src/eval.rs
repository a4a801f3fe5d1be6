//! `eval RUN DATA`: a run's weights over a data set, by the lanes and the tree of training.

use anyhow::Result;
use lockstep_coordinator::client::{columns, grouped, percent};
use lockstep_dataset::Split;
use lockstep_worker::trained::{Evaluated, evaluate};

use crate::arguments::{Eval, SplitName};
use crate::print;
use crate::run::Run;

/// Evaluates and prints.
///
/// # Errors
/// If run, data and weights don't fit.
pub fn eval(arguments: &Eval) -> Result<()> {
    let mut run = Run::open(&arguments.run)?;
    if let Some(data) = &arguments.data {
        run.job.data.path = data.clone();
    }
    let split = match arguments.split {
        SplitName::Train => Split::Train,
        SplitName::Validation => Split::Validation,
        SplitName::Test => Split::Test,
    };
    let weights = run.weights(arguments.checkpoint)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = arguments.threads.map_or(cores, |threads| threads as usize);
    let evaluated = evaluate(&run.job, &weights, split, threads).map_err(crate::used)?;
    if arguments.json {
        return print(&format!("{}\n", json(&evaluated, split, weights.origin())));
    }
    let data = run.job.data.path.display();
    print(&table(&evaluated, &format!("{} of {data}", split.name()), weights.origin()))
}

fn table(evaluated: &Evaluated, split: &str, weights: &str) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut text = columns(&[
        row("weights", weights.to_owned()),
        row("split", format!("{split}, {} samples", grouped(evaluated.samples as f64))),
        row("loss", format!("{:.4}", evaluated.loss)),
        row("error", percent(evaluated.error)),
        row("top-5 error", percent(evaluated.top5_error)),
    ]);
    if !evaluated.skipped.is_empty() {
        let samples: Vec<String> = evaluated.skipped.iter().map(u64::to_string).collect();
        text.push_str(&format!("\nleft out, since they can't be decoded: samples {}\n", samples.join(", ")));
    }
    if let Some(confusion) = &evaluated.confusion {
        text.push_str("\nanswers by class:\n");
        let mut rows = vec![vec!["CLASS".to_owned()]];
        rows[0].extend((0..confusion.len()).map(|answer| answer.to_string()));
        rows.extend(confusion.iter().enumerate().map(|(class, answers)| {
            let count = |count: &u64| if *count == 0 { "·".to_owned() } else { count.to_string() };
            [class.to_string()].into_iter().chain(answers.iter().map(count)).collect()
        }));
        text.push_str(&columns(&rows));
    }
    text
}

fn json(evaluated: &Evaluated, split: Split, weights: &str) -> serde_json::Value {
    serde_json::json!({
        "weights": weights,
        "split": split.name(),
        "samples": evaluated.samples,
        "skipped": evaluated.skipped,
        "loss": evaluated.loss,
        "accuracy": evaluated.accuracy,
        "error": evaluated.error,
        "top5_accuracy": evaluated.top5_accuracy,
        "top5_error": evaluated.top5_error,
        "confusion": evaluated.confusion,
    })
}
