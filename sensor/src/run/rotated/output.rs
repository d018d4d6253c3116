//! The results of one capture: logs, sessions, and the documents made of them.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::Arc,
};

use analyze::{
    Batch,
    log::{Profile, Record, Session},
};
use forward::opensearch::{Operation, record};

use super::{DOCUMENTS, Options, records};
use crate::{logs::LogFolder, pcap};

/// A folder of results that is being written.
pub(super) struct Output<'a> {
    logs: LogFolder,
    documents: Option<BufWriter<File>>,
    node: &'a str,
    profile: Profile,
    tags: Vec<String>,
    places: Option<&'a pcap::Sessions>,
    written: &'a Arc<records::Written>,
    document: Vec<u8>,
}

impl<'a> Output<'a> {
    /// Makes the folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn create(
        folder: &Path,
        options: &'a Options,
        tags: Vec<String>,
        places: Option<&'a pcap::Sessions>,
        written: &'a Arc<records::Written>,
    ) -> io::Result<Self> {
        let logs = LogFolder::create(folder, options.format, options.analysis.profile, &options.node)?;
        let documents = options.documents.then(|| File::create(folder.join(DOCUMENTS)).map(BufWriter::new)).transpose()?;
        Ok(Self { logs, documents, node: &options.node, profile: options.analysis.profile, tags, places, written, document: Vec::new() })
    }

    /// Writes what was found.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn take(&mut self, batch: &Batch) -> io::Result<()> {
        for record in &batch.records {
            self.logs.write(record.as_ref())?;
            match record.session() {
                Some(session) => self.session(session)?,
                None => self.remember(record.as_ref()),
            }
        }
        batch.alerts.iter().try_for_each(|alert| self.logs.alert(alert))
    }

    /// Ends the logs.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn close(self) -> io::Result<()> {
        if let Some(mut documents) = self.documents {
            documents.flush()?;
        }
        self.logs.close()
    }

    fn session(&mut self, session: &Session) -> io::Result<()> {
        if let Some(places) = self.places {
            places.save(session);
        }
        let Some(documents) = &mut self.documents else { return Ok(()) };
        self.document.clear();
        session.write_for_malcolm(self.node, &self.tags, &mut self.document);
        let lines = record(Operation::Index, &session.index(), &session.id(), &self.document);
        // JSON has no tab of its own: it stands for the line break between the action and the document.
        let one: Vec<u8> = lines.trim_ascii_end().iter().map(|byte| if *byte == b'\n' { b'\t' } else { *byte }).collect();
        documents.write_all(&one)?;
        documents.write_all(b"\n")
    }

    /// For the web UI, and for the event of a scan, which tells of the file's record.
    fn remember(&mut self, record: &dyn Record) {
        self.written.remember(record, self.profile);
    }
}
