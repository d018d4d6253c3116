//! How long work is doing: the steps, and the page of work that is no part of the setup.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use settings::appliance;

use crate::frame::Frame;
use crate::machine::Machine;

/// The steps of a job.
#[derive(Template, Default)]
#[template(path = "job.html")]
pub(crate) struct View {
    pub(crate) over: bool,
    pub(crate) error: String,
    pub(crate) remarks: Vec<String>,
    steps: Vec<Row>,
}

struct Row {
    state: &'static str,
    what: String,
    percent: String,
    remark: String,
}

impl View {
    /// Of what the appliance says.
    pub(crate) fn of(job: appliance::Job) -> Self {
        let (last, failed) = (job.steps.len().saturating_sub(1), !job.error.is_empty());
        let remarks = job.steps.iter().map(|step| step.remark.clone()).filter(|remark| !remark.is_empty()).collect();
        let steps = job.steps.into_iter().enumerate().map(|(at, step)| {
            let running = at == last && !job.over;
            let state = match (running, at == last && failed) {
                (true, _) => "current",
                (_, true) => "bad",
                _ => "done",
            };
            let percent = job.fraction.filter(|_| running).map(|part| format!("{:.0}", part.clamp(0.0, 1.0) * 100.0));
            Row { state, what: step.what, percent: percent.unwrap_or_default(), remark: step.remark }
        });
        let steps = steps.collect();
        Self { over: job.over, error: job.error, remarks, steps }
    }
}

/// A page with the steps of a job and, when it is over, where to go.
#[derive(Template)]
#[template(path = "setup/job.html")]
pub(crate) struct Page {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    pub(crate) job: View,
    pub(crate) note: String,
    pub(crate) links: Vec<(&'static str, &'static str)>,
}

/// The job that runs, or ran last.
pub(crate) async fn page(machine: Machine) -> Response {
    let job = match machine.job().await {
        Ok(job) => job,
        Err(response) => return response,
    };
    let (title, links) = match job.name.as_str() {
        "update" | "fetch" => ("Update", vec![("/system/updates", "Updates"), ("/system/power", "Start again")]),
        "install" => ("Installation", vec![("/system/power", "Start again")]),
        _ => ("Applying the settings", vec![("/settings", "Settings"), ("/", "Status")]),
    };
    super::render(StatusCode::OK, &Page { frame: machine.frame, title, job: View::of(job), note: String::new(), links })
}

#[cfg(test)]
mod tests {
    use settings::appliance::{Job, JobStep};

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_page_asks_again_until_the_job_is_over_and_tells_why_it_failed() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let step = |what: &str| JobStep { what: what.to_owned(), ..JobStep::default() };
        site.world().job(Job {
            name: "update".into(),
            steps: vec![step("verified"), step("writing")],
            fraction: Some(0.25),
            ..Job::default()
        });
        let page = browser.get("/job").await;
        assert!(page.body.contains("http-equiv=\"refresh\"") && page.body.contains("value=\"25\""), "{}", page.body);
        site.world().job(Job {
            name: "update".into(),
            steps: vec![step("verified")],
            over: true,
            error: "the signature is wrong".into(),
            ..Job::default()
        });
        let page = browser.get("/job").await;
        assert!(!page.body.contains("http-equiv=\"refresh\"") && page.body.contains("the signature is wrong"), "{}", page.body);
    }
}
