//! A convolution in which each channel behind it sees only some of those before it, as LeNet-5's C3.

use lockstep_kernels::conv2d::{Algorithm, Conv2dSize};
use lockstep_kernels::device::Device;

use super::{Backward, Curvature, Forward, Keeps, Layer, Memo, Role, Squares, SquaresMut, TensorShape};

/// Parameters: weight (connections, K, K) in the order of the table, bias (O). It computes with the dense weight
/// (O, C, K, K), whose other elements are zero.
pub struct PartialConv2d {
    /// Name in the model.
    pub name: String,
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: Conv2dSize,
    /// For each channel behind it, the channels before it that it sees.
    pub table: Vec<Vec<usize>>,
}

impl PartialConv2d {
    fn size(&self, samples: usize) -> Conv2dSize {
        Conv2dSize { samples, ..self.size }
    }

    fn connections(&self) -> usize {
        self.table.iter().map(Vec::len).sum()
    }

    /// Elements of one connection.
    fn window(&self) -> usize {
        self.size.kernel * self.size.kernel
    }

    fn dense(&self) -> usize {
        self.size.weights()
    }

    /// First element of each connection in the dense weight.
    fn places<'a>(&'a self) -> impl Iterator<Item = usize> + 'a {
        let (window, channels) = (self.window(), self.size.in_channels);
        let of_row =
            move |(to, row): (usize, &'a Vec<usize>)| row.iter().map(move |from| (to * channels + from) * window);
        self.table.iter().enumerate().flat_map(of_row)
    }

    /// Connections out of a dense weight's place.
    fn gather<D: Device>(&self, device: &mut D, dense: D::View<'_, f32>, mut weight: D::ViewMut<'_, f32>) {
        let window = self.window();
        for (connection, place) in self.places().enumerate() {
            let to = D::slice_mut(&mut weight, connection * window..(connection + 1) * window);
            device.copy(D::slice(dense, place..place + window), to);
        }
    }
}

impl<D: Device> Layer<D> for PartialConv2d {
    fn parameters(&self) -> Vec<TensorShape> {
        let (kernel, channels) = (self.size.kernel, self.size.out_channels);
        let (fan_in, fan_out) =
            (self.connections() * self.window() / channels, self.connections() * self.window() / self.size.in_channels);
        vec![
            TensorShape::new(
                &self.name,
                "weight",
                vec![self.connections(), kernel, kernel],
                Role::Weight { fan_in, fan_out, plane: true },
            ),
            TensorShape::new(&self.name, "bias", vec![channels], Role::Bias { fan_in, plane: true }),
        ]
    }

    fn memo(&self) -> Memo {
        // The dense weight, and on the way back its gradient.
        Memo { moments: 2 * self.dense(), ..Memo::default() }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: false }
    }

    fn convolution(&self) -> Option<Conv2dSize> {
        Some(self.size)
    }

    fn operations(&self) -> u64 {
        2 * (self.connections() * self.window() * self.size.out_height() * self.size.out_width()) as u64
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        let (window, weights) = (self.window(), self.connections() * self.window());
        let (mut dense, _) = D::split_mut(pass.moments, self.dense());
        device.fill(0.0, D::slice_mut(&mut dense, 0..self.dense()));
        for (connection, place) in self.places().enumerate() {
            let weight = D::slice(pass.own.parameters, connection * window..(connection + 1) * window);
            device.copy(weight, D::slice_mut(&mut dense, place..place + window));
        }
        let bias = D::slice(pass.own.parameters, weights..weights + self.size.out_channels);
        let size = self.size(pass.batch.samples);
        device.conv2d_forward(&size, pass.inputs.x(), D::shared(dense), Some(bias), pass.y);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        let (size, window) = (self.size(pass.batch.samples), self.window());
        let (dense, mut d_dense) = D::split_mut(pass.moments, self.dense());
        let d_y = D::shared(pass.d_y);
        if let [Some(gradient), ..] = pass.d_x {
            device.conv2d_backward_input(&size, D::shared(dense), d_y, gradient.d_x, gradient.accumulation);
        }
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, self.connections() * window);
        let all = D::slice_mut(&mut d_dense, 0..self.dense());
        device.conv2d_backward_weight(&size, pass.inputs.x(), d_y, all, Some(d_bias));
        self.gather(device, D::shared(d_dense), d_weight);
    }

    fn squares(&self) -> Option<Squares> {
        let Conv2dSize { in_channels, height, width, .. } = self.size;
        Some(Squares { parameters: self.dense(), features: in_channels * height * width })
    }

    /// As a convolution's over the squared dense weight, whose other elements stay zero.
    fn curvature(&self, device: &mut D, Curvature { back, squares, .. }: Curvature<'_, D>) {
        let size = Conv2dSize { convolution: Algorithm::Direct, ..self.size(back.batch.samples) };
        let (dense, mut h_dense) = D::split_mut(back.moments, self.dense());
        let h_y = D::shared(back.d_y);
        let SquaresMut { mut parameters, mut values } = squares;
        if let [Some(gradient), ..] = back.d_x {
            device.square(D::shared(dense), D::slice_mut(&mut parameters, 0..self.dense()));
            device.conv2d_backward_input(&size, D::shared(parameters), h_y, gradient.d_x, gradient.accumulation);
        }
        let len = device.activation_len(size.samples, size.in_channels * size.height * size.width);
        device.square(back.inputs.x(), D::slice_mut(&mut values, 0..len));
        let (h_weight, h_bias) = D::split_mut(back.d_parameters, self.connections() * self.window());
        let all = D::slice_mut(&mut h_dense, 0..self.dense());
        device.conv2d_backward_weight(&size, D::shared(values), h_y, all, Some(h_bias));
        self.gather(device, D::shared(h_dense), h_weight);
    }
}
