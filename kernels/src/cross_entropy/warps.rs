//! What the losses over classes share on a GPU: a warp a sample, then the sums over all samples.

use super::ClassesSize;
use crate::cuda::launch::{Argument, Grid, WARP};
use crate::cuda::{Cuda, View, assert_len};
use crate::device::{LossOutput, LossSums};

impl Cuda {
    /// `x` (N, K), `labels` (N). The kernel takes its own arguments behind those that all of them take.
    ///
    /// # Panics
    /// If a buffer's length differs from its shape.
    #[track_caller]
    pub(crate) fn loss_over_classes(
        &mut self,
        (kernel, own): (&str, &[Argument]),
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: View<'_, u16>,
        output: LossOutput<'_, Cuda>,
    ) {
        let ClassesSize { samples, classes } = *size;
        assert_len("labels", labels.len(), samples);
        let LossOutput { d_x, sums } = output;
        self.assert_activation("x", x.len(), samples, classes);
        self.assert_activation("d_x", d_x.len(), samples, classes);
        assert_len("sums", sums.len(), LossSums::LEN);

        let (losses, answers) = self.scratch(3 * samples).split(2 * samples);
        let size = [samples, classes].into();
        let mut arguments: Vec<Argument> =
            vec![size, x.into(), labels.into(), (&d_x).into(), losses.into(), answers.into()];
        arguments.extend_from_slice(own);
        self.launch(kernel, Grid::elements(samples * WARP), &arguments);
        let arguments = [losses.into(), answers.into(), (&sums).into(), samples.into()];
        self.launch("cross_entropy_sums", Grid::blocks([1, 1, 1]), &arguments);
    }
}
