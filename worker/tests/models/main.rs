//! Layers and networks: gradients, signals through depth, sizes of the literature, torchvision's logits.

// The kernels' formulas and their check, for the layers over them.
#[path = "../../../kernels/tests/ops/gradient_check.rs"]
mod gradient_check;
#[allow(dead_code)]
#[path = "../../../kernels/tests/ops/layout.rs"]
mod layout;

mod alone;
mod curvature;
mod depth;
mod directional;
mod fixtures;
mod gradients;
mod net;
mod pytorch;
mod recompute;
mod sizes;
mod tangents;
