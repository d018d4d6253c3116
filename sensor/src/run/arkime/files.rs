//! The list of capture files that Arkime keeps, one document a file, and the counter that it numbers files by.
//!
//! ```text
//! arkime_files     <node>-<number>     made when the file is begun, completed when it ends, removed with it
//! arkime_sequence  fn-<node>           its version is the highest number in use
//! ```

use std::path::Path;

use analyze::Time;
use forward::{Intake, opensearch::Operation};
use serde_json::{Value, json};

use crate::pcap::FileEvent;

const FILES: &str = "arkime_files";
const SEQUENCE: &str = "arkime_sequence";

/// Turns what becomes of capture files into documents.
pub(super) struct Files {
    node: String,
}

impl Files {
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.to_owned() }
    }

    /// Tells of one event.
    pub(super) fn tell(&self, event: &FileEvent, intake: &mut Intake) {
        match event {
            FileEvent::Begun { number, path, first } => {
                let mut document = self.document(*number, path, *first);
                put(&mut document, "startTimestamp", json!(jiff::Timestamp::now().as_millisecond()));
                intake.put(Operation::Index, FILES, &self.id(*number), document.to_string().as_bytes());
                self.sequence(*number, intake);
            }
            // It may have been begun without anybody to tell, or ended by a crash: what is known is put in, what is there stays.
            FileEvent::Found { number, path, first, .. } => {
                let mut document = self.document(*number, path, *first);
                // The event counts the index too, which is not Arkime's.
                if let Ok(file) = std::fs::metadata(path) {
                    put(&mut document, "filesize", json!(file.len()));
                }
                let change = json!({"doc": document, "doc_as_upsert": true});
                intake.put(Operation::Update, FILES, &self.id(*number), change.to_string().as_bytes());
                self.sequence(*number, intake);
            }
            FileEvent::Ended { number, bytes, uncompressed, packets, last, .. } => {
                let fields = json!({
                    "filesize": bytes,
                    "packetsSize": uncompressed,
                    "packets": packets,
                    "finishTimestamp": jiff::Timestamp::now().as_millisecond(),
                    "lastTimestamp": milliseconds(*last),
                });
                intake.put(Operation::Update, FILES, &self.id(*number), json!({"doc": fields}).to_string().as_bytes());
            }
            FileEvent::Deleted { number, .. } => intake.put(Operation::Delete, FILES, &self.id(*number), b""),
        }
    }

    fn document(&self, number: u32, path: &Path, first: Time) -> Value {
        let mut document = json!({
            "num": number,
            "name": path.to_string_lossy(),
            "first": first.secs(),
            "node": self.node,
            "locked": 0,
            "packetPosEncoding": "gap0",
            "firstTimestamp": milliseconds(first),
        });
        // Positions are those before compression. Arkime's own viewer knows gzip and zstd alone, ours this one.
        if path.extension().is_some_and(|ending| ending == "lz4") {
            put(&mut document, "compression", json!("lz4"));
        }
        document
    }

    /// Pushes the collector's counter on: an Arkime that takes this node's place goes on behind our numbers.
    fn sequence(&self, number: u32, intake: &mut Intake) {
        intake.put(Operation::IndexVersion(number.into()), SEQUENCE, &format!("fn-{}", self.node), b"{}");
    }

    fn id(&self, number: u32) -> String {
        format!("{}-{number}", self.node)
    }
}

fn put(document: &mut Value, name: &str, value: Value) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

const fn milliseconds(time: Time) -> i64 {
    time.0.div_euclid(1_000_000)
}
