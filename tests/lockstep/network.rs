//! Nodes in network namespaces of their own: a bridge in the coordinator's, and a cable from it to each node. Nothing
//! outside of the namespaces is touched, and they are gone when the network is dropped.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A coordinator's namespace and those of some nodes, whose cables can be cut.
pub struct Network {
    coordinator: String,
    nodes: Vec<String>,
}

impl Network {
    /// Whether this machine lets us have namespaces; else why not.
    pub fn is_possible() -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may make network namespaces".into());
        }
        let network = Self { coordinator: unique_name(), nodes: Vec::new() };
        ip(&["netns", "add", &network.coordinator])?;
        ip(&["-n", &network.coordinator, "link", "add", "hub", "type", "bridge"])?;
        ip(&["netns", "exec", &network.coordinator, "true"])
    }

    /// All of them connected.
    pub fn new(nodes: usize) -> Self {
        let network = Self { coordinator: unique_name(), nodes: (0..nodes).map(|_| unique_name()).collect() };
        let hub = &network.coordinator;
        add_namespace(hub);
        done(&["-n", hub, "link", "add", "hub", "type", "bridge", "forward_delay", "0"]);
        add_address(hub, "hub", 0);
        for (index, node) in network.nodes.iter().enumerate() {
            let cable = cable(index);
            add_namespace(node);
            let here = ["link", "add", &cable, "netns", hub, "type", "veth"];
            done(&[&here[..], &["peer", "name", "eth", "netns", node]].concat());
            done(&["-n", hub, "link", "set", &cable, "master", "hub", "up"]);
            add_address(node, "eth", index + 1);
        }
        network
    }

    /// The coordinator's namespace.
    pub fn coordinator(&self) -> &str {
        &self.coordinator
    }

    /// Where the coordinator listens, on a port that the kernel chooses.
    pub fn listen(&self) -> String {
        format!("{}:0", address(0))
    }

    /// A node's namespace.
    pub fn node(&self, index: usize) -> &str {
        &self.nodes[index]
    }

    /// Cuts a node off from all others, as if its cable were pulled.
    pub fn cut(&self, node: usize) {
        done(&["-n", &self.coordinator, "link", "set", &cable(node), "down"]);
    }

    /// Undoes [`Self::cut`].
    pub fn mend(&self, node: usize) {
        done(&["-n", &self.coordinator, "link", "set", &cable(node), "up"]);
    }

    /// Lets two nodes not reach each other any more; both reach the coordinator.
    pub fn separate(&self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            done(&["-n", &self.nodes[from], "route", "add", "blackhole", &format!("{}/32", address(to + 1))]);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.nodes.iter().chain([&self.coordinator]) {
            // It may not have come to be.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("lockstep-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The coordinator's end of a node's cable.
fn cable(node: usize) -> String {
    format!("node{node}")
}

fn address(index: usize) -> String {
    format!("10.77.0.{}", index + 1)
}

fn add_namespace(name: &str) {
    done(&["netns", "add", name]);
    done(&["-n", name, "link", "set", "lo", "up"]);
}

fn add_address(namespace: &str, device: &str, index: usize) {
    done(&["-n", namespace, "address", "add", &format!("{}/24", address(index)), "dev", device]);
    done(&["-n", namespace, "link", "set", device, "up"]);
}

fn done(arguments: &[&str]) {
    ip(arguments).unwrap();
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
