//! Reports of synthetic studies: known truths are found, nulls are told as nulls, bad folders are refused in one line,
//! pictures are whole.

mod synthetic;

use lockstep_study::report::Report;

#[test]
#[ignore]
fn write_all() {
    let folder = std::path::PathBuf::from(std::env::var("OUT").unwrap());
    for (name, study) in [
        ("gap", synthetic::gap(0.008)),
        ("critical", synthetic::critical_batch()),
        ("ratio", synthetic::ratio()),
        ("edge", synthetic::edge()),
    ] {
        let folder = folder.join(name);
        study.write(&folder);
        let report = Report::of(&folder).unwrap();
        report.write(&folder).unwrap();
        println!("{name}: {} figures, {:?}", report.figures, report.remarks);
    }
}
