//! Addresses, ids and versions that can't be used: each is refused in one line that says what to do, with exit code 2,
//! and nothing is left behind.

mod lockstep;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;

use lockstep::cluster::Cluster;
use lockstep::process::{Ended, Process};
use lockstep::{host, lockstep as binary, names, recipe};
use rustix::net::{AddressFamily, SocketAddrAny, SocketType, bind, getsockname, ipproto, socket};

#[test]
fn serve_where_it_can_not() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let serve = |listen: &str, state: &Path| Ended::of(binary(["serve", "--listen", listen, "--state"]).arg(state));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    serve(&address, &state).is_refused_with(&[&address, "is in use", "choose another with --listen"]);
    assert!(!state.exists());

    std::fs::write(&state, "").unwrap();
    serve("127.0.0.1:0", &state).is_refused_with(&["state folder", "state: File exists", "another with --state"]);

    let damaged = scratch.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("coordinator.db"), "no database".repeat(500)).unwrap();
    serve("127.0.0.1:0", &damaged).is_refused_with(&["coordinator.db can't be read", "another folder with --state"]);

    let cluster = Cluster::start();
    serve("127.0.0.1:0", cluster.state()).is_refused_with(&["in use by another coordinator", "another with --state"]);
}

#[test]
fn nobody_answers_or_nobody_could() {
    // Bound, so that nobody else gets the port, and not listened on.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).unwrap();
    bind(&socket, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let address: SocketAddrAny = getsockname(&socket).unwrap();
    let address = format!("http://{}", std::net::SocketAddr::try_from(address).unwrap());
    let here = tempfile::tempdir().unwrap();
    let job = recipe("mnist-mlp.toml").display().to_string();
    let verbs: [&[&str]; 13] = [
        &["list"],
        &["agent"],
        &["submit", &job],
        &["show", "1"],
        &["watch", "1"],
        &["logs", "1"],
        &["pause", "1"],
        &["resume", "1"],
        &["scale", "1", "2"],
        &["checkpoint", "1"],
        &["cancel", "1"],
        &["wait", "1"],
        &["pull", "1", "run"],
    ];
    for verb in verbs {
        let to = |address: &str| Ended::of(binary(verb).args(["--coordinator", address]).current_dir(here.path()));
        to(&address).is_refused_with(&["cannot reach the coordinator at", &address, "is `lockstep serve` running"]);
        to("nonsense").is_refused_with(&["\"nonsense\" is not an address", "http://127.0.0.1:7070"]);
    }
    assert_eq!(names(here.path()), [""; 0]);
}

#[test]
fn ids_of_no_job_and_of_two() {
    let cluster = Cluster::start();
    let jobs = [cluster.submit("mnist-mlp.toml", &[]), cluster.submit("mnist-mlp.toml", &[])];
    // Ids begin with the time.
    let shared = &jobs[0][..1];
    let here = tempfile::tempdir().unwrap();
    let folder = here.path().join("run").display().to_string();
    let verbs = ["show", "watch", "logs", "pause", "resume", "scale", "checkpoint", "cancel", "wait", "pull"];
    for verb in verbs {
        let more: &[&str] = match verb {
            "pull" => &[&folder],
            "scale" => &["2"],
            _ => &[],
        };
        let about = |id| cluster.run(verb, &[&[id], more].concat());
        about("nothing").is_refused_with(&["no job has the id \"nothing\"", "`lockstep list` shows all"]);
        about(shared).is_refused_with(&["2 jobs have an id", &format!("{shared:?}"), "give more of it"]);
    }
    assert_eq!(names(here.path()), [""; 0]);
    assert!(cluster.ask("list", &[]).iter().all(|job| job["state"] == "queued"), "nobody was cancelled");
}

#[test]
fn requests_that_come_too_late() {
    let cluster = Cluster::start();
    let job = cluster.submit("mnist-mlp.toml", &[]);
    cluster.run("cancel", &[&job]).success();
    for verb in [&["cancel"][..], &["pause"], &["resume"], &["scale", "2"], &["checkpoint"]] {
        let refused = cluster.run(verb[0], &[&[job.as_str()], &verb[1..]].concat());
        refused.is_refused_with(&[&job, "has ended", "cancelled"]);
    }

    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("notes"), "").unwrap();
    let folder = here.path().display().to_string();
    cluster.run("pull", &[&job, &folder]).is_refused_with(&[&folder, "is not empty", "name another"]);
    assert_eq!(names(here.path()), ["notes"]);
    let file = here.path().join("notes").display().to_string();
    cluster.run("pull", &[&job, &file]).is_refused_with(&[&file, "Not a directory", "name another"]);
}

#[test]
fn requests_that_come_at_the_wrong_time() {
    let cluster = Cluster::start();
    let job = cluster.submit("mnist-mlp.toml", &[]);
    cluster.run("resume", &[&job]).is_refused_with(&[&job, "queued", "only a paused job can be resumed"]);
    cluster.run("checkpoint", &[&job]).is_refused_with(&[&job, "queued"]);
    cluster.run("scale", &[&job, "0"]).is_refused_with(&[&job, "at least 1 worker", "`pause` stops all"]);
    cluster.run("pause", &[&job]).success();
    cluster.run("pause", &[&job]).is_refused_with(&[&job, "it is paused already"]);
    let usage = cluster.run("scale", &[&job, "many"]);
    assert!(usage.code == Some(2) && usage.stderr.contains("invalid value 'many' for '<N>'"), "{usage:?}");
}

#[test]
fn a_second_agent_of_one_name() {
    let cluster = Cluster::start();
    let agent = || binary(["agent", "--name", "left", "--coordinator", &cluster.address]);
    let mut first = Process::start(&mut agent());
    first.await_line("joined");
    Ended::of(&mut agent()).is_refused_with(&["node left has an agent already, on host", &host()]);
}

#[test]
fn an_agent_of_another_version() {
    let cluster = Cluster::start();
    let address = behind_a_liar(&cluster);
    let ended = Ended::of(&mut binary(["agent", "--coordinator", &address]));
    ended.is_refused_with(&["refused this agent", OTHER_VERSION, env!("CARGO_PKG_VERSION")]);
}

const OTHER_VERSION: &str = "9.9.9";

/// A way to the coordinator on which an agent's version becomes another one of the same length.
fn behind_a_liar(cluster: &Cluster) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let coordinator = cluster.address.strip_prefix("http://").unwrap().to_owned();
    std::thread::spawn(move || {
        let (agent, _) = listener.accept().unwrap();
        let coordinator = TcpStream::connect(coordinator).unwrap();
        let (answers, to_agent) = (coordinator.try_clone().unwrap(), agent.try_clone().unwrap());
        std::thread::spawn(move || pass_on(answers, to_agent, |_| {}));
        pass_on(agent, coordinator, |bytes| replace(bytes, env!("CARGO_PKG_VERSION"), OTHER_VERSION));
    });
    address
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        change(&mut bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}

fn replace(bytes: &mut [u8], old: &str, new: &str) {
    assert_eq!(old.len(), new.len());
    for start in 0..(bytes.len() + 1).saturating_sub(old.len()) {
        if bytes[start..].starts_with(old.as_bytes()) {
            bytes[start..start + old.len()].copy_from_slice(new.as_bytes());
        }
    }
}
