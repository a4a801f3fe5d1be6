//! Error on held-out samples, and its distance from the training error, over the batch size.

use super::over_batches::OverBatches;
use super::{Drawn, Figure, bars};
use crate::report::tables::Job;
use crate::report::view::View;

/// Share of wrong answers on test samples, in per cent; on validation samples where no run has seen the test samples.
pub fn accuracy(view: &View<'_>) -> Drawn {
    let (tested, error) = (view.tested(), view.error());
    let over = match tested {
        true => OverBatches { what: "the test error", unit: "points", label: "test error (%)", factors: false },
        false => {
            OverBatches { what: "the validation error", unit: "points", label: "validation error (%)", factors: false }
        }
    };
    let lines: Vec<_> = view.lines().iter().collect();
    let drawn = over.draw(view, &lines, error).ok_or("no two batch sizes have a test or validation error yet")?;
    Ok(vec![Figure {
        name: "accuracy".into(),
        title: format!("{} error {}", if tested { "Test" } else { "Validation" }, drawn.over),
        picture: drawn.picture,
        caption: format!("Mean over seeds of the error at the end of training. {}", bars()),
        found: drawn.found,
        key: true,
        short: drawn.short,
        refuted_by: "That larger batches generalise worse would be refuted by a paired change from the smallest to the \
                     largest batch whose interval lies below zero, with the learning rate tuned for each; one that includes \
                     zero shows nothing either way.",
        data: drawn.data,
    }])
}

/// Error on held-out samples less the training error, in points.
pub fn gap(view: &View<'_>) -> Drawn {
    let probed = view.tables.jobs.iter().any(|job| view.last(job, "gap", "accuracy_gap").is_some());
    let gap = |job: &Job| {
        let gap = match probed {
            true => view.last(job, "gap", "accuracy_gap"),
            false => job.test_error.or(job.validation_error).zip(job.train_accuracy).map(|(e, a)| e - (1.0 - a)),
        };
        gap.map(|gap| 100.0 * gap)
    };
    let over = OverBatches {
        what: "the generalisation gap",
        unit: "points",
        label: "held-out error − training error (points)",
        factors: false,
    };
    let lines: Vec<_> = view.lines().iter().collect();
    let drawn = over
        .draw(view, &lines, gap)
        .ok_or("no two batch sizes have both a training and a held-out error: add a probe with `measure = \"gap\"`")?;
    let source = match probed {
        true => "The last measurement of each run: training samples as they lie beside held-out ones, same weights.",
        false => {
            "Error at the end less the mean training error of the last epoch's steps, which is of weights on their way."
        }
    };
    Ok(vec![Figure {
        name: "gap".into(),
        title: format!("Generalisation gap {}", drawn.over),
        picture: drawn.picture,
        caption: format!("{source} {}", bars()),
        found: drawn.found,
        key: true,
        short: drawn.short,
        refuted_by: "That the gap grows with the batch would be refuted by a paired change whose interval lies below \
                     zero (one that includes it shows nothing either way); a higher error without a larger gap is a failure to optimise, not to generalise.",
        data: drawn.data,
    }])
}
