//! Poolings on the CPU: one pack an output.

mod adaptive;
mod apart;
mod maximum;
mod overlapping;

use super::{AdaptivePool2dSize, Pool2d, Pool2dSize};
use crate::cpu::Cpu;
use crate::simd::Pack;
use apart::Apart;
pub(crate) use maximum::Maximum;

impl Pool2dSize {
    /// Whether every place lies in at most one window, and windows hold nothing but places.
    fn is_apart(&self) -> bool {
        self.stride == self.window && self.padding == 0
    }
}

impl Pool2d for Cpu {
    fn max_pool2d_forward(&mut self, size: &Pool2dSize, x: &[f32], y: &mut [f32], choice: &mut [u8]) {
        size.check();
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let mut y = self.layout.whole_out("y", y, size.samples, size.out_features());
        let mut choice = self.layout.whole_out("choice", choice, size.samples, size.out_features());
        if size.is_apart() {
            self.isa.run(Apart(apart::MaxForward { size, x: &x, y: &mut y, choice: &mut choice }));
        } else {
            self.isa.run(overlapping::MaxForward { size, x: &x, y: &mut y, choice: &mut choice });
        }
    }

    fn max_pool2d_backward(&mut self, size: &Pool2dSize, d_y: &[f32], choice: &[u8], d_x: &mut [f32]) {
        size.check();
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.out_features());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.in_features());
        let choice = self.layout.whole("choice", choice, size.samples, size.out_features());
        if size.is_apart() {
            self.isa.run(Apart(apart::MaxBackward { size, d_y: &d_y, choice: &choice, d_x: &mut d_x }));
        } else {
            self.isa.run(overlapping::MaxBackward { size, d_y: &d_y, choice: &choice, d_x: &mut d_x });
        }
    }

    fn average_pool2d_forward(&mut self, size: &Pool2dSize, x: &[f32], y: &mut [f32]) {
        size.check();
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let mut y = self.layout.whole_out("y", y, size.samples, size.out_features());
        if size.is_apart() {
            self.isa.run(Apart(apart::AverageForward { size, x: &x, y: &mut y }));
        } else {
            self.isa.run(overlapping::AverageForward { size, x: &x, y: &mut y });
        }
    }

    fn average_pool2d_backward(&mut self, size: &Pool2dSize, d_y: &[f32], d_x: &mut [f32]) {
        size.check();
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.out_features());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.in_features());
        if size.is_apart() {
            self.isa.run(Apart(apart::AverageBackward { size, d_y: &d_y, d_x: &mut d_x }));
        } else {
            self.isa.run(overlapping::AverageBackward { size, d_y: &d_y, d_x: &mut d_x });
        }
    }

    fn adaptive_average_pool2d_forward(&mut self, size: &AdaptivePool2dSize, x: &[f32], y: &mut [f32]) {
        size.check();
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let mut y = self.layout.whole_out("y", y, size.samples, size.out_features());
        self.isa.run(adaptive::Forward { size, x: &x, y: &mut y });
    }

    fn adaptive_average_pool2d_backward(&mut self, size: &AdaptivePool2dSize, d_y: &[f32], d_x: &mut [f32]) {
        size.check();
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.out_features());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.in_features());
        self.isa.run(adaptive::Backward { size, d_y: &d_y, d_x: &mut d_x });
    }
}

/// Planes (group × channel) of an activation with `places` values a plane.
fn planes(packs: &[Pack], places: usize) -> usize {
    packs.len().checked_div(places).unwrap_or(0)
}
