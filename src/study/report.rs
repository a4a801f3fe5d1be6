//! `study report DIR`.

use anyhow::Result;
use lockstep_coordinator::client::exit;
use lockstep_study::report::{Report, ReportError};

use crate::arguments::StudyReport;
use crate::{BadInput, print};

/// Writes a study's report into its folder, and says where it is and what is to be known of it.
///
/// # Errors
/// If there is no study, its tables are not what they should be, or nothing can be written.
pub fn report(arguments: &StudyReport) -> Result<u8> {
    let report = Report::of(&arguments.folder).map_err(told)?;
    let page = report.write(&arguments.folder).map_err(told)?;
    for remark in &report.remarks {
        print(&format!("{remark}\n"))?;
    }
    let figures = if report.figures == 1 { "1 figure".into() } else { format!("{} figures", report.figures) };
    print(&format!("{} ({figures}; report.md and figures/ beside it)\n", page.display()))?;
    Ok(exit::COMPLETED)
}

fn told(error: ReportError) -> anyhow::Error {
    if error.is_bad_input() { BadInput::from_display(error).into() } else { error.into() }
}
