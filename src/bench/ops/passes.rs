//! Ops that go over memory: normalisation, pooling, loss, pixels, and what is done to the flat vector.

use lockstep_kernels::batch_norm::{
    BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize,
};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::cuda::{Cuda, CudaError};
use lockstep_kernels::device::{LossOutput, LossSums, Memory};
use lockstep_kernels::fold::Fold;
use lockstep_kernels::optimizer::{Adam, Decay, MOST_VECTORS, Optimize, Rule, Scaling, Sgd, Update, Vectors};
use lockstep_kernels::pixels::{Levels, Pixels, PixelsSize};
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2d, Pool2dSize};

use super::{Cost, Floats, OpBench, floats};

/// Of so many bytes, beside which arithmetic doesn't count.
fn bytes(bytes: usize) -> Cost {
    Cost { bytes, operations: 0 }
}

impl OpBench<'_> {
    /// Those that are bound by memory.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn passes(&mut self) -> Result<(), CudaError> {
        self.pixels(3, 224)?;
        for (channels, side, has_residual) in [(64, 112, false), (256, 56, true), (512, 28, true), (2048, 7, true)] {
            self.batch_norm(channels, side, has_residual)?;
        }
        self.max_pool(64, 112)?;
        self.mean(2048, 7)?;
        self.cross_entropy(1000)?;
        self.folds()?;
        self.updates()
    }

    fn pixels(&mut self, channels: usize, side: usize) -> Result<(), CudaError> {
        let (samples, side) = (self.sizes.samples, self.sizes.side(side));
        let (plane, features) = (side * side, channels * side * side);
        let size = PixelsSize { samples, features, plane, image: plane, levels: Levels::of_all(1.0 / 128.0, -1.0) };
        let len = samples * features;
        let (pixels, mut y) = (self.gpu.zeros::<u8>(len), self.activation(len));
        let cost = bytes(len + self.values(len));
        self.measure("pixels_forward", &image(samples, channels, side), cost, |gpu| {
            gpu.pixels_forward(&size, Cuda::view(&pixels, 0..len), y.view_mut());
        })
    }

    /// With a ReLU behind it. Its way forward reads x twice, for the moments and with them; the way back reads all
    /// three values for the sums, writes the masked gradient, and reads two of them again.
    fn batch_norm(&mut self, channels: usize, side: usize, has_residual: bool) -> Result<(), CudaError> {
        let sizes = self.sizes;
        let (samples, channels, side) = (sizes.samples, sizes.channels(channels), sizes.side(side));
        let size = BatchNormSize { samples, channels, plane: side * side, epsilon: 1e-5, relu: true };
        let len = samples * channels * side * side;
        let behind = if has_residual { "residual and ReLU" } else { "ReLU" };
        let text = format!("{}, {behind}", image(samples, channels, side));
        let [x, mut y, mut d_y] = [(); 3].map(|()| self.activation(len));
        let residual = has_residual.then(|| self.activation(len));
        let (weight, bias) = (self.numbers(channels), self.numbers(channels));
        let (mut moments, mut statistics) = (self.zeros(2 * channels), self.zeros(2 * channels));
        let read = if has_residual { 3 } else { 2 };
        let cost = bytes(self.values((read + 1) * len));
        self.measure("batch_norm_forward", &text, cost, |gpu| {
            let residual = residual.as_ref().map(Floats::view);
            let input = BatchNormInput { x: x.view(), weight: weight.view(), bias: bias.view(), residual };
            let (moments, statistics) = (moments.view_mut(), statistics.view_mut());
            gpu.batch_norm_forward(&size, input, BatchNormOutput { y: y.view_mut(), moments, statistics });
        })?;
        let (mut d_x, mut d_weight, mut d_bias) = (self.activation(len), self.zeros(channels), self.zeros(channels));
        let cost = bytes(self.values(7 * len));
        self.measure("batch_norm_backward", &text, cost, |gpu| {
            let saved = BatchNormSaved { x: x.view(), y: y.view(), weight: weight.view(), moments: moments.view() };
            let (d_weight, d_bias) = (d_weight.view_mut(), d_bias.view_mut());
            let gradients = BatchNormGradients { d_y: d_y.view_mut(), d_x: d_x.view_mut(), d_weight, d_bias };
            gpu.batch_norm_backward(&size, saved, gradients);
        })
    }

    fn max_pool(&mut self, channels: usize, side: usize) -> Result<(), CudaError> {
        let sizes = self.sizes;
        let (samples, channels, side) = (sizes.samples, sizes.channels(channels), sizes.side(side));
        let size = Pool2dSize { samples, channels, height: side, width: side, window: 3, stride: 2, padding: 1 };
        let (x_len, y_len) =
            (samples * channels * side * side, samples * channels * size.out_height() * size.out_width());
        let text = format!("{}, 3×3, stride 2", image(samples, channels, side));
        let (mut x, mut y) = (self.activation(x_len), self.activation(y_len));
        let mut choice = self.gpu.zeros::<u8>(y_len);
        let cost = bytes(self.values(x_len + y_len) + y_len);
        self.measure("max_pool2d_forward", &text, cost, |gpu| {
            gpu.max_pool2d_forward(&size, x.view(), y.view_mut(), Cuda::view_mut(&mut choice, 0..y_len));
        })?;
        self.measure("max_pool2d_backward", &text, cost, |gpu| {
            gpu.max_pool2d_backward(&size, y.view(), Cuda::view(&choice, 0..y_len), x.view_mut());
        })
    }

    /// Of whole planes.
    fn mean(&mut self, channels: usize, side: usize) -> Result<(), CudaError> {
        let sizes = self.sizes;
        let (samples, channels, side) = (sizes.samples, sizes.channels(channels), sizes.side(side));
        let size = AdaptivePool2dSize { samples, channels, height: side, width: side, out_height: 1, out_width: 1 };
        let (x_len, y_len) = (samples * channels * side * side, samples * channels);
        let (mut x, mut y) = (self.activation(x_len), self.activation(y_len));
        let (text, cost) = (image(samples, channels, side), bytes(self.values(x_len + y_len)));
        self.measure("adaptive_average_pool2d_forward", &text, cost, |gpu| {
            gpu.adaptive_average_pool2d_forward(&size, x.view(), y.view_mut());
        })?;
        self.measure("adaptive_average_pool2d_backward", &text, cost, |gpu| {
            gpu.adaptive_average_pool2d_backward(&size, y.view(), x.view_mut());
        })
    }

    fn cross_entropy(&mut self, classes: usize) -> Result<(), CudaError> {
        let (samples, classes) = (self.sizes.samples, self.sizes.channels(classes));
        let len = samples * classes;
        let (x, mut d_x) = (self.activation(len), self.activation(len));
        let (labels, mut sums) = (self.gpu.zeros::<u16>(samples), self.gpu.zeros::<f64>(LossSums::LEN));
        let text = format!("{samples}×{classes}");
        let cost = bytes(self.values(2 * len) + 2 * samples);
        self.measure("cross_entropy", &text, cost, |gpu| {
            let output = LossOutput { d_x: d_x.view_mut(), sums: Cuda::view_mut(&mut sums, 0..LossSums::LEN) };
            gpu.cross_entropy(&ClassesSize { samples, classes }, x.view(), Cuda::view(&labels, 0..samples), output);
        })
    }

    /// What the tree asks for.
    fn folds(&mut self) -> Result<(), CudaError> {
        let len = self.sizes.parameters;
        let (mut sum, value) = (self.numbers(len), self.numbers(len));
        self.measure("fold_add", &elements(len), bytes(floats(3 * len)), |gpu| {
            gpu.fold_add(sum.view_mut(), value.view());
        })?;
        let layer = len.div_ceil(100);
        let layers: Vec<_> = (0..len).step_by(layer).map(|start| start..len.min(start + layer)).collect();
        let (parts, mut norms) = (self.gpu.parts(&layers), self.gpu.zeros::<f64>(layers.len()));
        self.measure("squared_norms", &elements(len), bytes(floats(len)), |gpu| {
            gpu.squared_norms(&parts, value.view(), Cuda::view_mut(&mut norms, 0..layers.len()));
        })
    }

    /// An update reads the gradient, and reads and writes the parameters and the rule's vectors.
    fn updates(&mut self) -> Result<(), CudaError> {
        let sgd = Sgd { learning_rate: 1e-6, momentum: 0.9, dampening: 0.0, nesterov: false, steps: 0 };
        let adam = Adam { learning_rate: 1e-6, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 0 };
        let len = self.sizes.parameters;
        for (op, rule, vectors) in [("update_sgd", Rule::Sgd(sgd), 1), ("update_adam", Rule::Adam(adam), 2)] {
            let (gradient, mut parameters) = (self.numbers(len), self.numbers(len));
            let mut state: [Option<Floats>; MOST_VECTORS] =
                std::array::from_fn(|at| (at < vectors).then(|| self.zeros(len)));
            let update = Update { scaling: Scaling::mean(1), decay: Decay::None, rule };
            self.measure(op, &elements(len), bytes(floats((3 + 2 * vectors) * len)), |gpu| {
                let state = state.each_mut().map(|vector| vector.as_mut().map(Floats::view_mut));
                gpu.update(&update, Vectors { gradient: gradient.view(), parameters: parameters.view_mut(), state });
            })?;
        }
        Ok(())
    }
}

fn image(samples: usize, channels: usize, side: usize) -> String {
    format!("{samples}×{channels}×{side}×{side}")
}

fn elements(len: usize) -> String {
    format!("{len} elements")
}
