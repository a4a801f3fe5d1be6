//! Networks of this machine that NCCL would use between nodes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Bits of an interface's flags, as in the kernel's if.h.
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;

/// What NCCL would choose from.
pub struct Networks {
    chosen: Vec<Interface>,
    /// `NCCL_SOCKET_IFNAME`.
    asked: Option<String>,
}

/// A network interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    name: String,
    loopback: bool,
    /// Megabits a second; none where the kernel does not know.
    speed: Option<u32>,
    /// Bytes of a packet.
    mtu: Option<u32>,
}

impl Networks {
    /// Looks.
    pub fn look() -> Self {
        let asked = std::env::var("NCCL_SOCKET_IFNAME").ok().filter(|names| !names.is_empty());
        Self { chosen: chosen(up(Path::new("/sys/class/net")), asked.as_deref()), asked }
    }

    /// A row for each, or why there is none.
    pub fn rows(&self) -> Vec<Vec<String>> {
        if self.chosen.is_empty() {
            let none = match &self.asked {
                Some(names) => format!("none: no interface that is up goes by NCCL_SOCKET_IFNAME={names}"),
                None => "none but loopback: GPUs of other machines can't be reached".into(),
            };
            return vec![vec![none]];
        }
        let row = |interface: &Interface| {
            let speed = interface.speed.map_or_else(|| "speed not known".into(), |speed| format!("{speed} Mbit/s"));
            let mtu = interface.mtu.map(|mtu| format!("packets of {mtu} bytes")).unwrap_or_default();
            vec![interface.name.clone(), speed, mtu]
        };
        self.chosen.iter().map(row).collect()
    }

    /// For programs.
    pub fn json(&self) -> Vec<Value> {
        let interface = |interface: &Interface| json!({ "name": interface.name, "megabits_per_second": interface.speed, "mtu": interface.mtu });
        self.chosen.iter().map(interface).collect()
    }
}

/// Interfaces that are up, by name.
fn up(root: &Path) -> Vec<Interface> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<Interface> = folders.filter_map(|folder| interface(&folder)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn interface(folder: &Path) -> Option<Interface> {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned());
    let flags = u32::from_str_radix(read("flags")?.strip_prefix("0x")?, 16).ok()?;
    let name = folder.file_name()?.to_string_lossy().into_owned();
    let interface = Interface {
        name,
        loopback: flags & LOOPBACK != 0,
        // -1 is what the kernel says where it does not know.
        speed: read("speed").and_then(|text| text.parse().ok()),
        mtu: read("mtu").and_then(|text| text.parse().ok()),
    };
    (flags & UP != 0).then_some(interface)
}

/// Those that NCCL takes: what `NCCL_SOCKET_IFNAME` names, else InfiniBand's, else all but those of containers, virtual
/// machines and the loopback (NCCL's documentation, "Environment Variables"). A loopback is left out, also where it is
/// all that there is: it leads to no other node.
fn chosen(all: Vec<Interface>, asked: Option<&str>) -> Vec<Interface> {
    let fitting = |names: &str| {
        let fits = Names::parse(names);
        all.iter().filter(|interface| fits.fit(&interface.name)).cloned().collect::<Vec<_>>()
    };
    if let Some(names) = asked {
        return fitting(names);
    }
    let others = || fitting("^docker,lo,virbr").into_iter().filter(|interface| !interface.loopback).collect::<Vec<_>>();
    [fitting("ib"), others(), fitting("docker")].into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// `NCCL_SOCKET_IFNAME`: beginnings of names, or whole names behind `=`; behind `^` those that are not wanted.
struct Names<'a> {
    not: bool,
    whole: bool,
    names: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn parse(text: &'a str) -> Self {
        let (not, rest) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let (whole, rest) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
        Self { not, whole, names: rest.split(',').filter(|name| !name.is_empty()).collect() }
    }

    fn fit(&self, name: &str) -> bool {
        let named = |wanted: &&str| if self.whole { name == *wanted } else { name.starts_with(wanted) };
        self.names.iter().any(named) != self.not
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str], asked: Option<&str>) -> Vec<String> {
        let interface =
            |name: &&str| Interface { name: (*name).into(), loopback: *name == "lo", speed: None, mtu: None };
        chosen(of.iter().map(interface).collect(), asked).into_iter().map(|interface| interface.name).collect()
    }

    #[test]
    fn nccl_takes_what_is_named_else_what_leads_to_other_nodes() {
        assert_eq!(names(&["docker0", "eth0", "eth1", "lo", "virbr0"], None), ["eth0", "eth1"]);
        assert_eq!(names(&["eth0", "ib0", "ib1", "lo"], None), ["ib0", "ib1"]);
        assert_eq!(names(&["docker0", "lo"], None), ["docker0"]);
        assert!(names(&["lo"], None).is_empty());
        let all = ["eth0", "eth10", "eth1", "lo"];
        assert_eq!(names(&all, Some("eth1,lo")), ["eth10", "eth1", "lo"]);
        assert_eq!(names(&all, Some("=eth1")), ["eth1"]);
        assert_eq!(names(&all, Some("^eth1")), ["eth0", "lo"]);
        assert_eq!(names(&all, Some("^=eth1,lo")), ["eth0", "eth10"]);
        assert!(names(&all, Some("wlan")).is_empty());
    }

    #[test]
    fn interfaces_that_are_up_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, flags, speed) in [("eth0", "0x1003", "25000"), ("eth1", "0x1002", "100"), ("lo", "0x9", "-1")] {
            let of_it = folder.path().join(name);
            fs::create_dir(&of_it).unwrap();
            for (file, text) in [("flags", flags), ("speed", speed), ("mtu", "1500")] {
                fs::write(of_it.join(file), format!("{text}\n")).unwrap();
            }
        }
        let interface = |name: &str, loopback, speed| Interface { name: name.into(), loopback, speed, mtu: Some(1500) };
        assert_eq!(up(folder.path()), [interface("eth0", false, Some(25_000)), interface("lo", true, None)]);
        assert!(up(&folder.path().join("nowhere")).is_empty());
    }
}
