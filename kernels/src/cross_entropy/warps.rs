//! What the losses over classes share on a GPU: a warp a sample, then the sums over all samples.

use super::ClassesSize;
use crate::cuda::launch::{Argument, Grid, WARP};
use crate::cuda::{Cuda, View, ViewMut, assert_len};
use crate::device::{Label, LossSums};

/// Words of the three sums, 64 bits each.
const SUMS: usize = 6;

impl Cuda {
    /// `x` (N, K), `labels` (N). The kernel takes its constants behind what all of them take.
    ///
    /// # Panics
    /// If a buffer's length differs from its shape, or a label names no class.
    #[track_caller]
    pub(crate) fn loss_over_classes<L: Label>(
        &mut self,
        (kernel, constants): (&str, &[f32]),
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: &[L],
        d_x: ViewMut<'_, f32>,
    ) -> LossSums {
        let ClassesSize { samples, classes } = *size;
        assert_len("labels", labels.len(), samples);
        let labels: Vec<u32> = labels.iter().map(|label| label.class() as u32).collect();
        let largest = labels.iter().max().map_or(0, |label| *label as usize);
        assert!(labels.is_empty() || largest < classes, "label {largest} of {classes} classes");
        assert_len("x", x.len(), samples * classes);
        assert_len("d_x", d_x.len(), samples * classes);

        let labels = self.upload(&labels);
        let (losses, rest) = self.scratch(2 * samples + SUMS + samples).split(2 * samples);
        let (sums, answers) = rest.split(SUMS);
        let size = [samples, classes].into();
        let mut arguments: Vec<Argument> =
            vec![size, x.into(), labels.into(), (&d_x).into(), losses.into(), answers.into()];
        arguments.extend(constants.iter().map(|constant| Argument::from(*constant)));
        self.launch(kernel, Grid::elements(samples * WARP), &arguments);
        let arguments = [losses.into(), answers.into(), sums.into(), samples.into()];
        self.launch("cross_entropy_sums", Grid::blocks([1, 1, 1]), &arguments);
        let mut found = [0u64; SUMS / 2];
        self.download(sums, &mut found);
        let [loss, correct, correct_in_5] = found;
        LossSums { loss: f64::from_bits(loss), correct, correct_in_5 }
    }
}
