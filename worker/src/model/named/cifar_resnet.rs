//! Residual networks for small images (He et al. 2016, §4.2): 6n + 2 layers, parameter-free shortcuts (option A).

use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;

use super::SampleShape;
use crate::model::parts::{Behind, Conv};
use crate::model::{BuildError, Builder, Model};

/// `conv1`, `bn1`, `layer1.0` … `layer3.n−1`, `linear`; without `shortcuts` it is the plain network of the same depth.
pub(super) fn build<D: Device>(
    blocks: usize,
    shortcuts: bool,
    shape: SampleShape,
    convolution: Algorithm,
) -> Result<Model<D>, BuildError> {
    let mut net = Builder::new(shape.image(), convolution);
    let value = net.conv("conv1", net.input(), Conv::three(16, 1))?;
    let mut value = net.batch_norm("bn1", value, Behind::RELU);
    for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let name = format!("layer{}.{block}", stage + 1);
            let before = value;
            value = net.conv(&format!("{name}.conv1"), value, Conv::three(channels, stride))?;
            value = net.batch_norm(&format!("{name}.bn1"), value, Behind::RELU);
            value = net.conv(&format!("{name}.conv2"), value, Conv::three(channels, 1))?;
            let residual = match shortcuts {
                true => Some(net.identity_shortcut(&format!("{name}.shortcut"), before, channels, stride)?),
                false => None,
            };
            let behind = Behind { residual, relu: true, ends_block: shortcuts };
            value = net.batch_norm(&format!("{name}.bn2"), value, behind);
        }
    }
    let value = net.adaptive_average_pool("avgpool", value, 1);
    net.linear("linear", value, shape.classes, None);
    Ok(net.finish())
}
