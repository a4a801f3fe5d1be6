//! Augmentations that no run can have.

use super::{Violation, integer, number};
use crate::job::spec::{Augment, Job, LossName, OptimizerName};

const MAX_PIXELS: u32 = 64;
/// A factor of 1 ± this stays well above 0.
const MAX_STRETCH: f64 = 0.9;
const MAX_SHEAR: f64 = 2.0;
const MAX_DEGREES: f64 = 180.0;
const MAX_ALPHA: f64 = 10_000.0;
const SIGMAS: [f64; 2] = [0.5, 64.0];
const RATIOS: [f64; 2] = [0.1, 10.0];
const MAX_LIGHTING: f64 = 10.0;
/// α of mixing: below, samples would as good as never be mixed.
const MIXING: [f64; 2] = [0.01, 100.0];

pub(super) fn augment(augment: &Augment) -> Result<(), Violation> {
    resized_crop(augment)?;
    integer("augment.pad_crop", augment.pad_crop, 0, MAX_PIXELS)?;
    up_to("augment.scale", augment.scale, MAX_STRETCH)?;
    up_to("augment.squeeze", augment.squeeze, MAX_STRETCH)?;
    up_to("augment.shear", augment.shear, MAX_SHEAR)?;
    up_to("augment.rotate", augment.rotate, MAX_DEGREES)?;
    up_to("augment.translate", augment.translate, MAX_PIXELS.into())?;
    up_to("augment.elastic_alpha", augment.elastic_alpha, MAX_ALPHA)?;
    let (sigma, [low, high]) = (augment.elastic_sigma, SIGMAS);
    number("augment.elastic_sigma", sigma, &format!("from {low} to {high}"), (low..=high).contains(&sigma))?;
    if augment.elastic_alpha == 0.0 && sigma != Augment::default().elastic_sigma {
        let problem = format!("`augment.elastic_sigma` = {sigma:?} needs `augment.elastic_alpha` above 0: set it");
        return Err(Violation::new(&["augment.elastic_sigma", "augment.elastic_alpha"], problem));
    }
    up_to("augment.lighting", augment.lighting, MAX_LIGHTING)
}

/// Mixed samples are of two classes, which only cross-entropy knows.
pub(super) fn mixing(job: &Job) -> Result<(), Violation> {
    let ([low, high], keys) = (MIXING, &job.augment);
    for (key, alpha) in [("augment.mixup", keys.mixup), ("augment.cutmix", keys.cutmix)] {
        let allowed = alpha == 0.0 || (low..=high).contains(&alpha);
        number(key, alpha, &format!("0, or from {low} to {high}"), allowed)?;
        if alpha == 0.0 {
            continue;
        }
        let conflict = |other, problem: &str| Err(Violation::new(&[key, other], format!("`{key}` {problem}")));
        if job.loss.name != LossName::CrossEntropy {
            return conflict("loss.name", "needs `loss.name` = \"cross_entropy\": samples are of two classes");
        }
        if job.optimizer.name == OptimizerName::DiagonalLm {
            return conflict("optimizer.name", "must be 0 for `optimizer.name` = \"diagonal_lm\"");
        }
        if job.batch.micro_batch == 1 {
            return conflict("batch.micro_batch", "mixes samples of a micro-batch: set `batch.micro_batch` above 1");
        }
    }
    Ok(())
}

fn resized_crop(augment: &Augment) -> Result<(), Violation> {
    let (areas, [low, high]) = (&augment.random_resized_crop, augment.crop_ratio);
    if !matches!(areas[..], [] | [_, _])
        || areas.iter().any(|area| !(*area > 0.0 && *area <= 1.0))
        || !areas.is_sorted()
    {
        let problem = format!(
            "`augment.random_resized_crop` = {areas:?}: must be the smallest and the largest share of an image's area, \
             above 0 and at most 1, such as [0.08, 1.0], or [] for none"
        );
        return Err(Violation::new(&["augment.random_resized_crop"], problem));
    }
    let [least, most] = RATIOS;
    if !(least <= low && low <= high && high <= most) {
        let problem = format!("`augment.crop_ratio` = [{low:?}, {high:?}]: must ascend, from {least} to {most}");
        return Err(Violation::new(&["augment.crop_ratio"], problem));
    }
    if areas.is_empty() && augment.crop_ratio != Augment::default().crop_ratio {
        let problem = "`augment.crop_ratio` needs `augment.random_resized_crop`: set it".to_owned();
        return Err(Violation::new(&["augment.crop_ratio", "augment.random_resized_crop"], problem));
    }
    Ok(())
}

fn up_to(key: &'static str, value: f64, most: f64) -> Result<(), Violation> {
    number(key, value, &format!("from 0 to {most}"), (0.0..=most).contains(&value))
}
