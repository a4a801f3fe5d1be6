//! Logits, gradients and batch statistics of whole networks, against PyTorch in f64.

use lockstep_proto::job::{self, ModelName};
use lockstep_worker::model::{SampleShape, Tensor};

use super::fixtures as expected;
use super::net::{Net, units};

const SAMPLES: usize = 2;
const CLASSES: usize = 10;

fn net(name: ModelName, side: usize, convolution: job::Convolution) -> Net {
    let shape = SampleShape { channels: 3, height: side, width: side, classes: CLASSES };
    Net::new(&job::Model { name, convolution, ..job::Model::default() }, shape, SAMPLES)
}

/// Loss, then each parameter tensor's gradient times the formula, summed, by name; and the same of the running
/// statistics behind the step.
fn gradients(net: &mut Net) -> (Vec<f64>, Vec<f64>) {
    let (loss, statistics) = net.loss(&[3, 7]);
    let gradient = net.gradient();
    let mut all = vec![loss / SAMPLES as f64];
    let trained = net.model.parameters();
    let (trains, follows): (Vec<&Tensor>, Vec<&Tensor>) =
        net.model.tensors().iter().partition(|tensor| tensor.range.end <= trained);
    all.extend(projections(trains, |i| f64::from(gradient[i]) / SAMPLES as f64));
    let running = |i: usize| {
        let (before, step) = (net.statistics[i - trained], statistics[i - trained]);
        0.9 * f64::from(before) + 0.1 * f64::from(step) / SAMPLES as f64
    };
    (all, projections(follows, running))
}

/// Each tensor's elements times the formula, summed, sorted by the tensors' names.
fn projections(mut tensors: Vec<&Tensor>, element: impl Fn(usize) -> f64) -> Vec<f64> {
    tensors.sort_by(|a, b| a.shape.name.cmp(&b.shape.name));
    let project = |tensor: &Tensor| {
        let units = units(&format!("r{}", tensor.shape.name), tensor.range.len());
        units.zip(tensor.range.clone()).map(|(unit, index)| unit * element(index)).sum()
    };
    tensors.into_iter().map(project).collect()
}

/// The largest difference, relative to the largest value.
fn worst(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.fold(0.0f64, |worst, difference| if difference.is_nan() { f64::NAN } else { worst.max(difference) })
        / largest
}

fn check_logits(name: ModelName, side: usize, theirs: &[f64]) {
    for (convolution, bound) in [(job::Convolution::Direct, 1e-5), (job::Convolution::Auto, 1e-4)] {
        let error = worst(&net(name, side, convolution).logits(), theirs);
        println!("{name:?} {convolution:?}: {error:.1e}");
        assert!(error < bound, "{name:?} {convolution:?}: {error}");
    }
}

#[test]
fn residual_networks_have_torchvisions_logits() {
    check_logits(ModelName::Resnet18, 64, &expected::RESNET18);
    check_logits(ModelName::Resnet34, 32, &expected::RESNET34);
    check_logits(ModelName::Resnet50, 64, &expected::RESNET50);
    check_logits(ModelName::Resnet101, 32, &expected::RESNET101);
}

#[test]
fn small_residual_networks_have_pytorchs_logits() {
    check_logits(ModelName::Resnet20, 32, &expected::RESNET20);
    check_logits(ModelName::Resnet32, 16, &expected::RESNET32);
}

#[test]
fn alexnet_has_torchvisions_logits() {
    check_logits(ModelName::Alexnet, 224, &expected::ALEXNET);
}

#[test]
#[ignore = "takes gigabytes and a minute: cargo test --release -p lockstep-worker --test models -- --ignored"]
fn vgg_has_torchvisions_logits() {
    check_logits(ModelName::Vgg11, 224, &expected::VGG11);
    check_logits(ModelName::Vgg11Bn, 224, &expected::VGG11_BN);
    check_logits(ModelName::Vgg16, 224, &expected::VGG16);
    check_logits(ModelName::Vgg16Bn, 224, &expected::VGG16_BN);
}

#[test]
fn gradients_and_batch_statistics_are_pytorchs() {
    // Of a million inputs of ReLUs some are within rounding of zero; whether one passes shows in the gradient.
    check_gradients((ModelName::Resnet18, 64, 1e-4), &expected::RESNET18_GRADIENTS, &expected::RESNET18_STATISTICS);
    check_gradients((ModelName::Resnet50, 64, 1e-2), &expected::RESNET50_GRADIENTS, &expected::RESNET50_STATISTICS);
    check_gradients((ModelName::Resnet20, 32, 1e-4), &expected::RESNET20_GRADIENTS, &expected::RESNET20_STATISTICS);
}

fn check_gradients((name, side, bound): (ModelName, usize, f64), slopes: &[f64], statistics: &[f64]) {
    for convolution in [job::Convolution::Direct, job::Convolution::Auto] {
        let (ours, running) = gradients(&mut net(name, side, convolution));
        let errors = (worst(&ours, slopes), worst(&running, statistics));
        println!("{name:?} {convolution:?}: {errors:?}");
        assert!((ours[0] - slopes[0]).abs() < 1e-5 * slopes[0], "{name:?}: loss {}", ours[0]);
        assert!(errors.0 < bound && errors.1 < 1e-5, "{name:?} {convolution:?}: {errors:?}");
    }
}
