//! The control socket: answers what `tenrec status` and the web UI ask.
//!
//! One JSON object a line, as `settings::control` describes. Each connection has a task of its own and a bounded line; a
//! client that is slow or silly costs itself only. Who may connect is decided by the socket's mode.

use std::{
    fs, io,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;
use settings::control::{
    Connection, Drops, File, FileCounts, Flows, Interface, MAX_ROWS, PcapState, Request, Response, Status as Answer, Worker, decode, encode,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{Service, Status};

/// Bytes of a request at most: they are all short.
const LONGEST_REQUEST: u64 = 64 << 10;
/// Conversations at once; more wait in the kernel's queue.
const CONVERSATIONS: usize = 64;
/// Bytes of a carved file that are read at once.
const BLOCK: usize = 64 << 10;
/// How long a client may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the daemon itself is called, for the answers.
#[derive(Clone)]
pub struct Identity {
    /// Name of the sensor.
    pub node: String,
    /// Where carved files are.
    pub files: PathBuf,
    /// Answers [`Request::Reload`].
    pub reload: Arc<dyn Fn() -> Response + Send + Sync>,
}

/// Opens the socket, in place of one that an earlier run left. Readable and writable for its owner and group.
///
/// # Errors
/// If it cannot be made, with its path and what to do; also if another daemon answers on it. `key` is what to change.
pub fn bind(path: &Path, key: &str) -> io::Result<UnixListener> {
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {}: {error}; change {key} in tenrec.toml", path.display()))
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(explain)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let message = format!("another tenrec answers on {}: stop it first, or change {key} in tenrec.toml", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(explain(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(explain)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(explain)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The service that answers on a socket until the daemon ends.
pub fn serve(listener: UnixListener, identity: Identity, status: Arc<Status>) -> Service {
    Box::pin(async move {
        let listener = match tokio::net::UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the control socket does not answer"),
        };
        let mut stop = status.stop();
        let places = Arc::new(tokio::sync::Semaphore::new(CONVERSATIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => accepted,
            };
            match stream {
                Ok((stream, _)) => {
                    let (identity, status) = (identity.clone(), Arc::clone(&status));
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &identity, &status).await {
                            tracing::debug!(%error, "a conversation on the control socket broke off");
                        }
                        drop(place);
                    });
                }
                // Out of descriptors, for a moment.
                Err(error) => {
                    tracing::warn!(%error, "the control socket takes no connection");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    })
}

async fn converse(stream: tokio::net::UnixStream, identity: &Identity, status: &Status) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(LONGEST_REQUEST).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let response = match decode::<Request>(&line) {
            Ok(Request::Content { fuid }) => match open(&fuid, identity, status) {
                Ok((name, file)) => {
                    send(name, file, &mut writer).await?;
                    continue;
                }
                Err(message) => Response::Error { message },
            },
            Ok(request) => answer(&request, identity, status),
            Err(error) => Response::Error { message: format!("not understood: {error}") },
        };
        let bytes = encode(&response).map_err(io::Error::other)?;
        tokio::time::timeout(PATIENCE, writer.write_all(&bytes)).await??;
        if line.last() != Some(&b'\n') {
            // Too long, or cut off: what follows would be read as another request.
            return Ok(());
        }
    }
}

/// A carved file of those seen last, by the name that the record of it has.
fn open(fuid: &str, identity: &Identity, status: &Status) -> Result<(String, fs::File), String> {
    let rows = status.records.files(MAX_ROWS);
    let known = rows.iter().filter_map(|row| file(row)).find(|file| file.fuid == fuid);
    let name = known.ok_or("this file is not among those seen last: it can be fetched no more")?.extracted;
    open_carved(&identity.files, &name)
}

fn open_carved(folder: &Path, name: &str) -> Result<(String, fs::File), String> {
    if name.is_empty() {
        return Err("this file was not carved: files.carving in the settings says which are".to_owned());
    }
    // Names are of our own making; that one leads elsewhere is not to be thought of, and so it is looked at.
    if name.contains('/') || name == ".." {
        return Err("this is not the name of a carved file".to_owned());
    }
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(folder.join(name)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "this file is not on disk any more: files.preservation in the settings says which stay".to_owned(),
        _ => format!("this file cannot be read: {error}"),
    })?;
    if !file.metadata().is_ok_and(|known| known.is_file()) {
        return Err("this is not a file".to_owned());
    }
    Ok((name.to_owned(), file))
}

/// A line, and the bytes of a file. What is deleted meanwhile is sent to its end, since it is open.
async fn send(name: String, file: fs::File, writer: &mut (impl tokio::io::AsyncWrite + Unpin)) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut rest = tokio::fs::File::from_std(file).take(size);
    let line = encode(&Response::Content { name, size }).map_err(io::Error::other)?;
    tokio::time::timeout(PATIENCE, writer.write_all(&line)).await??;
    let mut block = vec![0; BLOCK];
    let mut sent = 0;
    loop {
        let read = rest.read(&mut block).await?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        tokio::time::timeout(PATIENCE, writer.write_all(bytes)).await??;
        sent += read as u64;
    }
    // What the client takes for the next line would be bytes of the file.
    if sent == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The answer to one request.
pub fn answer(request: &Request, identity: &Identity, status: &Status) -> Response {
    match request {
        Request::Status => Response::Status(Box::new(all(identity, status))),
        Request::Connections { limit } => {
            let rows = status.records.connections((*limit).min(MAX_ROWS));
            Response::Connections { connections: rows.iter().filter_map(|row| connection(row)).collect() }
        }
        Request::Files { limit } => {
            let rows = status.records.files((*limit).min(MAX_ROWS));
            let mut files: Vec<_> = rows.iter().filter_map(|row| file(row)).collect();
            status.probes.iter().for_each(|probe| probe.files(&mut files));
            Response::Files { files }
        }
        Request::Content { .. } => Response::Error { message: "bytes are sent by the socket alone".to_owned() },
        Request::Reload => (identity.reload)(),
    }
}

fn all(identity: &Identity, status: &Status) -> Answer {
    let seconds = |time: jiff::Timestamp| time.as_millisecond() as f64 / 1000.0;
    let started = seconds(status.since);
    let interfaces: Vec<_> = status.interfaces().iter().map(|counters| interface(counters, status)).collect();
    let workers: Vec<_> = (0..).zip(&status.workers).map(|(number, counted)| worker(number, counted)).collect();
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let sum = |of: fn(&super::worker::Counted) -> &std::sync::atomic::AtomicU64| status.workers.iter().map(|it| load(of(it))).sum::<u64>();
    let pcap = status.pcap.as_ref().map(|counters| (counters.snapshot(), counters.newest()));
    let logs = status.records.logs();
    let mut answer = Answer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: identity.node.clone(),
        started,
        uptime: status.begun.elapsed().as_secs_f64(),
        packets_analysed: sum(|it| &it.frames),
        bytes_analysed: sum(|it| &it.bytes),
        drops: Drops {
            nic: interfaces.iter().map(|it| it.nic_dropped).sum(),
            ring: interfaces.iter().map(|it| it.ring_full + it.too_big).sum(),
            worker: sum(|it| &it.failures),
            pcap: pcap.as_ref().map_or(0, |(counters, _)| counters.frames_dropped_disk + counters.frames_dropped_queue),
            index: pcap.as_ref().map_or(0, |(counters, _)| counters.sessions_unindexed),
            carver: load(&status.carved.dropped),
            records: sum(|it| &it.records_dropped) + load(&status.records.dropped),
            ..Drops::default()
        },
        flows: Flows { active: sum(|it| &it.active_flows), total: sum(|it| &it.flows) },
        files: FileCounts {
            seen: logs.iter().find(|(log, _)| *log == "files").map_or(0, |(_, lines)| *lines),
            carved: load(&status.carved.files),
            ..FileCounts::default()
        },
        logs: logs.iter().map(|(log, lines)| ((*log).to_owned(), *lines)).collect(),
        pcap: pcap.map_or_else(PcapState::default, |(counters, (file, bytes))| PcapState {
            file,
            bytes,
            files: counters.files_closed,
            total_bytes: counters.bytes_on_disk,
            deleted: counters.files_deleted,
        }),
        interfaces,
        workers,
        ..Answer::default()
    };
    status.probes.iter().for_each(|probe| probe.status(&mut answer));
    answer
}

fn interface(counters: &crate::capture::InterfaceCounters, status: &Status) -> Interface {
    let total = &counters.total;
    Interface {
        name: counters.name.clone(),
        mode: counters.mode.to_owned(),
        queues: counters.queues.len() as u32,
        received: total.received,
        captured: total.captured,
        filtered: total.filtered,
        shunted: total.shunted,
        too_big: total.too_big,
        ring_full: total.ring_full,
        nic_dropped: status.nic_dropped(&counters.name),
        bytes: total.captured_bytes,
    }
}

fn worker(number: u32, counted: &super::worker::Counted) -> Worker {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Worker {
        number,
        packets: load(&counted.frames),
        bytes: load(&counted.bytes),
        flows_active: load(&counted.active_flows),
        busy: load(&counted.busy_permille) as f64 / 1000.0,
        restarts: load(&counted.failures),
    }
}

/// A row of `conn.log`.
fn connection(row: &str) -> Option<Connection> {
    let row: Value = serde_json::from_str(row).ok()?;
    Some(Connection {
        time: number(&row, "ts"),
        uid: text(&row, "uid"),
        source: text(&row, "id.orig_h"),
        source_port: number(&row, "id.orig_p") as u16,
        destination: text(&row, "id.resp_h"),
        destination_port: number(&row, "id.resp_p") as u16,
        protocol: text(&row, "proto"),
        service: text(&row, "service"),
        duration: number(&row, "duration"),
        source_bytes: number(&row, "orig_bytes") as u64,
        destination_bytes: number(&row, "resp_bytes") as u64,
        state: text(&row, "conn_state"),
    })
}

/// A row of `files.log`.
fn file(row: &str) -> Option<File> {
    let row: Value = serde_json::from_str(row).ok()?;
    Some(File {
        time: number(&row, "ts"),
        fuid: text(&row, "fuid"),
        // Older columns of Zeek have sets of connections.
        uid: if row.get("uid").is_some() { text(&row, "uid") } else { text(&row, "conn_uids") },
        source: text(&row, "source"),
        name: text(&row, "filename"),
        mime: text(&row, "mime_type"),
        size: number(&row, "seen_bytes") as u64,
        sha256: text(&row, "sha256"),
        extracted: text(&row, "extracted"),
        verdict: "unscanned".to_owned(),
        rules: Vec::new(),
    })
}

fn number(row: &Value, name: &str) -> f64 {
    row.get(name).and_then(Value::as_f64).unwrap_or_default()
}

/// A string, or the members of a set with commas between them.
fn text(row: &Value, name: &str) -> String {
    match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_conn_and_files_become_what_the_socket_answers() {
        let row = r#"{"ts":1.5,"uid":"Cx","id.orig_h":"10.0.0.1","id.orig_p":4000,"id.resp_h":"10.0.0.2","id.resp_p":80,"proto":"tcp","service":"http","duration":0.25,"orig_bytes":7,"resp_bytes":9,"conn_state":"SF"}"#;
        let connection = connection(row).unwrap();
        assert_eq!((connection.time, connection.source_port, connection.destination_bytes), (1.5, 4000, 9));
        assert_eq!((connection.state.as_str(), connection.service.as_str()), ("SF", "http"));
        let file =
            file(r#"{"ts":2,"fuid":"Fx","uid":"Cx","source":"HTTP","mime_type":"text/plain","seen_bytes":12,"extracted":"HTTP-Fx"}"#)
                .unwrap();
        assert_eq!((file.size, file.verdict.as_str(), file.extracted.as_str()), (12, "unscanned", "HTTP-Fx"));
    }

    #[tokio::test]
    async fn a_carved_file_is_sent_whole_and_no_name_leads_out_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        fs::write(files.join("HTTP-F1"), vec![7; BLOCK + 1]).unwrap();
        std::os::unix::fs::symlink("../secret", files.join("link")).unwrap();
        for name in ["", "../secret", "..", "link", "missing", "."] {
            assert!(open_carved(&files, name).is_err(), "{name}");
        }
        let (name, file) = open_carved(&files, "HTTP-F1").unwrap();
        let mut sent = Vec::new();
        send(name, file, &mut sent).await.unwrap();
        let line = sent.iter().position(|byte| *byte == b'\n').unwrap();
        let size = BLOCK as u64 + 1;
        assert_eq!(decode::<Response>(&sent[..line]).unwrap(), Response::Content { name: "HTTP-F1".into(), size });
        assert_eq!(sent[line + 1..], vec![7; BLOCK + 1]);
    }

    #[test]
    fn a_socket_that_nobody_answers_on_is_replaced_and_a_living_one_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/control.sock");
        drop(bind(&path, "control.socket").unwrap());
        let living = bind(&path, "control.socket").unwrap();
        let error = bind(&path, "control.socket").unwrap_err();
        assert!(error.kind() == io::ErrorKind::AddrInUse && error.to_string().contains("stop it first"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(living);
    }
}
