//! `study run`: recipe → plan → runs, many at a time → tables.

use anyhow::Result;
use lockstep_coordinator::client::exit;
use lockstep_proto::job;
use lockstep_study::grid::{Grid, Settings};
use lockstep_study::plan::{Known, Planner, Survey};
use lockstep_study::recipe::RecipeFile;
use lockstep_study::table::{StudyFolder, fingerprints};

use super::cells;
use super::folder::{self, OpenFolder, Remembered};
use super::machine::{Machine, fingerprint};
use super::pool::{self, Ended, Pool};
use super::progress::{Progress, View};
use crate::arguments::StudyRun;
use crate::{BadInput, device, print, recipe_name};

/// Trains a study; returns the exit code.
///
/// # Errors
/// If recipe or folder can't be used, or this machine lacks something.
pub fn run(arguments: &StudyRun) -> Result<u8> {
    let file = RecipeFile::read(&arguments.recipe)?;
    let settings = Settings { environment: job::environment(), overrides: arguments.set.clone() };
    let mut machine = Machine::default();
    let grid = Grid::new(file, &settings, &mut |job| machine.look(job))?;
    let mut planner = Planner::new(grid);
    let out = arguments.out.clone().unwrap_or_else(|| folder::default_folder(&recipe_name(&arguments.recipe)));
    let files = folder::of(&out)?;
    folder::check_recipe(&files, &mut planner, arguments.changed)?;
    let cluster = planner.grid().cluster().clone();
    let offered = device::offered(cluster.device, None)?;
    let own = fingerprint(&offered, cluster.libraries)?;
    let mut remembered = folder::remember(&files, &mut planner, &own)?;
    let mixed = judge_foreign(&files, arguments, &mut remembered)?;
    if arguments.dry_run {
        let survey = planner.survey(&remembered.known);
        return cells::outlook(&planner, &survey, &remembered.known, arguments.json).map(|()| exit::COMPLETED);
    }
    mixed.iter().for_each(|line| eprintln!("{line}"));
    let folder = OpenFolder::open(&out)?;
    std::fs::write(folder.files.recipe(), &planner.grid().file.text)?;
    let survey = planner.survey(&remembered.known);
    folder.write(&mut planner, &survey, &remembered.known)?;
    let view = View::of(arguments.quiet, arguments.json);
    let progress = Progress::new(view, &planner.grid().cells);
    let pool = Pool::new(&folder, planner, remembered, offered, progress);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(pool::train(pool))?;
    finish(&folder, arguments, ended)
}

/// Finished runs of another build or device are neither used nor thrown away unless the user says which. Gives a line
/// about those that are used.
fn judge_foreign(files: &StudyFolder, arguments: &StudyRun, remembered: &mut Remembered) -> Result<Option<String>> {
    let count = remembered.foreign.len();
    let example = remembered.foreign.first().and_then(|key| remembered.known.get(key));
    let Some(other) = example.map(|outcome| outcome.fingerprint.clone()) else { return Ok(None) };
    let shown = files.0.display();
    let told =
        format!("{shown}: {count} finished runs have another fingerprint than this program on this machine ({other})");
    if arguments.mixed {
        return Ok(Some(format!("{told}: they are used, and marked in the tables")));
    }
    if arguments.again {
        for key in remembered.foreign.drain(..) {
            remembered.known.remove(&key);
        }
        return Ok(None);
    }
    Err(BadInput(format!(
        "{told}: add --again to train them again, --mixed to go on with them, or choose another --out"
    ))
    .into())
}

/// Writes tables, tells what came out.
fn finish(folder: &OpenFolder, arguments: &StudyRun, ended: Ended) -> Result<u8> {
    let Ended { mut planner, known, failed, stopped } = ended;
    let survey = planner.survey(&known);
    folder.write(&mut planner, &survey, &known)?;
    tell(&planner, &survey, &known, arguments)?;
    for (cell, standing) in planner.grid().cells.iter().zip(&survey.cells) {
        if standing.interior == Some(false) {
            eprintln!("{}: {}: move tuning.learning_rates, or raise tuning.extend", cell.id, standing.remark);
        }
    }
    let prints = fingerprints(&survey, &known);
    if prints.len() > 1 {
        eprintln!(
            "runs of {} fingerprints are mixed; the column `fingerprint` of jobs.csv tells them apart",
            prints.len()
        );
    }
    if let Some((key, reason)) = failed.first() {
        let more = if failed.len() > 1 { format!(" and {} more", failed.len() - 1) } else { String::new() };
        eprintln!("error: run {key}{more} failed: {reason}; the same command tries again");
        return Ok(exit::FAILED);
    }
    if stopped {
        let words: Vec<String> = std::env::args().skip(1).collect();
        eprintln!("stopped; what is done stays, and the same command goes on: lockstep {}", words.join(" "));
        return Ok(exit::INTERRUPTED);
    }
    Ok(exit::COMPLETED)
}

fn tell(planner: &Planner, survey: &Survey, known: &Known, arguments: &StudyRun) -> Result<()> {
    if arguments.json {
        cells::print_json(planner, survey, known)
    } else {
        print(&cells::table(planner, survey, known))
    }
}
