//! `tenrec probe`: every link to the collector, tried once.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use settings::Settings;
use settings::appliance::{Link, Outcome};

/// Options of `tenrec probe`.
#[derive(Args)]
#[command(
    after_help = "Each link is tried step by step with the code that delivers: that the files can be read, the name, the port, TLS and
its certificates, user and password, the clocks, Arkime's database, and a test record (the notice Tenrec::Probe, and
this sensor's line in arkime_stats). Changes nothing here. The sensor need not run.

EXIT STATUS:
  0  every link works
  1  a link does not; its first step marked FAILED says what to do
  2  the settings are wrong, or name no collector"
)]
pub(crate) struct Probe {
    /// Settings file; /etc/tenrec/tenrec.toml if it is there, else the defaults
    #[arg(long, short, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Write the links as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Probe, settings: &Settings) -> ExitCode {
    let links = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(forward::probe(settings)),
        Err(error) => {
            eprintln!("tenrec: no threads to be had: {error}");
            return ExitCode::FAILURE;
        }
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&links).unwrap_or_default());
    } else if links.is_empty() {
        eprintln!("tenrec: no collector is named: set forward.enabled and forward.hosts, or opensearch.enabled and opensearch.hosts");
        return ExitCode::from(2);
    } else {
        print!("{}", describe(&links));
    }
    if links.iter().all(Link::works) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn describe(links: &[Link]) -> String {
    let mut out = String::new();
    for link in links {
        out.push_str(&format!("{} {}\n", link.name, link.address));
        for step in &link.steps {
            let outcome = match step.outcome {
                Outcome::Good => "good",
                Outcome::Doubtful => "doubtful",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            out.push_str(&format!("  {:<12} {outcome:<9} {}\n", step.name, step.words));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use settings::appliance::Step;

    use super::*;

    #[test]
    fn a_link_is_a_line_and_its_steps_stand_below() {
        let step = Step { name: "port".to_owned(), outcome: Outcome::Failed, words: "nothing listens".to_owned() };
        let link = Link { name: "logs".to_owned(), address: "h:5044".to_owned(), steps: vec![step] };
        assert_eq!(describe(&[link]), "logs h:5044\n  port         FAILED    nothing listens\n");
    }
}
