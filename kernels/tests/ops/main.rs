//! The ops of the CPU device, seen from outside: values, gradients, bits and padding.

mod activations;
mod batch_norm;
mod bits;
mod convolution_errors;
mod convolutions;
mod curvature;
mod dropout;
mod gradient_check;
mod gradients;
mod group_norm;
mod joins;
mod layout;
mod lenet5;
mod local_response_norm;
mod losses;
mod optimizers;
mod passes;
mod pooling;
mod pytorch;
mod pytorch_convolutions;
mod pytorch_layers;
mod updates;
