//! A layer by itself, without a model around it.

use lockstep_kernels::conv2d::Accumulation;
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::device::Memory;
use lockstep_worker::layers::{
    Backward, Curvature, Forward, Gradient, Inputs, Layer, MAX_INPUTS, MicroBatch, Mode, Own, SquaresMut,
};

/// A layer that has run forward once, in training.
pub struct Alone<'a> {
    layer: &'a dyn Layer<Cpu>,
    pub device: Cpu,
    batch: MicroBatch<'a, Cpu>,
    pub operands: Operands,
    pub y: Vec<f32>,
    choices: Vec<u8>,
    moments: Vec<f32>,
}

/// What a layer computes with: activations, and its parameters one behind the other.
pub struct Operands {
    pub inputs: Vec<Vec<f32>>,
    pub parameters: Vec<f32>,
}

fn views(values: &[Vec<f32>]) -> Inputs<'_, Cpu> {
    Inputs::new(std::array::from_fn(|place| values.get(place).map(Vec::as_slice)))
}

impl<'a> Alone<'a> {
    pub fn new(
        layer: &'a dyn Layer<Cpu>,
        mut device: Cpu,
        batch: MicroBatch<'a, Cpu>,
        operands: Operands,
        outputs: usize,
    ) -> Self {
        let parameters: usize = layer.parameters().iter().map(|tensor| tensor.len()).sum();
        assert_eq!(operands.parameters.len(), parameters, "parameters");
        let memo = layer.memo();
        let mut y = vec![12345.0; device.activation_len(batch.samples, outputs)];
        let mut choices = vec![99; device.activation_len(batch.samples, memo.choices)];
        let mut moments = vec![12345.0; memo.moments_len(&device, batch.samples)];
        let mut statistics: Vec<f32> = vec![12345.0; layer.statistics().iter().map(|tensor| tensor.len()).sum()];
        let pass = Forward::<Cpu> {
            batch: batch.reborrow(),
            own: Own::<Cpu> { parameters: &operands.parameters, statistics: &[] },
            mode: Mode::Train(statistics.as_mut_slice()),
            inputs: views(&operands.inputs),
            y: &mut y,
            choices: &mut choices,
            moments: &mut moments,
        };
        layer.forward(&mut device, pass);
        Self { layer, device, batch, operands, y, choices, moments }
    }

    /// The gradients before the layer and of its parameters, of the one behind it. It sees the values that it asks for
    /// and no others.
    pub fn back(&mut self, d_y: Vec<f32>) -> Operands {
        let overwritten = self.operands.inputs.iter().map(|x| vec![12345.0; x.len()]).collect();
        self.way_back(d_y, overwritten, Accumulation::Overwrite, false)
    }

    /// The same, added to what is there before each input, if the layer can do so.
    pub fn back_onto(&mut self, d_y: Vec<f32>, there: Vec<Vec<f32>>) -> Option<Operands> {
        self.layer.adds().then(|| self.way_back(d_y, there, Accumulation::Add, false))
    }

    /// The same with second derivatives.
    pub fn curvature(&mut self, h_y: Vec<f32>) -> Operands {
        let overwritten = self.operands.inputs.iter().map(|x| vec![12345.0; x.len()]).collect();
        self.way_back(h_y, overwritten, Accumulation::Overwrite, true)
    }

    fn way_back(
        &mut self,
        mut d_y: Vec<f32>,
        mut inputs: Vec<Vec<f32>>,
        accumulation: Accumulation,
        second: bool,
    ) -> Operands {
        let (keeps, passed) = (self.layer.keeps(), self.layer.passes_on());
        let mut d_parameters = vec![12345.0; self.operands.parameters.len()];
        let mut moments = self.moments.clone();
        let mut places = inputs.iter_mut().enumerate();
        let d_x: [_; MAX_INPUTS] = std::array::from_fn(|_| {
            let (place, d_x) = places.next()?;
            (passed != Some(place)).then_some(Gradient { d_x: d_x.as_mut_slice(), accumulation })
        });
        let back = Backward::<Cpu> {
            batch: self.batch.reborrow(),
            own: Own::<Cpu> { parameters: &self.operands.parameters, statistics: &[] },
            d_parameters: &mut d_parameters,
            inputs: if keeps.inputs { views(&self.operands.inputs) } else { views(&[]) },
            y: keeps.y.then_some(&self.y),
            choices: &self.choices,
            moments: &mut moments,
            d_y: &mut d_y,
            d_x,
        };
        if second {
            let squares = self.layer.squares().expect("a layer with second derivatives");
            let mut parameters = vec![12345.0; squares.parameters];
            let mut values = vec![12345.0; self.device.activation_len(self.batch.samples, squares.features)];
            let squares = SquaresMut::<Cpu> { parameters: &mut parameters, values: &mut values };
            self.layer.curvature(&mut self.device, Curvature { back, slope: None, squares });
        } else {
            self.layer.backward(&mut self.device, back);
        }
        if let Some(place) = passed {
            inputs[place] = d_y;
        }
        Operands { inputs, parameters: d_parameters }
    }
}
