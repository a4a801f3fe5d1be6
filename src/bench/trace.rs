//! One step as a trace that chrome://tracing and Perfetto show: what the GPU did when.

use lockstep_kernels::cuda::{CudaError, Mark, Timed};
use serde_json::{Value, json};

use super::networks::marked;
use super::step::{PHASES, Steps};

/// Rows of the picture.
const PHASE_ROW: u32 = 1;
const KERNEL_ROW: u32 = 2;

/// A step, by marks.
pub struct Trace {
    /// Borders of [`PHASES`].
    borders: Vec<Mark>,
    started: Vec<Timed>,
}

impl Trace {
    /// Of one more step. Marks around each kernel make it a little slower than others.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn of(steps: &mut Steps<'_>) -> Result<Self, CudaError> {
        steps.gpu.time();
        let borders = marked(steps)?;
        Ok(Self { borders, started: steps.gpu.take_timed()? })
    }

    /// In Chrome's trace event format: an event "X" for each phase and for whatever was started; µs since the step began.
    ///
    /// # Errors
    /// If the GPU has not come past a mark.
    pub fn json(&self, network: &str) -> Result<Value, CudaError> {
        let mut events = vec![
            label("process_name", 0, &format!("a step of {network}")),
            label("thread_name", PHASE_ROW, "phases"),
            label("thread_name", KERNEL_ROW, "kernels and copies"),
        ];
        for (phase, ends) in PHASES.iter().zip(self.borders.windows(2)) {
            events.push(self.event(phase, PHASE_ROW, &ends[0], &ends[1])?);
        }
        for Timed { name, from, to } in &self.started {
            events.push(self.event(name, KERNEL_ROW, from, to)?);
        }
        Ok(json!({"displayTimeUnit": "ms", "traceEvents": events}))
    }

    fn event(&self, name: &str, row: u32, from: &Mark, to: &Mark) -> Result<Value, CudaError> {
        let microseconds = |later: &Mark, earlier: &Mark| Ok::<_, CudaError>(later.since(earlier)?.as_secs_f64() * 1e6);
        let start = self.borders.first().map_or(Ok(0.0), |first| microseconds(from, first))?;
        Ok(json!({"ph": "X", "name": name, "pid": 1, "tid": row, "ts": start, "dur": microseconds(to, from)?}))
    }
}

/// Names the picture or a row of it.
fn label(what: &str, row: u32, name: &str) -> Value {
    json!({"ph": "M", "name": what, "pid": 1, "tid": row, "args": {"name": name}})
}
