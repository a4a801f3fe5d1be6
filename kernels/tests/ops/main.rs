//! The ops of the CPU device, seen from outside: values, gradients, bits and padding.
//!
//! Tests of one op lie in its folder, beside what they test. They are compiled here, because they use formulas of a
//! crate that is written over this one; so do the checks of any device, `selftest.rs` beside them.

mod bits;
mod gradient_check;
mod gradients;
mod layout;
mod passes;
mod pytorch;
mod pytorch_layers;

#[path = "../../src/activation/tests.rs"]
mod activations;
#[path = "../../src/addition/tests.rs"]
mod addition;
#[path = "../../src/batch_norm/tests.rs"]
mod batch_norm;
#[path = "../../src/concatenate/tests.rs"]
mod concatenate;
#[path = "../../src/conv2d/tests/errors.rs"]
mod convolution_errors;
#[path = "../../src/conv2d/tests/shapes.rs"]
mod convolution_shapes;
#[path = "../../src/curvature/tests.rs"]
mod curvature;
#[path = "../../src/dropout/tests.rs"]
mod dropout;
#[path = "../../src/fold/tests.rs"]
mod fold;
#[path = "../../src/group_norm/tests.rs"]
mod group_norm;
#[path = "../../src/local_response_norm/tests.rs"]
mod local_response_norm;
#[path = "../../src/cross_entropy/tests.rs"]
mod losses;
#[path = "../../src/optimizer/tests/pytorch.rs"]
mod optimizers;
#[path = "../../src/pixels/tests.rs"]
mod pixels;
#[path = "../../src/pool2d/tests.rs"]
mod pooling;
#[path = "../../src/conv2d/tests/pytorch.rs"]
mod pytorch_convolutions;
#[path = "../../src/radial_basis/tests.rs"]
mod radial_basis;
#[path = "../../src/subsample2d/tests.rs"]
mod subsample2d;
#[path = "../../src/tangent/tests.rs"]
mod tangents;
#[path = "../../src/optimizer/tests/updates.rs"]
mod updates;
