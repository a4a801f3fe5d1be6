//! Samples that are as they were prepared, by all checksums, and that no decoder reads.

use std::fs;
use std::path::Path;

use lockstep_dataset::manifest::{Hash, MANIFEST, Manifest, Record, TABLES};

/// Makes samples of a prepared split such as no decoder reads, as if they had been prepared so: their checksums are right.
pub fn spoil(split: &Path, samples: &[u64]) {
    let (text, mut tables) = (fs::read(split.join(MANIFEST)).unwrap(), fs::read(split.join(TABLES)).unwrap());
    let (mut manifest, _) = Manifest::decode(&text).unwrap();
    for shard in &mut manifest.shards {
        let mut tar = fs::read(split.join(&shard.name)).unwrap();
        let own = shard.first_sample..shard.first_sample + u64::from(shard.samples);
        for sample in samples.iter().filter(|sample| own.contains(sample)) {
            let bytes: &mut [u8; Record::BYTES] = &mut tables.as_chunks_mut().0[*sample as usize];
            let record = Record::decode(bytes);
            let image = &mut tar[record.offset() as usize..][..record.length as usize];
            // Whole, but for the pixels at its end.
            let end = image.len() - 60;
            image[end..].fill(0);
            *bytes = Record { crc32: crc32fast::hash(image), ..record }.encode();
        }
        let table = own.start as usize * Record::BYTES..own.end as usize * Record::BYTES;
        (shard.blake3, shard.table_blake3) = (Hash::of(&tar), Hash::of(&tables[table]));
        fs::write(split.join(&shard.name), tar).unwrap();
    }
    fs::write(split.join(TABLES), tables).unwrap();
    fs::write(split.join(MANIFEST), manifest.encode().unwrap()).unwrap();
}
