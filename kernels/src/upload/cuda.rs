//! From page-locked memory to a GPU on a stream of its own, while ops go on: the host fills one of two buffers while
//! the other waits for its copy, and what has arrived waits beside what ops still read.

use std::sync::Arc;

use super::Upload;
use crate::cuda::event::Event;
use crate::cuda::page_locked::PageLocked;
use crate::cuda::stream::Stream;
use crate::cuda::{Buffer, Cuda, View};
use crate::device::{Element, Memory};

/// Room on the GPU, and the way there.
pub struct Room<T: Element> {
    /// Filled in turn. None of no values, or where the GPU has failed.
    way: Option<Way<T>>,
    /// What ops read.
    values: Buffer<T>,
    most: usize,
}

struct Way<T: Element> {
    filled: [PageLocked<T>; 2],
    copies: Arc<Stream>,
    /// Where copies from the host arrive.
    arrived: Buffer<T>,
    /// All has been taken from there.
    taken: Event,
}

impl Upload for Cuda {
    type Room<T: Element> = Room<T>;

    fn room<T: Element>(&mut self, most: usize) -> Room<T> {
        let way = if most == 0 { None } else { Way::new(self, most) };
        Room { way, values: self.zeros(most), most }
    }

    fn room_bytes<T: Element>(most: usize) -> usize {
        2 * size_of::<T>() * most
    }

    fn send<T: Element>(&mut self, values: &[T], room: &mut Room<T>) {
        assert!(values.len() <= room.most, "{} values where there is room for {}", values.len(), room.most);
        let Some(way) = &mut room.way else { return };
        way.send(values);
        self.stream().wait_for_event(way.filled[0].copied());
        let arrived = Cuda::view(&way.arrived, 0..values.len());
        self.copy(arrived, Cuda::view_mut(&mut room.values, 0..values.len()));
        self.stream().mark(&way.taken);
        way.filled.swap(0, 1);
    }

    fn sent<'a, T: Element>(room: &'a Room<T>, values: &'a [T]) -> View<'a, T> {
        Cuda::view(&room.values, 0..values.len())
    }
}

impl<T: Element> Way<T> {
    fn new(device: &mut Cuda, most: usize) -> Option<Self> {
        let (copies, taken) = (device.copies()?, device.stream().event()?);
        let arrived = device.zeros(most);
        // Behind the zeros, which are the device's work too.
        device.stream().mark(&taken);
        Some(Self {
            filled: [PageLocked::new(&copies, most)?, PageLocked::new(&copies, most)?],
            copies,
            arrived,
            taken,
        })
    }

    /// Into the first of the two, and from there to where values arrive, once all of before has been taken.
    fn send(&mut self, values: &[T]) {
        self.copies.wait_for_event(&self.taken);
        let to = Cuda::view(&self.arrived, 0..values.len()).address();
        self.filled[0].send(values, &self.copies, to);
    }
}
