//! Which CPUs are near a GPU: those of its NUMA node, as the kernel tells in /sys.
//!
//! A worker stays on them, so that its memory is on the same node, and what it copies does not cross the machine.

use std::path::{Path, PathBuf};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where the kernel tells it.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Default for Sysfs {
    /// Of this machine.
    fn default() -> Self {
        Self::at("/sys")
    }
}

impl Sysfs {
    /// In another folder than /sys.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The NUMA node that a device is on, by its place on the PCI bus; none where the machine has only one, or the kernel
    /// does not know.
    pub fn node_of(&self, bus: &str) -> Option<u32> {
        // The driver writes hexadecimal digits large, the kernel small.
        let place = bus.to_ascii_lowercase();
        let text = self.read(Path::new("bus/pci/devices").join(place).join("numa_node"))?;
        // -1 is what the kernel says where it does not know.
        text.parse().ok()
    }

    /// The CPUs of a NUMA node.
    fn cpus_of(&self, node: u32) -> Option<Vec<usize>> {
        cpus(&self.read(format!("devices/system/node/node{node}/cpulist"))?)
    }

    fn read(&self, file: impl AsRef<Path>) -> Option<String> {
        std::fs::read_to_string(self.root.join(file)).ok().map(|text| text.trim().to_owned())
    }
}

/// Keeps this thread, and those that it starts from now on, on the CPUs near a device, as far as they are this thread's
/// to use. Gives the node, or none where there is nothing to choose.
///
/// # Errors
/// If the kernel refuses.
pub fn stay_near(sysfs: &Sysfs, bus: &str) -> rustix::io::Result<Option<u32>> {
    let Some((node, near)) = sysfs.node_of(bus).and_then(|node| Some((node, sysfs.cpus_of(node)?))) else {
        return Ok(None);
    };
    let allowed = sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    near.into_iter().filter(|cpu| allowed.is_set(*cpu)).for_each(|cpu| chosen.set(cpu));
    if chosen.count() == 0 {
        return Ok(None);
    }
    sched_setaffinity(None, &chosen)?;
    Ok(Some(node))
}

/// CPUs of a list such as `0-3,8,10-11`; none if it is no list, or names CPUs beyond those that can be chosen.
fn cpus(list: &str) -> Option<Vec<usize>> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && last < CpuSet::MAX_CPU).then_some(first..=last)
    };
    let ranges: Option<Vec<_>> = list.split(',').map(range).collect();
    Some(ranges?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose GPU at 0000:4b:00.0 is on node 1, and one at 0000:05:00.0 on none.
    fn machine(cpulist: &str) -> (tempfile::TempDir, Sysfs) {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{text}\n")).unwrap();
        };
        write("bus/pci/devices/0000:4b:00.0/numa_node", "1");
        write("bus/pci/devices/0000:05:00.0/numa_node", "-1");
        write("devices/system/node/node1/cpulist", cpulist);
        let sysfs = Sysfs::at(folder.path());
        (folder, sysfs)
    }

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(cpus("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(cpus("5"), Some(vec![5]));
        for list in ["", "a", "3-1", "0-", "0,,1", "0-18446744073709551615", "-1"] {
            assert_eq!(cpus(list), None, "{list:?}");
        }
    }

    #[test]
    fn a_device_is_on_the_node_that_the_kernel_tells() {
        let (_folder, sysfs) = machine("0");
        assert_eq!(sysfs.node_of("0000:4B:00.0"), Some(1));
        assert_eq!((sysfs.node_of("0000:05:00.0"), sysfs.node_of("0000:06:00.0")), (None, None));
        assert_eq!((sysfs.cpus_of(1), sysfs.cpus_of(2)), (Some(vec![0]), None));
    }

    /// In a thread of its own, whose CPUs nobody else's are.
    #[test]
    fn a_thread_stays_near_its_device() {
        std::thread::spawn(|| {
            let before = sched_getaffinity(None).unwrap();
            let mine: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu)).collect();
            let (last, none_of_mine) = (mine[mine.len() - 1], (0..CpuSet::MAX_CPU).find(|cpu| !before.is_set(*cpu)));
            let (_folder, sysfs) = machine(&none_of_mine.unwrap().to_string());
            assert_eq!(stay_near(&sysfs, "0000:4b:00.0"), Ok(None), "none of its CPUs may be used");
            assert_eq!(stay_near(&sysfs, "0000:05:00.0"), Ok(None), "its node is not known");
            assert_eq!(sched_getaffinity(None), Ok(before));
            let (_folder, sysfs) = machine(&format!("{last},{}", none_of_mine.unwrap()));
            assert_eq!(stay_near(&sysfs, "0000:4b:00.0"), Ok(Some(1)));
            let after = sched_getaffinity(None).unwrap();
            assert!(after.is_set(last) && after.count() == 1, "{after:?}");
        })
        .join()
        .unwrap();
    }
}
