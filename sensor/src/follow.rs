//! `tenrec forward`: log files of a Zeek or Suricata that is already there, shipped as Filebeat ships them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use forward::Forwarder;
use spool::{Stats, Writer};
use tail::filebeat::Configuration;
use tail::{Options, Progress, Tailer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The forwarder's place in the spool.
const READER: &str = "forward";

/// How often progress is told, if there was any.
const TELL: Duration = Duration::from_secs(30);

/// How often `--once` looks whether everything is acknowledged.
const LOOK: Duration = Duration::from_millis(50);

/// Options of `tenrec forward`.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
  tenrec forward --config filebeat.yml              until it is told to end (SIGINT, SIGTERM)
  tenrec forward --config filebeat.yml --once       what is there now; ends when all of it is acknowledged
  tenrec forward --config filebeat.yml --check      says what it makes of the configuration

The configuration is Filebeat's: inputs of type `log` and `filestream`, output.logstash. What is unknown is named; what would
change what is sent (multiline, processors, …) is refused. Every whole line is sent once: renamed, truncated and deleted files,
restarts and kills included. What was read waits in --data until the collector has acknowledged it.

EXIT STATUS:
  0  told to end, or --once and everything was acknowledged
  1  the configuration is wrong, --data is in use or cannot be written, or --once and a file could not be read")]
pub(crate) struct Follow {
    /// Filebeat's configuration, YAML
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Folder for what was read and is not acknowledged; path.data of the configuration, else /var/lib/tenrec/forward
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Megabytes that may wait there; beyond, the reading waits
    #[arg(long, value_name = "MEGABYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..=16_777_216))]
    budget: u64,
    /// Send what is there now and end when it is acknowledged
    #[arg(long)]
    once: bool,
    /// Read the configuration, say what is noteworthy, and end
    #[arg(long)]
    check: bool,
}

/// Runs until SIGINT or SIGTERM, or, with `--once`, until everything is acknowledged.
pub(crate) fn run(args: Follow) -> ExitCode {
    match follow(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn follow(args: Follow) -> anyhow::Result<()> {
    let configuration = Configuration::read(&args.config)?;
    for note in &configuration.notes {
        eprintln!("tenrec: {}: {note}", args.config.display());
    }
    if args.check {
        let patterns: Vec<_> = configuration.inputs.iter().flat_map(|input| input.paths.iter().map(String::as_str)).collect();
        let hosts: Vec<_> = configuration.forward.hosts.iter().map(ToString::to_string).collect();
        println!("follows {} and sends to {}", patterns.join(", "), hosts.join(", "));
        return Ok(());
    }
    crate::service::log();
    let data = args.data.or(configuration.data).unwrap_or_else(|| PathBuf::from("/var/lib/tenrec/forward"));
    let budget = args.budget << 20;
    let mut writer = Writer::open(&data, spool::Options::with_budget(budget)).map_err(|error| unusable(&error, &data))?;
    let forwarder = Forwarder::new(configuration.forward, writer.reader(READER)?);
    writer.on_append(forwarder.waker());
    let name = configuration.name.unwrap_or_else(settings::host_name);
    // A segment or two may be written while what is read already is counted.
    let options = Options { inputs: configuration.inputs, name, most_waiting: budget / 10 * 8 };
    let tailer = Tailer::open(options, &data, writer)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("forward").enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told_to_end = async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        let (end, ended) = oneshot::channel::<()>();
        let delivery = tokio::spawn(forwarder.run(async {
            let _ = ended.await;
        }));
        let outcome = if args.once { once(tailer, told_to_end).await } else { until(tailer, told_to_end).await };
        drop(end);
        let _ = delivery.await;
        outcome
    })
}

fn unusable(error: &spool::Error, data: &Path) -> anyhow::Error {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    anyhow::anyhow!("{error}{cause}; choose another folder than {} with --data", data.display())
}

/// Follows until it is told to end.
async fn until(mut tailer: Tailer, told_to_end: impl Future<Output = ()>) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let reading = std::thread::Builder::new().name("tail".to_owned()).spawn(move || {
        let (mut at, mut told) = (Instant::now(), Progress::default());
        tailer.run(&stopped, |progress, stats| {
            if at.elapsed() >= TELL && progress != told {
                tell(progress, stats);
                (at, told) = (Instant::now(), progress);
            }
        });
    })?;
    told_to_end.await;
    stop.store(true, Ordering::Release);
    reading.thread().unpark();
    if reading.join().is_err() {
        anyhow::bail!("the reading ended unexpectedly: see the message above");
    }
    Ok(())
}

/// Reads what there is and waits until it is acknowledged.
async fn once(mut tailer: Tailer, told_to_end: impl Future<Output = ()>) -> anyhow::Result<()> {
    let everything = async {
        loop {
            let outcome;
            (tailer, outcome) = tokio::task::spawn_blocking(move || {
                let outcome = tailer.run_once();
                (tailer, outcome)
            })
            .await?;
            let progress = outcome.map_err(anyhow::Error::msg)?;
            while tailer.stats().waiting > 0 {
                tokio::time::sleep(LOOK).await;
            }
            // It had to wait for room, and there is some now.
            if !progress.waits {
                tell(progress, tailer.stats());
                return Ok(());
            }
        }
    };
    tokio::select! {
        outcome = everything => outcome,
        () = told_to_end => anyhow::bail!("ended before everything was acknowledged; what was read waits for the next start"),
    }
}

fn tell(progress: Progress, stats: Stats) {
    tracing::info!(
        files = progress.files,
        lines = progress.lines,
        left_out = progress.left_out,
        acknowledged = stats.acknowledged,
        waiting = stats.waiting,
        reading_waits_for_the_collector = progress.waits,
        "following"
    );
}
