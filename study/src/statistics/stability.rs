//! Where gradient descent is stable.

/// The largest curvature along which gradient descent doesn't run away, times its learning rate: 2, with momentum β
/// 2(1 + β), with Nesterov's (2 + 2β)/(1 + 2β) (Cohen et al. 2021, *Gradient descent on neural networks typically occurs
/// at the edge of stability*, appendix B).
pub fn stability_limit(momentum: f64, nesterov: bool) -> f64 {
    let limit = 2.0 * (1.0 + momentum);
    if nesterov { limit / (1.0 + 2.0 * momentum) } else { limit }
}
