//! The ops of the CPU device, seen from outside: values, gradients, bits and padding.

mod bits;
mod convolutions;
mod gradients;
mod layout;
mod losses;
mod optimizers;
mod pytorch;
mod reference;
mod updates;
