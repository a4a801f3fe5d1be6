//! Manifests of anybody: no panic, and what is taken for one has a place for each of its samples.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_dataset::manifest::Manifest;

fuzz_target!(|text: &[u8]| {
    if let Ok((manifest, _)) = Manifest::decode(text) {
        for sample in [0, manifest.samples / 2, manifest.samples - 1] {
            let location = manifest.locate(sample);
            assert!(location.index < manifest.shards[location.shard].samples);
        }
    }
});
