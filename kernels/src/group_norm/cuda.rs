//! Group normalisation on a GPU: sums of each sample's channels, then of its groups, then values, a kernel each.

use super::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};
use crate::cuda::columns::Columns;
use crate::cuda::launch::{Argument, Grid, THREADS};
use crate::cuda::{Cuda, View, assert_len};

/// Blocks that add up one sample. What a sample gives does not depend on others.
const SUM_BLOCKS: usize = 1 << 6;
/// Blocks of one sample's values.
const VALUE_BLOCKS: usize = 1 << 10;
/// Parts and channels of a group that a thread adds up, as long as a block has threads enough.
const MEMBERS: usize = 4;

impl GroupNormSize {
    fn columns(&self, most_blocks: usize) -> Columns {
        Columns::new(self.samples, self.plane, self.channels, most_blocks)
    }

    /// Groups of all samples.
    fn all_groups(&self) -> usize {
        self.samples * self.groups
    }

    /// A kernel over the groups of all samples, whose channels are in so many parts.
    fn over_groups(&self, parts: usize) -> (Grid, Argument) {
        let members = parts * self.channels / self.groups;
        let threads = members.div_ceil(MEMBERS).next_power_of_two().min(THREADS as usize);
        let width = THREADS as usize / threads;
        let argument = [self.all_groups(), self.groups, self.channels, self.plane, parts, width].into();
        (Grid::blocks([self.all_groups().div_ceil(width), 1, 1]), argument)
    }

    #[track_caller]
    fn check_activation(&self, device: &Cuda, name: &str, len: usize) {
        device.assert_activation(name, len, self.samples, self.channels * self.plane);
    }
}

impl GroupNorm for Cuda {
    fn group_norm_forward(
        &mut self,
        size: &GroupNormSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: View<'_, f32>,
        output: GroupNormOutput<'_, Cuda>,
    ) {
        let GroupNormOutput { y, moments } = output;
        size.check();
        size.check_activation(self, "x", x.len());
        size.check_activation(self, "y", y.len());
        assert_len("weight", weight.len(), size.channels);
        assert_len("bias", bias.len(), size.channels);
        assert_len("moments", moments.len(), size.samples * size.moments_features());
        let columns = size.columns(SUM_BLOCKS);
        let (partials, rests) = self.scratch(columns.partials() + size.all_groups()).split(columns.partials());
        let arguments = [columns.argument(), size.groups.into(), x.into(), partials.into()];
        self.launch("group_norm_sums", columns.grid(), &arguments);
        let (grid, groups) = size.over_groups(columns.parts());
        let arguments = [groups, size.epsilon.into(), x.into(), partials.into(), (&moments).into(), rests.into()];
        self.launch("group_norm_moments", grid, &arguments);
        let columns = size.columns(VALUE_BLOCKS);
        let of_groups = [columns.argument(), size.groups.into(), (&moments).into(), rests.into()];
        let others = [weight.into(), bias.into(), x.into(), (&y).into()];
        self.launch("group_norm_normalise", columns.grid(), &[of_groups, others].concat());
    }

    fn group_norm_backward(
        &mut self,
        size: &GroupNormSize,
        saved: GroupNormSaved<'_, Cuda>,
        gradients: GroupNormGradients<'_, Cuda>,
    ) {
        let GroupNormSaved { x, weight, moments } = saved;
        let GroupNormGradients { d_y, d_x, d_weight, d_bias } = gradients;
        size.check();
        size.check_activation(self, "x", x.len());
        size.check_activation(self, "d_y", d_y.len());
        size.check_activation(self, "d_x", d_x.len());
        assert_len("weight", weight.len(), size.channels);
        assert_len("moments", moments.len(), size.samples * size.moments_features());
        assert_len("d_weight", d_weight.len(), size.channels);
        assert_len("d_bias", d_bias.len(), size.channels);
        let columns = size.columns(SUM_BLOCKS);
        let (partials, means) = self.scratch(columns.partials() + 2 * size.all_groups()).split(columns.partials());
        let of_groups = [columns.argument(), size.groups.into(), moments.into()];
        let others = [x.into(), d_y.into(), partials.into()];
        self.launch("group_norm_backward_sums", columns.grid(), &[of_groups, others].concat());
        let sizes = [columns.all_parts().into(), size.channels.into()];
        let vectors = [partials.into(), (&d_weight).into(), (&d_bias).into()];
        let arguments = [&sizes[..], &vectors].concat();
        self.launch("group_norm_backward_parameters", columns.grid_of_totals(), &arguments);
        let (grid, groups) = size.over_groups(columns.parts());
        self.launch("group_norm_backward_means", grid, &[groups, weight.into(), partials.into(), means.into()]);
        let columns = size.columns(VALUE_BLOCKS);
        let of_groups = [columns.argument(), size.groups.into(), moments.into(), means.into()];
        let others = [weight.into(), x.into(), d_y.into(), (&d_x).into()];
        self.launch("group_norm_backward_input", columns.grid(), &[of_groups, others].concat());
    }
}
