//! One worker's part of a generation's exchanges.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::library::{Config, Handle, IN_PROGRESS, SUCCESS};
use crate::watchdog::Watchdog;
use crate::{Nccl, NcclError, UniqueId};

/// Between two looks at work that NCCL's own threads do.
const MOMENT: Duration = Duration::from_micros(50);

/// A CUDA stream, as the driver knows it.
#[derive(Clone, Copy, Debug)]
pub struct Stream(pub *mut c_void);

/// Type of the numbers in a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 32 bits.
    F32,
    /// The upper half of an `f32`.
    Bf16,
}

impl Type {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// As `ncclDataType_t` has it.
    fn code(self) -> c_int {
        match self {
            Self::F32 => 7,
            Self::Bf16 => 9,
        }
    }
}

/// `ncclSum`.
const SUM: c_int = 0;

/// What the using thread and the watchdog share. The lock is held for the length of each call.
pub(crate) struct Shared {
    nccl: Arc<Nccl>,
    /// Null once it was given up.
    pub handle: Mutex<Owned>,
    /// The same again, for who may not wait for the lock.
    beside: AtomicPtr<c_void>,
}

/// A handle, which any thread may use that holds the lock.
pub(crate) struct Owned(Handle);

// SAFETY: NCCL's communicators are bound to no thread; calls on one come one at a time.
unsafe impl Send for Owned {}

impl Shared {
    /// Gives the communicator up. What of it runs on the GPU ends.
    pub fn abort(&self, owned: &mut Owned) {
        owned.0 = std::ptr::null_mut();
        self.abort_beside();
    }

    /// The same while another thread is in a call, which NCCL then ends.
    pub fn abort_beside(&self) {
        let handle = self.beside.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !handle.is_null() {
            // Its code says nothing that anybody could act on: the communicator is gone either way.
            // SAFETY: a communicator that was made, and is given up once.
            let _ = unsafe { (self.nccl.functions.comm_abort)(handle) };
        }
    }

    fn is_gone(&self) -> bool {
        self.beside.load(Ordering::Acquire).is_null()
    }
}

/// One rank of a communicator. Dropped without [`Communicator::finish`] it is given up.
pub struct Communicator {
    shared: Arc<Shared>,
    abort: Arc<AtomicBool>,
    rank: usize,
    ranks: usize,
    _watchdog: Watchdog,
}

impl Communicator {
    /// Joins the others, each of which calls this with the same id, on the calling thread's current CUDA context. Once
    /// `abort` is set, this call and all later ones end with [`NcclError::Aborted`], also what hangs on the GPU.
    ///
    /// # Errors
    /// [`NcclError::Late`] if not all have come within `budget`; [`NcclError::Aborted`]; NCCL's own.
    pub fn join(
        nccl: &Arc<Nccl>,
        id: UniqueId,
        (rank, ranks): (usize, usize),
        abort: Arc<AtomicBool>,
        budget: Duration,
    ) -> Result<Self, NcclError> {
        const CALL: &str = "ncclCommInitRankConfig";
        let (mut handle, mut config) = (std::ptr::null_mut(), Config::without_blocking());
        // SAFETY: the call overwrites the handle, and reads a configuration that is as long as it says.
        let code = unsafe {
            (nccl.functions.comm_init_rank_config)(&mut handle, number(ranks), id, number(rank), &mut config)
        };
        if handle.is_null() {
            return Err(nccl.failure(CALL, code, handle));
        }
        let shared =
            Arc::new(Shared { nccl: nccl.clone(), handle: Mutex::new(Owned(handle)), beside: AtomicPtr::new(handle) });
        let failed = |error: std::io::Error| NcclError::Call {
            call: CALL,
            text: "the system starts no thread".into(),
            detail: format!(": {error}"),
        };
        let watchdog = Watchdog::start(shared.clone(), abort.clone()).map_err(failed)?;
        // From here on it is given up when it is dropped.
        let joined = Self { shared, abort, rank, ranks, _watchdog: watchdog };
        joined.begun(CALL, code)?;
        joined.settle(CALL, Some(budget))?;
        Ok(joined)
    }

    /// How many there are.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// Makes calls that belong together: none waits for another, and all have been handed to the GPU when this returns.
    ///
    /// # Errors
    /// [`NcclError::Aborted`]; NCCL's own, after which the communicator is of no use.
    pub fn group(&self, make: impl FnOnce(&Calls<'_>) -> Result<(), NcclError>) -> Result<(), NcclError> {
        {
            let owned = self.enter()?;
            let functions = &self.shared.nccl.functions;
            // SAFETY: the call has no preconditions.
            self.begun("ncclGroupStart", unsafe { (functions.group_start)() })?;
            let made = make(&Calls { communicator: self, handle: owned.0 });
            // SAFETY: this thread has started the group. It is ended also if a call in it failed.
            let ended = self.begun("ncclGroupEnd", unsafe { (functions.group_end)() });
            made.and(ended)?;
        }
        self.settle("ncclGroupEnd", None)
    }

    /// Whether all is well with what was handed to the GPU: a peer that is lost shows here, and nowhere else.
    ///
    /// # Errors
    /// [`NcclError::Aborted`]; NCCL's own, after which the communicator is of no use.
    pub fn check(&self) -> Result<(), NcclError> {
        self.state("an exchange").map(|_| ())
    }

    /// Leaves together with all others, when all that was asked for is done.
    ///
    /// # Errors
    /// As [`Communicator::join`]. The communicator is given up then.
    pub fn finish(self, budget: Duration) -> Result<(), NcclError> {
        const CALL: &str = "ncclCommFinalize";
        let functions = &self.shared.nccl.functions;
        let code = {
            let owned = self.enter()?;
            // SAFETY: the handle is a communicator's that is there.
            unsafe { (functions.comm_finalize)(owned.0) }
        };
        self.begun(CALL, code)?;
        self.settle(CALL, Some(budget))?;
        let mut owned = self.enter()?;
        self.shared.beside.store(std::ptr::null_mut(), Ordering::Release);
        let handle = std::mem::replace(&mut owned.0, std::ptr::null_mut());
        // SAFETY: the communicator has come to rest, and the handle is used no more.
        let code = unsafe { (functions.comm_destroy)(handle) };
        if code == SUCCESS { Ok(()) } else { Err(self.shared.nccl.failure("ncclCommDestroy", code, handle)) }
    }

    /// The handle, for one call.
    fn enter(&self) -> Result<MutexGuard<'_, Owned>, NcclError> {
        let owned = self.shared.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let over = self.abort.load(Ordering::Acquire) || owned.0.is_null() || self.shared.is_gone();
        if over { Err(NcclError::Aborted) } else { Ok(owned) }
    }

    /// What a call's code means.
    fn begun(&self, call: &'static str, code: c_int) -> Result<(), NcclError> {
        match code {
            SUCCESS | IN_PROGRESS => Ok(()),
            // It was given up beside the call.
            _ if self.shared.is_gone() => Err(NcclError::Aborted),
            code => Err(self.shared.nccl.failure(call, code, std::ptr::null_mut())),
        }
    }

    /// Whether what was begun last is done.
    fn state(&self, call: &'static str) -> Result<bool, NcclError> {
        let owned = self.enter()?;
        let mut state = SUCCESS;
        // SAFETY: the handle is a communicator's that is there, and the call overwrites an integer.
        let code = unsafe { (self.shared.nccl.functions.comm_get_async_error)(owned.0, &mut state) };
        match (code, state) {
            (SUCCESS, IN_PROGRESS) => Ok(false),
            (SUCCESS, SUCCESS) => Ok(true),
            (SUCCESS, state) => Err(self.shared.nccl.failure(call, state, owned.0)),
            (code, _) => Err(self.shared.nccl.failure(call, code, owned.0)),
        }
    }

    /// Waits until what was begun last is done.
    fn settle(&self, call: &'static str, budget: Option<Duration>) -> Result<(), NcclError> {
        let since = Instant::now();
        while !self.state(call)? {
            match budget {
                Some(budget) if since.elapsed() > budget => return Err(NcclError::Late { call, budget }),
                _ => std::thread::park_timeout(MOMENT),
            }
        }
        Ok(())
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        let mut owned = self.shared.handle.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.abort(&mut owned);
    }
}

/// Calls of one group. All addresses are of the GPU's memory.
pub struct Calls<'a> {
    communicator: &'a Communicator,
    handle: Handle,
}

impl Calls<'_> {
    /// Sends `len` numbers to `peer`, which receives as many.
    ///
    /// # Safety
    /// The numbers stay where they are, and as they are, until `stream` has come past this call.
    ///
    /// # Errors
    /// NCCL's own.
    pub unsafe fn send(&self, from: u64, len: usize, of: Type, peer: usize, stream: Stream) -> Result<(), NcclError> {
        // SAFETY: the caller's promise; the handle is a communicator's that is there.
        let code = unsafe {
            (self.functions().send)(from as *const c_void, len, of.code(), number(peer), self.handle, stream.0)
        };
        self.communicator.begun("ncclSend", code)
    }

    /// Receives `len` numbers from `peer`, which sends as many.
    ///
    /// # Safety
    /// The memory is nobody else's until `stream` has come past this call.
    ///
    /// # Errors
    /// NCCL's own.
    pub unsafe fn receive(&self, to: u64, len: usize, of: Type, peer: usize, stream: Stream) -> Result<(), NcclError> {
        // SAFETY: the caller's promise; the handle is a communicator's that is there.
        let code =
            unsafe { (self.functions().recv)(to as *mut c_void, len, of.code(), number(peer), self.handle, stream.0) };
        self.communicator.begun("ncclRecv", code)
    }

    /// Gathers the ranks' parts of `len` numbers each, one behind the other: this rank's is in its place already.
    ///
    /// # Safety
    /// The memory is nobody else's until `stream` has come past this call.
    ///
    /// # Errors
    /// NCCL's own.
    pub unsafe fn all_gather(&self, all: u64, len: usize, of: Type, stream: Stream) -> Result<(), NcclError> {
        let own = all + (self.communicator.rank * len * of.bytes()) as u64;
        // SAFETY: the caller's promise; the handle is a communicator's that is there.
        let code = unsafe {
            (self.functions().all_gather)(
                own as *const c_void,
                all as *mut c_void,
                len,
                of.code(),
                self.handle,
                stream.0,
            )
        };
        self.communicator.begun("ncclAllGather", code)
    }

    /// Adds up all ranks' vectors, of a part of `len` numbers for each rank; this rank's part of the sum takes its
    /// place in the vector. In which order is NCCL's affair.
    ///
    /// # Safety
    /// The memory is nobody else's until `stream` has come past this call.
    ///
    /// # Errors
    /// NCCL's own.
    pub unsafe fn reduce_scatter(&self, all: u64, len: usize, of: Type, stream: Stream) -> Result<(), NcclError> {
        let own = all + (self.communicator.rank * len * of.bytes()) as u64;
        // SAFETY: the caller's promise; the handle is a communicator's that is there.
        let code = unsafe {
            (self.functions().reduce_scatter)(
                all as *const c_void,
                own as *mut c_void,
                len,
                of.code(),
                SUM,
                self.handle,
                stream.0,
            )
        };
        self.communicator.begun("ncclReduceScatter", code)
    }

    fn functions(&self) -> &crate::library::Functions {
        &self.communicator.shared.nccl.functions
    }
}

/// As NCCL counts, which refuses what is out of range.
fn number(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}
