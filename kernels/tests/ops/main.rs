//! The ops of the CPU device, seen from outside: values, gradients, bits and padding.

mod bits;
mod convolution_errors;
mod convolutions;
mod gradients;
mod layout;
mod losses;
mod pytorch;
mod pytorch_convolutions;
mod reference;
mod updates;
