//! `study run --coordinator`: small grids on a cluster of real processes, disturbed and stopped.

mod lockstep;

use std::collections::BTreeSet;

use lockstep::cluster::Cluster;
use lockstep::process::{Ended, Frozen, Process};
use lockstep::study::{LONG, RECIPE, Study, TINY, runs, same_tables};
use lockstep::{eventually, json, json_lines, names};
use rustix::process::Signal;

/// Where a study is trained, as arguments.
fn on(cluster: &Cluster) -> [&str; 2] {
    ["--coordinator", &cluster.address]
}

/// Jobs that a coordinator has, by their state.
fn jobs(cluster: &Cluster, state: &str) -> usize {
    cluster.ask("list", &[]).iter().filter(|job| job["state"] == state).count()
}

#[test]
fn tables_are_those_of_a_study_on_one_machine_whatever_happens_to_agents() {
    let cluster = Cluster::start();
    let (mut lost, _stays) = (cluster.agent(1), cluster.agent(2));
    let study = Study::new(RECIPE);
    let mut process = Process::start(study.run(&on(&cluster)).arg("--json"));
    let first = process.await_line("\"kind\":\"run\"");
    lost.kill();
    let rest = process.wait().success();
    let trained = runs(&json_lines(&rest));
    assert!(trained.is_superset(&runs(&json_lines(&first))));

    let alone = Study::new(RECIPE);
    assert_eq!(alone.finish(&[]), trained);
    same_tables(&study.folder(), &alone.folder());
    assert_eq!(names(&study.folder()), names(&alone.folder()));
    assert_eq!(names(&study.folder().join("runs")), names(&alone.folder().join("runs")));
    let fingerprints = |study: &Study| json(&study.folder().join("study.json"))["fingerprints"].take();
    assert_eq!(fingerprints(&study), fingerprints(&alone));
    // Each run was one job, which people can tell; what diverges has failed.
    let listed = cluster.ask("list", &[]);
    assert_eq!((listed.len(), jobs(&cluster, "failed")), (trained.len(), 2));
    assert!(listed.iter().all(|job| job["name"].as_str().unwrap().starts_with("out c0")), "{listed:?}");

    // All is done, here and on one machine; without its folder it is found on the cluster.
    assert_eq!((study.finish(&on(&cluster)), study.finish(&[])), (BTreeSet::new(), BTreeSet::new()));
    std::fs::remove_dir_all(study.folder()).unwrap();
    let lines = json_lines(&Ended::of(study.run(&on(&cluster)).arg("--json")).success());
    assert_eq!(runs(&lines), trained);
    // What was only fetched says nothing of how long others take.
    let mut progress = lines.iter().filter(|line| line["kind"] == "progress");
    assert!(progress.all(|line| line["seconds_left"].is_null()), "{lines:?}");
    same_tables(&study.folder(), &alone.folder());
    assert_eq!(cluster.ask("list", &[]).len(), trained.len(), "a run was trained twice");
}

#[test]
fn what_is_stopped_goes_on_on_the_cluster_and_is_found_again() {
    let mut cluster = Cluster::start();
    let agents = [cluster.agent(1), cluster.agent(1)];
    let study = Study::new(LONG);
    let process = Process::start(&mut study.run(&on(&cluster)));
    eventually("two jobs that run", || (jobs(&cluster, "running") == 2).then_some(()));
    let frozen = Frozen::workers_of(&agents);
    process.signal(Signal::INT);
    let ended = process.wait();
    drop(frozen);
    assert_eq!(ended.code, Some(75), "{ended:?}");
    let words = "stopped; the cluster goes on with 2 runs; what is done stays, and the same command goes on: lockstep study run";
    assert!(ended.stderr.contains(words), "{ended:?}");
    assert_eq!(names(&study.folder()), [".lock", "runs", "study.json", "study.toml", "tables"]);

    // A coordinator that is away for a while is waited for.
    let mut process = Process::start(study.run(&on(&cluster)).arg("--json"));
    process.await_line("\"kind\":\"study\"");
    cluster.serve.kill();
    cluster.revive();
    let trained = runs(&json_lines(&process.wait().success()));
    assert_eq!(trained.len(), 2);
    assert_eq!(cluster.ask("list", &[]).len(), 2, "a run was trained twice");
    let alone = Study::new(LONG);
    alone.finish(&[]);
    same_tables(&study.folder(), &alone.folder());
}

#[test]
fn a_run_that_somebody_cancels_is_told_and_tried_again_by_the_next_call() {
    let cluster = Cluster::start();
    let study = Study::new(TINY);
    let mut process = Process::start(&mut study.run(&on(&cluster)));
    process.await_line("waits for 1 slot: no agent has joined");
    let waiting = cluster.ask("list", &[]);
    assert_eq!(waiting.len(), 2);
    cluster.run("cancel", &[waiting[0]["job"].as_str().unwrap()]).success();
    let _agent = cluster.agent(1);
    let ended = process.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(" failed: cancelled by a user; the same command tries again"), "{ended:?}");
    assert_eq!(study.finish(&on(&cluster)).len(), 1);
    assert_eq!((jobs(&cluster, "completed"), jobs(&cluster, "cancelled")), (2, 1));
}

#[test]
fn runs_of_another_fingerprint_are_told_and_trained_again_only_if_the_user_says_so() {
    let cluster = Cluster::start();
    let _agent = cluster.agent(1);
    let study = Study::new(TINY);
    study.finish(&on(&cluster));
    let tables = study.table("jobs.csv");
    let second = tables.lines().nth(2).unwrap().split(',').next().unwrap().to_owned();
    let another_build = |key: &str| {
        let path = study.folder().join("runs").join(key).join("run.json");
        let mut run = json(&path);
        run["fingerprint"]["build"] = "0.0.1+another".into();
        std::fs::write(&path, run.to_string()).unwrap();
    };
    another_build(&second);
    let refused = Ended::of(&mut study.run(&on(&cluster)));
    let words = "1 finished runs have another fingerprint than the study's first finished run (build 0.0.1+another";
    refused.is_refused_with(&[words, "--again", "--mixed"]);
    let mixed = Ended::of(study.run(&on(&cluster)).args(["--mixed", "--quiet"]));
    assert_eq!(mixed.code, Some(0), "{mixed:?}");
    assert!(mixed.stderr.contains("runs of 2 fingerprints are mixed"), "{mixed:?}");
    // What the cluster has of it is of the study's: an earlier call may have had it trained, and was stopped.
    let again = Ended::of(study.run(&on(&cluster)).args(["--again", "--json"])).success();
    assert_eq!(runs(&json_lines(&again)), BTreeSet::from([second.clone()]));
    assert_eq!((study.table("jobs.csv"), jobs(&cluster, "completed")), (tables.clone(), 2));

    // The study's own is kept, though another comes first.
    let first = tables.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    another_build(&first);
    let refused = Ended::of(&mut study.run(&on(&cluster)));
    refused.is_refused_with(&[words, "add --again to train them again, --mixed to go on with them"]);
    assert!(!refused.stderr.contains("--out"), "the cluster's jobs are the same for any folder: {refused:?}");

    // The study's is another than what comes back: it would be so again.
    std::fs::remove_dir_all(study.folder().join("runs").join(&second)).unwrap();
    let words = "1 finished runs have another fingerprint than the study's first finished run";
    for (arguments, remedy, jobs_then) in [
        (["--quiet"].as_slice(), ": add --again to train them again, --mixed to go on", 2),
        (&["--quiet", "--again"], ": add --mixed to go on", 3),
    ] {
        let ended = Ended::of(study.run(&on(&cluster)).args(arguments));
        assert_eq!((ended.code, jobs(&cluster, "completed")), (Some(2), jobs_then), "{ended:?}");
        assert!(ended.stderr.contains(words) && ended.stderr.contains(remedy), "{ended:?}");
        assert!(study.folder().join("runs").join(&second).join("summary.json").exists());
    }
}

#[test]
fn what_can_not_be_is_refused_before_anything_is_written() {
    let study = Study::new(TINY);
    let refuse = |arguments: &[&str], words: &[&str]| {
        Ended::of(&mut study.run(arguments)).is_refused_with(words);
        assert!(!study.folder().exists());
    };
    // A port that was free just now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refuse(&["--coordinator", &format!("http://{free}")], &["cannot reach the coordinator at", "--coordinator"]);
    refuse(&["--coordinator", "nowhere"], &["is not an address of a coordinator"]);
    let cluster = Cluster::start();
    let [option, url] = on(&cluster);
    study.say(&TINY.replace("set.data.limit = 640", "set.data = { limit = 640, path = \"/nowhere\" }"));
    refuse(
        &[option, url],
        &["/nowhere: no such folder", "this machine has to see the data as well", "--data NAME=DIR"],
    );

    // Nodes and this machine have the data in different places.
    let digits = format!("digits={}", lockstep::recipe("../data/mnist").display());
    let mut agent = cluster.agent_command(1);
    let _agent = cluster.agent_of({
        agent.arg("--data").arg(&digits);
        agent
    });
    let named = "set.data = { limit = 640, path = \"/nowhere\", name = \"digits\" }";
    study.say(&TINY.replace("set.data.limit = 640", named));
    assert_eq!(study.finish(&[option, url, "--data", &digits]).len(), 2);
}

#[test]
fn an_agents_data_that_are_others_end_the_call_with_what_is_done() {
    let cluster = Cluster::start();
    let [option, url] = on(&cluster);
    let of = |folder: &std::path::Path| format!("digits={}", folder.display());
    let (here, other) = (lockstep::recipe("../data/mnist"), tempfile::tempdir().unwrap());
    for kind in ["images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"] {
        for split in ["train", "t10k"] {
            // Test samples in place of those that are trained on.
            std::fs::copy(here.join(format!("t10k-{kind}")), other.path().join(format!("{split}-{kind}"))).unwrap();
        }
    }
    let mut agent = cluster.agent_command(1);
    let _agent = cluster.agent_of({
        agent.arg("--data").arg(of(other.path()));
        agent
    });
    let study = Study::new(
        &TINY.replace("set.data.limit = 640", "set.data = { limit = 640, path = \"/nowhere\", name = \"digits\" }"),
    );
    let words = "error: an agent's data \"digits\" are another dataset than this machine's: give both the same";
    for trained in [1, 2] {
        let ended = Ended::of(&mut study.run(&[option, url, "--data", &of(&here)]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
        // By the next call the other one may have ended as well.
        let goes_on = ended.stderr.contains("the cluster goes on with 1 run; what is done stays");
        assert!(goes_on || trained > 1, "{ended:?}");
        assert!(study.folder().join("tables/jobs.csv").exists() && ended.stdout.contains("plain"), "{ended:?}");
        assert!(jobs(&cluster, "completed") >= trained);
    }
}
