//! The scanner as a program of its own; `tenrec scan` is the same.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "tenrec-scan", version, about = "Scans carved files with YARA rules and clamd")]
struct Line {
    #[command(flatten)]
    arguments: scan::Arguments,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    scan::main(Line::parse().arguments)
}
