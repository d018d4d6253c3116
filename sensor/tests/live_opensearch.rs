//! Sessions and the list of captures on their way from the wire to OpenSearch.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod daemon;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use daemon::{Daemon, TENREC, exchange, settings};
use wire::{Wire, ethernet, ipv4};

/// The documents of an index of the embedded collector, by id, as its changes left them.
fn documents(folder: &Path, index: &str) -> BTreeMap<String, serde_json::Value> {
    let mut documents = BTreeMap::new();
    for entry in fs::read_dir(folder.join("received/opensearch")).into_iter().flatten() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with(index) {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let change: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = change["_id"].as_str().unwrap().to_owned();
            if change["deleted"] == true { drop(documents.remove(&id)) } else { drop(documents.insert(id, change)) }
        }
    }
    documents
}

#[test]
fn sessions_and_the_list_of_captures_outlive_a_restart_without_a_collector_and_arrive_once() {
    let Some(wire) = Wire::lay("sessions_and_the_list_of_captures_outlive_a_restart_without_a_collector_and_arrive_once") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = settings(
        folder.path(),
        &format!(
            "pcap.rotate_megabytes = 1\npcap.budget_megabytes = 3\nscan.enabled = false\nspool.folder = '{at}/spool'\n\
             node = {{ name = 's', tags = ['plant'] }}\nopensearch = {{ enabled = true, hosts = ['http://127.0.0.1:{port}'] }}\n"
        ),
    );
    let mut daemon = Daemon::start_from(tempfile::tempdir().unwrap(), path.clone());
    daemon.wait_for_line("ready");
    for frame in (0..20).flat_map(|n| exchange(40_000 + n)) {
        wire.send(&frame);
    }
    // Six megabytes: files are rotated, and the oldest are deleted before anybody has heard of them.
    let filler = ethernet(&[], 0x0800, &ipv4([10, 0, 0, 3], [10, 0, 0, 4], 17, [1000, 2000], 0), 1000);
    for _ in 0..6000 {
        wire.send(&filler);
    }
    daemon.wait_for_line("no delivery to OpenSearch");
    assert!(daemon.end().success(), "{:#?}", daemon.told);

    let mut collector = Command::new(TENREC)
        .args(["collector", "--plain", "--listen", "127.0.0.1:0", "--opensearch-listen", &format!("127.0.0.1:{port}"), "--folder"])
        .arg(folder.path().join("received"))
        .arg("--certificates")
        .arg(folder.path().join("certs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut daemon = Daemon::start_from(tempfile::tempdir().unwrap(), path);
    daemon.wait_for_line("connected to OpenSearch");
    let deadline = Instant::now() + Duration::from_secs(20);
    while documents(folder.path(), "arkime_sessions3-").len() < 20 || documents(folder.path(), "arkime_stats").is_empty() {
        assert!(Instant::now() < deadline, "{:#?}", daemon.told);
        thread::yield_now();
    }
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    let _ = collector.kill();
    let _ = collector.wait();

    let sessions = documents(folder.path(), "arkime_sessions3-");
    let logged: usize = fs::read_dir(folder.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("sessions."))
        .map(|path| fs::read_to_string(path).unwrap().lines().count())
        .sum();
    assert_eq!(sessions.len(), logged, "every session that was logged, and each once");
    assert!(sessions.values().all(|session| session["_version"] == 1 && session["_source"]["node"] == "s"));
    assert!(sessions.values().all(|session| session["_source"]["tags"].as_array().unwrap().contains(&"plant".into())));
    let told: Vec<_> = documents(folder.path(), "arkime_files")
        .into_values()
        .map(|file| (file["_source"]["name"].as_str().unwrap().to_owned(), file["_source"]["filesize"].as_u64()))
        .collect();
    let on_disk: Vec<_> = fs::read_dir(folder.path().join("pcap"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| packets::Name::of(path).is_some())
        .map(|path| (path.to_str().unwrap().to_owned(), Some(path.metadata().unwrap().len())))
        .collect();
    let sorted = |mut files: Vec<(String, Option<u64>)>| {
        files.sort();
        files
    };
    assert_eq!(sorted(told), sorted(on_disk));
    let highest = documents(folder.path(), "arkime_files").values().map(|file| file["_source"]["num"].as_u64().unwrap()).max().unwrap();
    assert!(highest > 3 && documents(folder.path(), "arkime_sequence")["fn-s"]["_version"] == highest);
}
