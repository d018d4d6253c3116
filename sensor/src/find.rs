//! `tenrec pcap`: packets out of the sensor's captures, by tcpdump's language, by time, by session.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use analyze::Time;
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use packets::{
    Filter, Question, Search, Store,
    output::{Format, Output},
    time,
};
use settings::Settings;

/// Bytes that are gathered for one write.
const BUFFER: usize = 256 << 10;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(200);

/// Options of `tenrec pcap`.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
  tenrec pcap --filter 'host 10.0.0.5 and port 53' --from -10m --out dns.pcap
  tenrec pcap --from 2026-11-24T14:00:00Z --to 2026-11-24T14:05:00Z | tcpdump -n -r -
  tenrec pcap --session 261124-V4zX0mXnQyGm3p1kq0T2w9aB --out session.pcapng

The captures may still be written to. An index beside each spares reading what cannot match: hosts, ports and protocols
of the filter count, `not`, networks and everything else are read and filtered.

EXIT STATUS:
  0  all was looked at, whether or not packets were found
  1  a capture could not be read, or the session is not known
  2  the command line was wrong, or the output could not be written")]
pub(crate) struct Pcap {
    /// Which packets, in tcpdump's language; all if not given
    #[arg(long, short, value_name = "EXPRESSION", conflicts_with = "session")]
    filter: Option<String>,
    /// Match behind one or two VLAN tags as well, where tcpdump sees nothing
    #[arg(long, requires = "filter")]
    tagged: bool,
    /// From when on: 2026-11-24T14:02:00Z, seconds since 1970, or how long ago as in -10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when, inclusive
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only the packets of a session, by the id that its document has in Arkime
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Of a long session that was written in parts, all of them: ID is that of the first
    #[arg(long, requires = "session")]
    entire: bool,
    /// File to write; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Kind of capture to write; by the ending of FILE if not given, else pcap
    #[arg(long, value_name = "FORMAT")]
    format: Option<Kind>,
    /// Folder of the captures, in place of `pcap.folder`
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Settings file; /etc/tenrec/tenrec.toml if it is there, else the defaults
    #[arg(long, short, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// PCAP with nanoseconds
    Pcap,
    /// PCAPNG with the interfaces' names
    Pcapng,
}

/// Runs the command.
pub(crate) fn run(args: &Pcap, settings: &Settings) -> ExitCode {
    match find(args, settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tenrec: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything could be looked at.
fn find(args: &Pcap, settings: &Settings) -> anyhow::Result<bool> {
    let started = Instant::now();
    let folder = args.folder.as_ref().unwrap_or(&settings.pcap.folder);
    let store = Store::open(folder)
        .with_context(|| "no captures to look into; name their folder with --folder, or the settings with --settings")?;
    let Some(mut search) = search(args, &store)? else {
        eprintln!("tenrec: no index in {} knows the session: it may not have ended yet, or its captures were deleted", folder.display());
        return Ok(false);
    };
    let standard_output = args.out == Path::new("-");
    if standard_output && io::stdout().is_terminal() {
        bail!("packets are not written to a terminal: name a file with --out, or pipe them");
    }
    let mut out: Box<dyn Write> = if standard_output {
        Box::new(io::stdout().lock())
    } else {
        Box::new(
            File::create(&args.out).with_context(|| format!("{} cannot be written; choose another file with --out", args.out.display()))?,
        )
    };
    let written = write(&mut search, format(args), &mut *out);
    let Written { packets, bytes } = match written {
        // Whoever reads has had enough, as `head` or `tcpdump -c` do.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
        written => {
            written.with_context(|| format!("{} cannot be written; free space, or choose another file with --out", args.out.display()))?
        }
    };
    let looked = search.looked();
    for file in &looked.without_index {
        eprintln!("tenrec: {}: read in full, since it has no usable index", file.display());
    }
    for (file, error) in &looked.failed {
        eprintln!("tenrec: {}: cannot be read: {error}", file.display());
    }
    eprintln!(
        "tenrec: {packets} packets, {bytes} bytes; looked into {} of {} files and read packets from {} ({} bytes, and {} of indices) in {:.3} s",
        looked.files,
        store.captures().len(),
        looked.files_read,
        looked.bytes,
        looked.index_bytes,
        started.elapsed().as_secs_f64()
    );
    Ok(looked.failed.is_empty())
}

fn search(args: &Pcap, store: &Store) -> anyhow::Result<Option<Search>> {
    let now = Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
    let time = |text: &Option<String>, name: &str| {
        text.as_ref().map(|text| time::parse(text, now)).transpose().with_context(|| format!("--{name} cannot be used"))
    };
    let (from, to) = (time(&args.from, "from")?, time(&args.to, "to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        bail!("--from is later than --to: nothing can be found");
    }
    let compile = if args.tagged { Filter::compile_behind_tags } else { Filter::compile };
    let filter = compile(args.filter.as_deref().unwrap_or_default())?;
    let Some(id) = &args.session else { return Ok(Some(store.search(Question { filter, from, to }))) };
    let id = packets::session_id(id);
    let places = if args.entire { store.whole_session(&id) } else { store.session(&id) };
    Ok(places?.map(|places| store.packets_within(places, from, to)))
}

fn format(args: &Pcap) -> Format {
    let by_ending = args.out.extension().is_some_and(|ending| ending == "pcapng");
    match args.format {
        Some(Kind::Pcapng) => Format::Pcapng,
        None if by_ending => Format::Pcapng,
        Some(Kind::Pcap) | None => Format::Pcap,
    }
}

struct Written {
    packets: u64,
    bytes: u64,
}

fn write(search: &mut Search, format: Format, out: &mut dyn Write) -> io::Result<Written> {
    let progress = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let mut output = Output::new(format);
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut written = Written { packets: 0, bytes: 0 };
    let mut told = Instant::now();
    output.header(&mut buffer);
    while let Some(found) = search.packet() {
        output.packet(&found, &mut buffer);
        written.packets += 1;
        if buffer.len() >= BUFFER {
            out.write_all(&buffer)?;
            written.bytes += buffer.len() as u64;
            buffer.clear();
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            progress.set_message(format!("{} packets, {} files to go", written.packets, search.pending()));
            progress.tick();
        }
    }
    out.write_all(&buffer)?;
    out.flush()?;
    written.bytes += buffer.len() as u64;
    progress.finish_and_clear();
    Ok(written)
}
