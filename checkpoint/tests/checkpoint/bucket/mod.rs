//! Checkpoints in a bucket, over real HTTP on loopback: the same promises as in a folder.

mod server;

use lockstep_checkpoint::{Error, Place, Wanted};

use crate::kill::killed;
use crate::{name, newest, snapshot, wanted};
use server::Server;

const PLACE: &str = "s3://bucket/runs/a";

fn open(server: &Server) -> Place {
    Place::open_with(PLACE, server.variables().into_iter()).unwrap()
}

fn keys(server: &Server) -> Vec<String> {
    let bucket = server.bucket.lock().unwrap();
    bucket.objects.keys().map(|key| key.strip_prefix("runs/a/").unwrap_or(key).to_owned()).collect()
}

fn both(step: u64) -> [String; 2] {
    ["checkpoint.json", "state.safetensors"].map(|file| format!("{}/{file}", name(step, 1)))
}

#[test]
fn the_newest_is_found_and_read_back() {
    let server = Server::start();
    let place = open(&server);
    assert_eq!(newest(&place), (None, 0));
    place.check_writable().unwrap();
    assert_eq!(keys(&server), [""; 0]);
    for step in [1, 2] {
        assert!(place.write(&snapshot(step, 1)).unwrap().bytes > 120_000);
    }
    assert_eq!(place.write(&snapshot(2, 3)).unwrap().bytes, 0);
    assert_eq!(keys(&server), [both(1), both(2)].concat());
    assert_eq!(newest(&place), (Some(name(2, 1)), 0));
    assert_eq!(place.read(name(2, 1)).unwrap(), snapshot(2, 1));
    place.remove(name(2, 1)).unwrap();
    assert_eq!(keys(&server), both(1));
    let foreign = place.newest(&Wanted { model: "lenet5".into(), ..wanted() });
    assert!(matches!(foreign, Err(Error::Foreign { .. })));
}

#[test]
fn damaged_ones_are_set_aside_and_halves_passed_over() {
    let server = Server::start();
    let place = open(&server);
    for step in 1..=4 {
        place.write(&snapshot(step, 1)).unwrap();
    }
    let change = |key: &str, change: &dyn Fn(&mut Vec<u8>)| {
        change(server.bucket.lock().unwrap().objects.get_mut(&format!("runs/a/{key}")).unwrap());
    };
    let [manifest, _] = both(4);
    server.bucket.lock().unwrap().objects.remove(&format!("runs/a/{manifest}"));
    change(&both(3)[1], &|bytes| bytes[70_000] ^= 1);
    change(&both(2)[0], &|bytes| bytes.truncate(100));
    let found = place.newest(&wanted()).unwrap();
    assert_eq!(found.newest.map(|(name, _)| name), Some(name(1, 1)));
    assert_eq!(found.remarks.len(), 2, "{:?}", found.remarks);
    let aside = [both(2), both(3)].concat().into_iter().map(|key| format!("damaged-{key}"));
    let stay = both(1).into_iter().chain([both(4)[1].clone()]);
    assert_eq!(keys(&server), aside.chain(stay).collect::<Vec<_>>());

    // A day later the half is a leftover.
    server.bucket.lock().unwrap().modified = "2020-01-01T00:00:00.000Z".into();
    assert_eq!(newest(&place), (Some(name(1, 1)), 0));
    assert_eq!(keys(&server).len(), 6);
}

#[test]
fn a_full_or_forbidden_bucket_is_told() {
    let server = Server::start();
    let place = open(&server);
    let quota = place.clone().with_quota(1000);
    assert!(quota.write(&snapshot(1, 1)).unwrap_err().is_full());
    server.bucket.lock().unwrap().full = true;
    let error = place.write(&snapshot(1, 1)).unwrap_err();
    assert!(error.is_full(), "{error}");
    server.bucket.lock().unwrap().forbidden = true;
    for error in [place.check_writable().unwrap_err(), place.newest(&wanted()).unwrap_err()] {
        assert!(matches!(error, Error::Bucket { .. }), "{error}");
        assert!(error.to_string().contains("403"), "{error}");
    }
}

#[test]
fn a_process_killed_at_any_point_leaves_the_last_whole_one() {
    for (fault, found) in [
        ("after-state:2", Some(1)),
        ("half-manifest:1", None),
        ("before-rename:2", Some(1)),
        ("after-rename:2", Some(2)),
        ("before-delete:1", Some(2)),
        ("half-delete:1", Some(2)),
    ] {
        let server = Server::start();
        let place = open(&server);
        assert!(killed(PLACE, server.variables(), &format!("checkpoint:{fault}")), "{fault}");
        assert_eq!(newest(&place), (found.map(|step| name(step, 1)), 0), "{fault}");
        assert!(!killed(PLACE, server.variables(), ""), "{fault}");
        assert_eq!(newest(&place), (Some(name(2, 1)), 0), "{fault}");
        assert!(both(2).iter().all(|key| keys(&server).contains(key)), "{fault}: {:?}", keys(&server));
    }
}

#[test]
fn no_place_and_no_task_is_an_error() {
    for text in ["s3://", "s3://b/x", "s3://Bucket/x", "s3://bucket/x//y", "s3://bucket/../x"] {
        assert!(matches!(Place::open(text), Err(Error::Place { .. })), "{text}");
    }
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { open(&server).list() }).unwrap_err();
    assert!(error.to_string().contains("not for tasks"), "{error}");
}
