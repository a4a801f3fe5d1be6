//! `study report` with the real binary, and its page in a real browser: no figure is broken, nothing is cut off, at the
//! width of a desktop and of a telephone.

mod lockstep;
#[expect(dead_code, reason = "the study's own tests change more of it")]
#[path = "../study/tests/report/synthetic.rs"]
mod synthetic;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use lockstep::process::Ended;
use lockstep::{lockstep as binary, names};

fn report(folder: &Path) -> Ended {
    Ended::of(binary(["study", "report"]).arg(folder))
}

#[test]
fn a_report_lies_in_the_study_s_folder() {
    let folder = tempfile::tempdir().unwrap();
    synthetic::edge().write(folder.path());
    let said = report(folder.path()).success();
    assert!(said.contains("report.html (2 figures; report.md and figures/ beside it)"), "{said}");
    assert!(said.contains("not asked for: accuracy, variants, gap, steps-to-target, "), "{said}");
    assert_eq!(names(folder.path()), ["figures", "report.html", "report.md", "study.json", "study.toml", "tables"]);
}

#[test]
fn what_is_no_study_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    report(folder.path()).is_refused_with(&["study.json is missing", "`lockstep study run STUDY.toml` makes one"]);
    synthetic::edge().write(folder.path());
    std::fs::write(folder.path().join("tables/jobs.csv"), "job,cell\n1\n").unwrap();
    report(folder.path()).is_refused_with(&["tables/jobs.csv: line 2: 1 fields, where the first line names 2"]);
}

/// What is wrong with a page at the width it has: in words, sent to the page around it.
const LOOK: &str = r#"<script>
addEventListener('load', () => {
  const wrong = [];
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) wrong.push('the page is ' + page.scrollWidth + ' wide');
  const shown = [...document.querySelectorAll('svg')].filter(svg => getComputedStyle(svg).display !== 'none');
  for (const svg of shown) {
    const name = svg.querySelector('title').id, box = svg.getBoundingClientRect();
    if (box.width < 200 || box.height < 100 || box.right > innerWidth) wrong.push(name + ': box ' + JSON.stringify(box));
    const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    if (!texts.length) wrong.push(name + ' has no words');
    if (13 * box.width / svg.viewBox.baseVal.width < 11) wrong.push(name + ': words are too small');
    texts.forEach(([a, of_a], i) => {
      if (of_a.left < box.left - 1 || of_a.right > box.right + 1) wrong.push(name + ': "' + a + '" is cut off');
      for (const [b, of_b] of texts.slice(i + 1)) {
        const [across, down] = [Math.min(of_a.right, of_b.right) - Math.max(of_a.left, of_b.left),
                                Math.min(of_a.bottom, of_b.bottom) - Math.max(of_a.top, of_b.top)];
        if (across > 1 && down > 3) wrong.push(name + ': "' + a + '" lies on "' + b + '"');
      }
    });
  }
  parent.postMessage(location.hash + ' ' + innerWidth + ' ' + shown.length + ' ' + wrong.join('; '), '*');
});
</script></head>"#;

/// Browsers that can print a page as it is after its scripts.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[test]
fn no_figure_is_broken_in_a_browser() {
    let there = |name: &&&str| Command::new(**name).arg("--version").output().is_ok_and(|said| said.status.success());
    let Some(browser) = BROWSERS.iter().find(there) else {
        // Straight to the stream: what a passing test prints is otherwise not shown.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no_figure_is_broken_in_a_browser: none of {} is installed",
            BROWSERS.join(", ")
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let studies = [synthetic::gap(0.008), synthetic::critical_batch(), synthetic::ratio(), synthetic::edge()]
        .into_iter()
        .enumerate();
    let mut frames = String::new();
    for (number, study) in studies {
        let study_folder = folder.path().join(number.to_string());
        study.write(&study_folder);
        report(&study_folder).success();
        let page = study_folder.join("report.html");
        let text = std::fs::read_to_string(&page).unwrap().replacen("</head>", LOOK, 1);
        std::fs::write(&page, text).unwrap();
        for width in [390, 1280] {
            frames +=
                &format!("<iframe width=\"{width}\" height=\"800\" src=\"{number}/report.html#{number}\"></iframe>");
        }
    }
    let around = "<pre id=\"said\"></pre><script>addEventListener('message', told => {\
                  document.getElementById('said').append('TOLD ' + told.data + '\\n')})</script>";
    let page = folder.path().join("all.html");
    std::fs::write(&page, format!("<!DOCTYPE html><meta charset=\"utf-8\">{around}{frames}")).unwrap();
    let said = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("browser").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let told: Vec<&str> = said.lines().filter_map(|line| line.split_once("TOLD #").map(|told| told.1)).collect();
    assert_eq!(told.len(), 8, "each page at each width: {said}");
    for line in told {
        // Number, width, figures, what is wrong.
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        assert!(["390", "1280"].contains(&parts[1]), "{line}");
        assert!(parts[2].parse::<u32>().unwrap() >= 2, "{line}");
        assert_eq!(parts[3].trim(), "", "{line}");
    }
}
