//! Estimators of gradient noise and curvature: from numbers to numbers. They know no network and no cluster, and each is
//! held to an oracle whose answers are known in closed form.

pub mod noise;
