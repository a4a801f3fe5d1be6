//! Networks by name: sizes of the literature, and torchvision's logits and gradients.

mod curvature;
mod fixtures;
mod pytorch;
mod sizes;
