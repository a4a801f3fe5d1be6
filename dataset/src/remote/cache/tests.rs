//! Caches: what is kept, what makes room, and what is nobody's.

use std::io::Read;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A cache of up to three shards.
fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path().join("data"), 3000).unwrap();
    (folder, cache)
}

fn content(number: u8) -> Vec<u8> {
    vec![number; 1000]
}

fn shard(number: u8) -> Shard {
    let hash = Hash::of(&content(number));
    Shard { name: format!("{number}.tar"), bytes: 1000, blake3: hash, first_sample: 0, samples: 1, table_blake3: hash }
}

fn bring(cache: &Cache, number: u8, is_worth_it: bool, next_use: &dyn Fn(&str) -> Option<usize>) -> bool {
    let Some(mut draft) = cache.draft(&shard(number), is_worth_it, next_use).unwrap() else { return false };
    content(number).chunks(300).for_each(|part| draft.write(part).unwrap());
    draft.publish().unwrap().is_none()
}

/// Of the shards of these numbers, the first needed first.
fn needed(numbers: &[u8]) -> impl Fn(&str) -> Option<usize> {
    let hashes: Vec<String> = numbers.iter().map(|number| shard(*number).blake3.to_string()).collect();
    move |hash| hashes.iter().position(|needed| needed == hash)
}

fn kept(cache: &Cache) -> Vec<u8> {
    (0..10).filter(|number| cache.has(&shard(*number))).collect()
}

#[test]
fn what_is_brought_is_read() {
    let (_folder, cache) = cache();
    assert!(cache.get(&shard(1)).is_none());
    assert!(bring(&cache, 1, false, &|_| None));
    let mut bytes = Vec::new();
    cache.get(&shard(1)).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, content(1));
    assert!(!bring(&cache, 1, true, &|_| None), "it is there");
    cache.forget(&shard(1));
    assert!(cache.get(&shard(1)).is_none());
}

#[test]
fn what_is_needed_later_makes_room_for_what_is_needed_sooner() {
    let (_folder, cache) = cache();
    let next_use = needed(&[4, 1, 5, 3, 2]);
    assert!([1, 2, 3].iter().all(|number| bring(&cache, *number, false, &next_use)));
    assert!(!bring(&cache, 4, false, &next_use), "it is not worth it");
    assert!(bring(&cache, 4, true, &next_use));
    assert_eq!(kept(&cache), [1, 3, 4]);
    assert!(!bring(&cache, 6, true, &next_use), "all others are needed sooner");
    assert!(bring(&cache, 5, true, &next_use));
    assert_eq!(kept(&cache), [1, 4, 5]);
    // Nobody is known to need 7 to 9: the one that was used longest ago goes first.
    let other = needed(&[7, 8]);
    let age = |number: u8, seconds| {
        let file = File::options().append(true).open(cache.path(&shard(number).blake3)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    [(1, 10), (4, 30), (5, 20)].into_iter().for_each(|(number, seconds)| age(number, seconds));
    assert!(bring(&cache, 7, true, &other) && bring(&cache, 8, true, &other));
    assert_eq!(kept(&cache), [1, 7, 8]);
}

#[test]
fn what_is_read_stays() {
    let (_folder, cache) = cache();
    assert!([1, 2, 3].iter().all(|number| bring(&cache, *number, false, &|_| None)));
    let held = [1, 2].map(|number| cache.get(&shard(number)).unwrap());
    assert!(bring(&cache, 4, true, &needed(&[4])));
    assert_eq!(kept(&cache), [1, 2, 4]);
    let all = [1, 2, 4].map(|number| cache.get(&shard(number)).unwrap());
    drop(held);
    assert!(!bring(&cache, 5, true, &needed(&[5])), "all are read");
    drop(all);
    assert!(bring(&cache, 5, true, &needed(&[5])));
}

#[test]
fn one_brings_a_shard_at_a_time_and_a_dead_ones_part_is_nobodys() {
    let (_folder, cache) = cache();
    let draft = cache.draft(&shard(1), false, &|_| None).unwrap().unwrap();
    assert!(cache.draft(&shard(1), false, &|_| None).unwrap().is_none(), "it is on its way");
    // Its room is taken already.
    assert!(bring(&cache, 2, false, &|_| None) && bring(&cache, 3, false, &|_| None));
    assert!(!bring(&cache, 4, false, &|_| None));
    drop(draft);
    assert!(bring(&cache, 4, false, &|_| None));
    let part = cache.path(&shard(5).blake3).with_extension(PART);
    fs::write(&part, vec![0; 5000]).unwrap();
    cache.forget(&shard(4));
    assert!(bring(&cache, 6, false, &|_| None));
    assert!(!part.exists());
}

#[test]
fn another_shard_than_it_should_be_is_not_kept() {
    let (_folder, cache) = cache();
    let mut draft = cache.draft(&shard(1), false, &|_| None).unwrap().unwrap();
    draft.write(&content(2)).unwrap();
    assert_eq!(draft.publish().unwrap(), Some(Hash::of(&content(2))));
    assert!(kept(&cache).is_empty());
    assert_eq!(fs::read_dir(cache.folder.join("shards")).unwrap().count(), 0);
    // A shard that somebody has cut is none.
    assert!(bring(&cache, 1, false, &|_| None));
    File::options().write(true).open(cache.path(&shard(1).blake3)).unwrap().set_len(999).unwrap();
    assert!(cache.get(&shard(1)).is_none());
    // One that is larger than the cache has no place.
    let large = Shard { bytes: 4000, ..shard(7) };
    assert!(cache.draft(&large, true, &|_| None).unwrap().is_none());
}
