//! `study run`: recipe → plan → runs, many at a time → tables.

use anyhow::{Error, Result};
use lockstep_coordinator::client::{self, Client, exit};
use lockstep_proto::job::{self, Cluster};
use lockstep_study::grid::{Grid, Settings};
use lockstep_study::plan::{Known, Planner, Survey};
use lockstep_study::recipe::RecipeFile;
use lockstep_study::table::{StudyFolder, fingerprints};
use lockstep_worker::datasets::NamedFolder;
use tokio::runtime::Runtime;

use super::cells;
use super::cluster::OnCluster;
use super::folder::{self, OpenFolder};
use super::here::Here;
use super::machine::{Machine, fingerprint};
use super::pool::{Ended, Pool};
use super::progress::{Progress, View};
use super::shelf::{Foreign, Own, Shelf};
use crate::arguments::StudyRun;
use crate::device::{self, Offered};
use crate::embedded::Signals;
use crate::{command_words, print, recipe_name};

/// Trains a study; returns the exit code.
///
/// # Errors
/// If recipe or folder can't be used, or this machine lacks something.
pub fn run(arguments: &StudyRun) -> Result<u8> {
    let file = RecipeFile::read(&arguments.recipe)?;
    let settings = Settings { environment: job::environment(), overrides: arguments.set.clone() };
    let mut machine = Machine::new(arguments);
    let grid = Grid::new(file, &settings, &mut |job| machine.look(job))?;
    let mut planner = Planner::new(grid);
    let out = arguments.out.clone().unwrap_or_else(|| folder::default_folder(&recipe_name(&arguments.recipe)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let place = Place::of(arguments, planner.grid().cluster(), &runtime)?;
    let own = place.own(planner.grid().cluster())?;
    if arguments.dry_run {
        machine.assumed.iter().for_each(|line| eprintln!("{line}"));
        return dry_run(&folder::of(&out)?, own, planner, arguments);
    }
    // Nobody else works in it from here on: what is read stays true.
    let folder = OpenFolder::open(&out)?;
    folder::check_recipe(&folder.files, &mut planner, arguments.changed)?;
    let (shelf, survey) = Shelf::of(folder.files.clone(), own, policy(arguments), &mut planner)?;
    shelf.check_withheld()?;
    if let Some(told) = shelf.mixed_told() {
        eprintln!("{told}");
    }
    std::fs::write(folder.files.recipe(), &planner.grid().file.text)?;
    folder.write(&mut planner, &survey, &shelf)?;
    let view = View::of(arguments.quiet, arguments.json);
    let progress = Progress::new(view, &planner.grid().cells);
    let pool = Pool::new(&folder, planner, shelf, progress);
    let ended = runtime.block_on(train(pool, place, arguments.data.clone()))?;
    finish(&folder, arguments, ended)
}

/// Where runs are trained.
enum Place {
    /// With what this machine has.
    Here(Offered),
    /// By this coordinator.
    Cluster(Client),
}

impl Place {
    fn of(arguments: &StudyRun, cluster: &Cluster, runtime: &Runtime) -> Result<Self> {
        match &arguments.coordinator {
            Some(url) => Ok(Self::Cluster(runtime.block_on(client::connect(url))?)),
            None => Ok(Self::Here(device::offered(cluster.device, None)?)),
        }
    }

    fn own(&self, cluster: &Cluster) -> Result<Own> {
        match self {
            Self::Here(offered) => Ok(Own::Machine(fingerprint(offered, cluster.libraries)?)),
            Self::Cluster(_) => Ok(Own::First(None)),
        }
    }
}

/// Trains what there is to train.
async fn train(mut pool: Pool<'_>, place: Place, data: Vec<NamedFolder>) -> Result<Ended> {
    if !pool.is_open() {
        return Ok(pool.end(None));
    }
    let signals = Signals::listen()?;
    let trained = match place {
        Place::Here(offered) => {
            let here = Here::start(pool.grid(), pool.files(), &offered, data).await?;
            pool.train(here, signals).await
        }
        Place::Cluster(client) => {
            let cluster = OnCluster::new(client, pool.files(), pool.grid().cluster().clone())?;
            let trained = pool.train(cluster, signals).await;
            pool.leave_running();
            trained
        }
    };
    Ok(pool.end(trained.err()))
}

/// Lists what there is to train. The folder is only looked at.
fn dry_run(files: &StudyFolder, own: Own, mut planner: Planner, arguments: &StudyRun) -> Result<u8> {
    folder::check_recipe(files, &mut planner, arguments.changed)?;
    let (shelf, survey) = Shelf::of(files.clone(), own, policy(arguments), &mut planner)?;
    shelf.check_withheld()?;
    cells::outlook(&planner, &survey, shelf.known(), arguments.json)?;
    Ok(exit::COMPLETED)
}

fn policy(arguments: &StudyRun) -> Foreign {
    match (arguments.mixed, arguments.again) {
        (true, _) => Foreign::Mix,
        (false, true) => Foreign::Again,
        (false, false) => Foreign::Keep,
    }
}

/// Writes tables, tells what came out.
fn finish(folder: &OpenFolder, arguments: &StudyRun, ended: Ended) -> Result<u8> {
    let Ended { mut planner, shelf, failed, stopped, go_on, broken } = ended;
    let known = shelf.known();
    let survey = planner.survey(known);
    folder.write(&mut planner, &survey, &shelf)?;
    tell(&planner, &survey, known, arguments)?;
    remark(&planner, &survey, known);
    if let Some(error) = broken {
        return Err(left(error, go_on));
    }
    if let Some((key, reason)) = failed.first() {
        let more = if failed.len() > 1 { format!(" and {} more", failed.len() - 1) } else { String::new() };
        eprintln!("error: run {key}{more} failed: {reason}; the same command tries again");
        return Ok(exit::FAILED);
    }
    if stopped {
        let left = goes_on(go_on).map_or_else(String::new, |left| format!("{left}; "));
        let words = command_words().skip(1).collect::<Vec<_>>().join(" ");
        eprintln!("stopped; {left}what is done stays, and the same command goes on: lockstep {words}");
        return Ok(exit::INTERRUPTED);
    }
    // Some may have come to light on the way.
    shelf.check_withheld()?;
    Ok(exit::COMPLETED)
}

/// An error, after what it leaves.
fn left(error: Error, go_on: usize) -> Error {
    if let Some(left) = goes_on(go_on) {
        eprintln!("{left}; what is done stays, and the same command goes on");
    }
    error
}

/// That the cluster goes on with so many runs, if there are any.
fn goes_on(runs: usize) -> Option<String> {
    match runs {
        0 => None,
        1 => Some("the cluster goes on with 1 run".to_owned()),
        many => Some(format!("the cluster goes on with {many} runs")),
    }
}

/// Tells what of a study's cells people should know.
fn remark(planner: &Planner, survey: &Survey, known: &Known) {
    for (cell, standing) in planner.grid().cells.iter().zip(&survey.cells) {
        if standing.interior == Some(false) {
            eprintln!("{}: {}: move tuning.learning_rates, or raise tuning.extend", cell.id, standing.remark);
        }
    }
    let prints = fingerprints(survey, known);
    if prints.len() > 1 {
        eprintln!(
            "runs of {} fingerprints are mixed; the column `fingerprint` of jobs.csv tells them apart",
            prints.len()
        );
    }
}

fn tell(planner: &Planner, survey: &Survey, known: &Known, arguments: &StudyRun) -> Result<()> {
    if arguments.json {
        cells::print_json(planner, survey, known)
    } else {
        print(&cells::table(planner, survey, known))
    }
}
