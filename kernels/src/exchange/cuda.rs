//! GPUs exchange through NCCL, on a stream of their own beside that of ops.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lockstep_nccl::{Communicator, Nccl, NcclError, Type, UniqueId};

use super::{Exchange, Interrupted, Peers, Transport};
use crate::cuda::{Cuda, View, ViewMut, bf16, libraries};
use crate::device::{Failure, Precision};

/// Between two looks at whether a GPU is done.
const MOMENT: Duration = Duration::from_micros(20);

/// NCCL, found.
pub struct OverNccl(Arc<Nccl>);

impl Exchange for Cuda {
    type Transport = OverNccl;

    fn transport() -> Result<Option<OverNccl>, Failure> {
        static FOUND: OnceLock<Result<Arc<Nccl>, NcclError>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            libraries::load(&libraries::NCCL).ok_or(NcclError::Missing).and_then(Nccl::of).map(Arc::new)
        });
        found.clone().map(|nccl| Some(OverNccl(nccl))).map_err(|error| Failure(error.to_string()))
    }
}

impl Transport<Cuda> for OverNccl {
    type Peers = NcclPeers;

    fn name(&self) -> String {
        format!("NCCL {}", self.0.version())
    }

    fn invitation(&self) -> Result<Vec<u8>, Failure> {
        let id = self.0.unique_id().map_err(|error| Failure(error.to_string()))?;
        Ok(id.bytes().to_vec())
    }

    fn join(
        &self,
        device: &Cuda,
        invitation: &[u8],
        rank_and_ranks: (usize, usize),
        abort: Arc<AtomicBool>,
        budget: Duration,
    ) -> Result<NcclPeers, Interrupted> {
        let id = UniqueId::from_bytes(invitation)
            .ok_or_else(|| Interrupted::Lost(format!("an invitation of {} bytes is none", invitation.len())))?;
        let beside = device.beside().map_err(|error| Interrupted::Lost(error.to_string()))?;
        let communicator = Communicator::join(&self.0, id, rank_and_ranks, abort, budget)?;
        Ok(NcclPeers { communicator, device: beside })
    }
}

/// A communicator and its stream.
pub struct NcclPeers {
    // First: what hangs on the stream ends before the stream is given back.
    communicator: Communicator,
    device: Cuda,
}

impl NcclPeers {
    /// Makes NCCL's calls on this thread, unless the GPU has failed.
    fn enter(&self) -> Result<lockstep_nccl::Stream, Interrupted> {
        let lost = |error: crate::cuda::CudaError| Interrupted::Lost(error.to_string());
        self.device.enter().map_err(lost)
    }
}

impl Peers<Cuda> for NcclPeers {
    fn device(&mut self) -> &mut Cuda {
        &mut self.device
    }

    fn follow(&mut self, device: &Cuda) {
        self.device.wait_for(device);
    }

    fn release(&mut self, device: &mut Cuda) {
        device.wait_for(&self.device);
    }

    fn swap(
        &mut self,
        sends: &[(usize, View<'_, f32>)],
        receives: &mut [(usize, ViewMut<'_, f32>)],
    ) -> Result<(), Interrupted> {
        let (stream, ranks) = (self.enter()?, self.communicator.ranks());
        let checked = |rank: usize| {
            assert!(rank < ranks, "rank {rank} of {ranks}");
            rank
        };
        Ok(self.communicator.group(|calls| {
            for (rank, view) in sends {
                // SAFETY: the view's memory is given back behind all that streams were asked for, and who writes to it
                // is ordered behind this stream by `release`.
                unsafe { calls.send(view.address(), view.len(), Type::F32, checked(*rank), stream)? };
            }
            for (rank, view) in receives.iter_mut() {
                // SAFETY: the same, of an exclusive view.
                unsafe { calls.receive(view.address(), view.len(), Type::F32, checked(*rank), stream)? };
            }
            Ok(())
        })?)
    }

    fn gather(&mut self, all: ViewMut<'_, f32>) -> Result<(), Interrupted> {
        let (stream, part) = (self.enter()?, self.part(all.len()));
        // SAFETY: as in `swap`; the view holds a part for each rank.
        Ok(self.communicator.group(|calls| unsafe { calls.all_gather(all.address(), part, Type::F32, stream) })?)
    }

    fn add_up(&mut self, all: ViewMut<'_, f32>, precision: Precision) -> Result<(), Interrupted> {
        let (stream, len, part) = (self.enter()?, all.len(), self.part(all.len()));
        match precision {
            Precision::F32 => self.reduce(all.address(), part, Type::F32, stream),
            Precision::Bf16 => {
                let narrow = self.device.scratch(bf16::words(len));
                self.device.narrow((&all).into(), narrow.into(), len);
                self.reduce(narrow.address(), part, Type::Bf16, stream)?;
                self.device.widen(narrow.into(), (&all).into(), len);
                Ok(())
            }
        }
    }

    fn settle(&mut self) -> Result<(), Interrupted> {
        while !self.device.is_done() {
            self.communicator.check()?;
            std::thread::park_timeout(MOMENT);
        }
        // What was given up ends like what was done.
        Ok(self.communicator.check()?)
    }

    fn finish(self, budget: Duration) -> Result<(), Interrupted> {
        self.enter()?;
        Ok(self.communicator.finish(budget)?)
    }
}

impl NcclPeers {
    /// Elements of each rank's part.
    #[track_caller]
    fn part(&self, len: usize) -> usize {
        let ranks = self.communicator.ranks();
        assert!(len.is_multiple_of(ranks), "{len} elements for {ranks} ranks");
        len / ranks
    }

    fn reduce(&self, all: u64, part: usize, of: Type, stream: lockstep_nccl::Stream) -> Result<(), Interrupted> {
        // SAFETY: as in `swap`; the memory holds a part for each rank. Calls on a stream follow each other.
        self.communicator.group(|calls| unsafe { calls.reduce_scatter(all, part, of, stream) })?;
        // SAFETY: the same.
        Ok(self.communicator.group(|calls| unsafe { calls.all_gather(all, part, of, stream) })?)
    }
}

impl From<NcclError> for Interrupted {
    fn from(error: NcclError) -> Self {
        match error {
            NcclError::Aborted => Self::Aborted,
            error => Self::Lost(error.to_string()),
        }
    }
}
