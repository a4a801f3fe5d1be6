//! Nothing: a CPU's vectors are in the host's memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Exchange, Interrupted, Peers, Transport};
use crate::cpu::Cpu;
use crate::device::{Failure, Precision};

impl Exchange for Cpu {
    type Transport = Infallible;

    fn transport() -> Result<Option<Infallible>, Failure> {
        Ok(None)
    }
}

impl Transport<Cpu> for Infallible {
    type Peers = Infallible;

    fn name(&self) -> String {
        match *self {}
    }
    fn invitation(&self) -> Result<Vec<u8>, Failure> {
        match *self {}
    }
    fn join(
        &self,
        _: &Cpu,
        _: &[u8],
        _: (usize, usize),
        _: Arc<AtomicBool>,
        _: Duration,
    ) -> Result<Infallible, Interrupted> {
        match *self {}
    }
}

impl Peers<Cpu> for Infallible {
    fn device(&mut self) -> &mut Cpu {
        match *self {}
    }
    fn follow(&mut self, _: &Cpu) {
        match *self {}
    }
    fn release(&mut self, _: &mut Cpu) {
        match *self {}
    }
    fn swap(&mut self, _: &[(usize, &[f32])], _: &mut [(usize, &mut [f32])]) -> Result<(), Interrupted> {
        match *self {}
    }
    fn gather(&mut self, _: &mut [f32]) -> Result<(), Interrupted> {
        match *self {}
    }
    fn add_up(&mut self, _: &mut [f32], _: Precision) -> Result<(), Interrupted> {
        match *self {}
    }
    fn settle(&mut self) -> Result<(), Interrupted> {
        match *self {}
    }
    fn finish(self, _: Duration) -> Result<(), Interrupted> {
        match self {}
    }
}
