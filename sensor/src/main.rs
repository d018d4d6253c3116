//! The command line `tenrec`.

mod collect;
mod find;
mod follow;
mod probe;
mod service;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use analyze::log::{Format, Profile};
use analyze::{Carve, Options};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tenrec::read::{self, Job};

/// Rules left out that are told one by one.
const MOST_REFUSED: usize = 20;

#[derive(Parser)]
#[command(
    name = "tenrec",
    version,
    about = "A network sensor: captures packets, analyses them, carves and scans files, forwards logs",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Analyse captures and write logs, sessions and files into a folder
    Read(Read),
    /// Capture, analyse, write and deliver, until it is told to end
    Run(Settings),
    /// Find packets in the captures that the sensor has written
    Pcap(find::Pcap),
    /// Answer Arkime's central viewer and the web UI with packets, until it is told to end
    Viewer(view::View),
    /// Ask the running daemon how it is
    Status(Status),
    /// Say what is wrong with the settings
    Check(Settings),
    /// Try every link to the collector once, and say in plain words what fails
    Probe(probe::Probe),
    /// Write the default settings to standard output, each explained
    Settings,
    /// Follow log files of other programs and forward their lines, as Filebeat does with the same configuration
    Forward(follow::Follow),
    /// Receive what sensors forward, for demonstrations and small sites
    Collector(collect::Collect),
    /// Scan carved files; started by `run`
    #[command(name = tenrec::run::scanning::COMMAND, hide = true)]
    Scan(scan::Arguments),
    /// Put interfaces back when standard input ends; started by `run`
    #[command(name = tenrec::capture::keeper::COMMAND, hide = true)]
    KeepInterfaces,
    /// Write the completions of a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
struct Settings {
    /// Settings file; /etc/tenrec/tenrec.toml if it is there, else the defaults
    #[arg(long, short, value_name = "FILE")]
    settings: Option<PathBuf>,
}

#[derive(Args)]
struct Status {
    #[command(flatten)]
    settings: Settings,
    /// Write the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "EXAMPLES:
  tenrec read monday.pcap --out monday
  tenrec read *.pcapng.zst --out week --zeek json --profile malcolm --carve all

EXIT STATUS:
  0  everything was read
  1  a capture was missing, damaged or cut short (what was readable is in the logs)
  2  the command line was wrong, or the output could not be written")]
struct Read {
    /// Captures: PCAP or PCAPNG, plain or as gzip, LZ4 or zstd
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Folder to write into; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Form of the Zeek logs
    #[arg(long, value_name = "FORM", default_value = "tsv")]
    zeek: Form,
    /// Columns of the Zeek logs
    #[arg(long, value_name = "PROFILE", default_value = "stock")]
    profile: Columns,
    /// Analyse packets with wrong checksums too
    #[arg(long)]
    no_checksums: bool,
    /// Suricata rules to apply; may be given several times
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Which files are carved into DIR/files (the stock columns do not name them; those of malcolm do)
    #[arg(long, value_name = "MODE", default_value = "interesting")]
    carve: CarveMode,
    /// Bytes of one file carved at most
    #[arg(long, value_name = "BYTES", default_value_t = 134_217_728, env = "EXTRACTED_FILE_MAX_BYTES")]
    carve_max_bytes: u64,
    /// Name of the sensor in sessions. A capture has none: unless one is given it is `test`, as in the sessions that Arkime's own
    /// suite expects, with which ours are compared
    #[arg(long, value_name = "NAME", default_value = "test", env = "PCAP_NODE_NAME")]
    node: String,
    /// Makes uids: the same seed and capture give the same uids
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// Tab-separated, with Zeek's header
    Tsv,
    /// One JSON object a line
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Columns {
    /// What `zeek -r` writes
    Stock,
    /// What Malcolm's Zeek writes: community id, VLANs, MACs, hashes and more
    Malcolm,
}

#[derive(Clone, Copy, ValueEnum)]
enum CarveMode {
    /// None
    None,
    /// Those whose type is known
    Known,
    /// Those whose type has an extension in Malcolm's table
    Mapped,
    /// All
    All,
    /// Those whose type carries exploits
    Interesting,
    /// All but common text
    Notcommtxt,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Read(args) => run_read(&args),
        Command::Run(args) => service::run(args.settings.as_deref()),
        Command::Status(args) => service::status(args.settings.settings.as_deref(), args.json),
        Command::Check(args) => service::check(args.settings.as_deref()),
        Command::Settings => {
            print!("{}", settings::default_toml());
            ExitCode::SUCCESS
        }
        Command::KeepInterfaces => service::keep_interfaces(),
        Command::Forward(args) => follow::run(args),
        Command::Collector(args) => service::with_settings(args.settings.clone().as_deref(), |settings, _| collect::run(args, settings)),
        Command::Pcap(args) => service::with_settings(args.settings.as_deref(), |settings, _| find::run(&args, settings)),
        Command::Probe(args) => service::with_settings(args.settings.as_deref(), |settings, _| probe::run(&args, settings)),
        Command::Viewer(args) => service::with_settings(args.settings.as_deref(), |settings, _| view::run(&args, settings)),
        Command::Scan(args) => scan::main(args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tenrec", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn run_read(args: &Read) -> ExitCode {
    let job = Job {
        captures: args.captures.clone(),
        out: args.out.clone(),
        format: match args.zeek {
            Form::Tsv => Format::Tsv,
            Form::Json => Format::Json,
        },
        rules: args.rules.clone(),
        options: Options {
            profile: match args.profile {
                Columns::Stock => Profile::Stock,
                Columns::Malcolm => Profile::Malcolm,
            },
            seed: args.seed,
            checksums: !args.no_checksums,
            carve_bytes: args.carve_max_bytes,
            carve: match args.carve {
                CarveMode::None => Carve::None,
                CarveMode::Known => Carve::Known,
                CarveMode::Mapped => Carve::Mapped,
                CarveMode::All => Carve::All,
                CarveMode::Interesting => Carve::Interesting,
                CarveMode::Notcommtxt => Carve::NotCommonText,
            },
            sessions: true,
            ..Options::default()
        },
        node: args.node.clone(),
        progress: std::io::stderr().is_terminal(),
    };
    let report = match read::read(&job) {
        Ok(report) => report,
        Err(e) => {
            eprintln!("tenrec: {}: cannot be written: {e}; free space or choose another folder with --out", job.out.display());
            return ExitCode::from(2);
        }
    };
    if !args.rules.is_empty() {
        for broken in report.refused.iter().take(MOST_REFUSED) {
            eprintln!("tenrec: {broken}");
        }
        eprintln!("tenrec: {} rules at work, {} left out", report.rules, report.refused.len());
    }
    for failure in &report.failed {
        eprintln!("tenrec: {failure}");
    }
    if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
