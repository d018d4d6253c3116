//! One connection to one host: takes batches from the queue, sends them, and sees to it that every document is answered for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;
use settings::{OpenSearch, Url};
use tokio::sync::watch;
use tracing::debug;

use super::action::{self, Target};
use super::answer::{Answer, Outcome, Reason};
use super::client::{Broken, Client, Reply};
use super::refused::{Letter, Refused};
use super::state::Board;
use super::work::{Job, Work};
use super::{Timing, gate};
use crate::backoff::Backoff;

/// How often a document is tried that fails with an error inside OpenSearch while others are taken. At the longest back-off
/// that is a quarter of an hour; then it is the document.
const MAX_TRIES: u8 = 16;

/// Why a lane stops working for a while.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// In plain words.
    pub(crate) reason: String,
    /// How long the host asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether only an idle connection was closed, which needs no pause.
    pub(crate) idle: bool,
}

impl Trouble {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, idle: false }
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Idle => Self { reason: String::new(), retry_after: None, idle: true },
            Broken::Failed(reason) => Self::new(reason),
        }
    }
}

/// Whoever asked may not do that.
pub(crate) fn denied(url: &Url, status: StatusCode, what: &str) -> Trouble {
    Trouble::new(if status == StatusCode::UNAUTHORIZED {
        format!("{url} does not know this user or password (401): check opensearch.user and opensearch.password_file")
    } else {
        format!("{url} does not allow this user to {what} (403): give it the role that Malcolm gives to sensors, capture_service_access")
    })
}

/// Everything a lane works with.
pub(crate) struct Lane {
    pub(crate) settings: Arc<OpenSearch>,
    /// Place of the host in the settings.
    pub(crate) place: usize,
    pub(crate) host: Url,
    pub(crate) work: Work,
    pub(crate) board: Board,
    pub(crate) refused: Arc<Mutex<Refused>>,
    /// Documents of which only the newest counts.
    pub(crate) latest: Option<watch::Receiver<Vec<u8>>>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) timing: Timing,
}

enum Next {
    Job(Job),
    Latest(Vec<u8>),
    Stop,
}

impl Lane {
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.timing.backoff.0, self.timing.backoff.1);
        let mut client = None;
        loop {
            let outcome = self.turn(&mut client, &mut backoff).await;
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(trouble) => {
                    client = None;
                    if trouble.idle {
                        debug!(host = %self.host, "the idle connection was closed");
                        continue;
                    }
                    self.board.failed(self.place, &trouble.reason);
                    let wait = backoff.next().max(trouble.retry_after.unwrap_or_default().min(self.timing.retry_after));
                    if *self.stopping.borrow() {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = self.stopping.changed() => return,
                    }
                }
            }
        }
    }

    /// One step of work; `false` when there is no more to do.
    async fn turn(&mut self, client: &mut Option<Client>, backoff: &mut Backoff) -> Result<bool, Trouble> {
        if client.as_ref().is_none_or(Client::is_closed) {
            *client = Some(self.connect().await?);
        }
        let next = self.next().await;
        // Since the last request the host may have closed the connection.
        let client = match client {
            Some(client) if !client.is_closed() => client,
            place => match self.connect().await {
                Ok(new) => place.insert(new),
                Err(trouble) => {
                    if let Next::Job(job) = &next {
                        self.work.give_back(job);
                    }
                    return Err(trouble);
                }
            },
        };
        match next {
            Next::Stop => {
                // The other lanes of this queue wait for work that will not come.
                self.work.wake();
                return Ok(false);
            }
            Next::Latest(record) => drop(client.bulk(record).await?),
            Next::Job(job) => {
                let delivered = self.deliver(client, &job, backoff).await;
                if delivered.is_err() {
                    self.work.give_back(&job);
                }
                delivered?;
            }
        }
        Ok(true)
    }

    async fn connect(&self) -> Result<Client, Trouble> {
        self.board.connecting(self.place);
        let mut client =
            Client::connect(&self.settings, &self.host, self.timing.connect, self.timing.patience).await.map_err(Trouble::new)?;
        gate::pass(&mut client, &self.host).await?;
        self.board.connected(self.place);
        Ok(client)
    }

    async fn next(&mut self) -> Next {
        loop {
            if let Some(latest) = &mut self.latest
                && latest.has_changed().unwrap_or(false)
            {
                let record = latest.borrow_and_update().clone();
                if !record.is_empty() {
                    return Next::Latest(record);
                }
            }
            if let Some(job) = self.work.take(self.settings.bulk_bytes) {
                return Next::Job(job);
            }
            if *self.stopping.borrow() && self.work.is_empty() {
                return Next::Stop;
            }
            self.work.save();
            let newer = async {
                if let Some(latest) = &mut self.latest
                    && latest.changed().await.is_ok()
                {
                    return latest.mark_changed();
                }
                // Whoever made them is gone: no more will come.
                std::future::pending().await
            };
            tokio::select! {
                () = self.work.changed() => {}
                () = newer => {}
                changed = self.stopping.changed() => if changed.is_err() { return Next::Stop },
            }
        }
    }

    /// Sends a batch until every document of it is answered for.
    async fn deliver(&self, client: &mut Client, job: &Job, backoff: &mut Backoff) -> Result<(), Trouble> {
        let records: Vec<&[u8]> = job.batch.iter().collect();
        let targets: Vec<Option<Target>> = records.iter().map(|record| action::parse(record).map(|(target, _)| target)).collect();
        let mut tries = vec![0_u8; records.len()];
        // Without an answer yet, oldest first.
        let mut pending: Vec<usize> = (job.done..records.len()).collect();
        // The batch was made to fit into one request; only an answer says otherwise.
        let mut most = Portion { bytes: usize::MAX, documents: usize::MAX };
        while !pending.is_empty() {
            let count = most.of(&records, &targets, &pending);
            let sent: Vec<usize> = pending.drain(..count).collect();
            let body = sent.iter().filter_map(|at| records.get(*at)).copied().collect::<Vec<_>>().concat();
            let begun = Instant::now();
            let reply = client.bulk(body).await?;
            self.board.answered(begun.elapsed());
            let answer = match self.judge(&reply)? {
                Verdict::Items(answer) => answer,
                Verdict::Whole(reason) => {
                    let status = reply.status.as_u16();
                    match sent.as_slice() {
                        // One document alone is too large, or breaks the request.
                        [only] => self.refuse(&records, vec![(*only, status, reason)])?,
                        _ => pending.splice(0..0, most.halve(&sent, &records, status == 413)).for_each(drop),
                    }
                    self.work.settle(job, done(&pending, records.len()));
                    continue;
                }
            };
            most.grow();
            let told = self.sort(answer, &sent, &targets, &mut tries)?;
            pending.splice(0..0, told.later.iter().map(|(at, ..)| *at));
            self.refuse(&records, told.refused)?;
            self.work.settle(job, done(&pending, records.len()));
            if told.taken > 0 {
                backoff.reset();
                self.board.taken(self.place, told.taken);
            }
            if let Some((_, status, reason)) = told.later.first() {
                self.board.retried(told.later.len() as u64);
                if matches!(status, 401 | 403 | 404) {
                    return Err(Trouble::new(format!("{} refuses documents ({status}, {}): {}", self.host, reason.kind, reason.text())));
                }
                debug!(host = %self.host, documents = told.later.len(), status, kind = reason.kind, "documents are sent again");
                tokio::time::sleep(backoff.next()).await;
            }
        }
        Ok(())
    }

    /// What an answer as a whole means.
    fn judge(&self, reply: &Reply) -> Result<Verdict, Trouble> {
        let url = &self.host;
        let status = reply.status.as_u16();
        let trouble = |reason: String| Trouble { reason, retry_after: reply.retry_after, idle: false };
        match status {
            200 => Answer::parse(&reply.body).map(Verdict::Items).map_err(|said| trouble(format!("{url} gave {said}"))),
            413 => Ok(Verdict::Whole(Reason::new("request_entity_too_large", "too large for the collector, all by itself"))),
            401 | 403 => Err(denied(url, reply.status, "write sessions")),
            429 => Err(trouble(format!("{url} has too much to do (429): sessions wait"))),
            // Only OpenSearch's own words say that it is about the documents: a proxy says 400 for reasons of its own.
            400 => match whole_error(&reply.body) {
                Some(reason) => Ok(Verdict::Whole(reason)),
                None => Err(trouble(format!("{url} does not understand the request (400): is it OpenSearch, and https or http as set?"))),
            },
            404 | 405 => Err(trouble(format!("{url} has no bulk interface ({status}): is it OpenSearch? check opensearch.hosts"))),
            502..=504 => Err(trouble(format!("OpenSearch behind {url} is not ready ({status}): sessions wait"))),
            500..=599 => Err(trouble(format!("{url} has an error of its own ({status}): see its log; sessions wait"))),
            _ => Err(trouble(format!("{url} answers {status}, which no OpenSearch does: check opensearch.hosts"))),
        }
    }

    fn sort(&self, answer: Answer, sent: &[usize], targets: &[Option<Target>], tries: &mut [u8]) -> Result<Told, Trouble> {
        if answer.items.len() != sent.len() {
            return Err(Trouble::new(format!("{} answered for {} documents of {}", self.host, answer.items.len(), sent.len())));
        }
        let mut told = Told::default();
        for (item, at) in answer.items.into_iter().zip(sent) {
            match item.outcome(targets.get(*at).and_then(Option::as_ref)) {
                Outcome::Taken => told.taken += 1,
                Outcome::Refused(status, reason) => told.refused.push((*at, status, reason)),
                Outcome::Later(status, reason) => {
                    let tried = tries.get_mut(*at).map_or(0, |tried| {
                        *tried = tried.saturating_add(u8::from(status == 500));
                        *tried
                    });
                    if tried >= MAX_TRIES { told.refused.push((*at, status, reason)) } else { told.later.push((*at, status, reason)) }
                }
            }
        }
        Ok(told)
    }

    /// Keeps refused documents on disk; only then they are done.
    fn refuse(&self, records: &[&[u8]], refused: Vec<(usize, u16, Reason)>) -> Result<(), Trouble> {
        if refused.is_empty() {
            return Ok(());
        }
        let letters: Vec<Letter<'_>> = refused
            .into_iter()
            .filter_map(|(at, status, reason)| records.get(at).map(|record| Letter { record, status, reason }))
            .collect();
        // It holds no more than a set of words.
        let mut file = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        file.keep(&self.host.to_string(), &letters).map_err(Trouble::new)?;
        self.board.refused(letters.len() as u64);
        Ok(())
    }
}

enum Verdict {
    /// Each document has its own answer.
    Items(Answer),
    /// Not as a whole: fewer at once, and if it is one alone, then not that one.
    Whole(Reason),
}

#[derive(Default)]
struct Told {
    taken: u64,
    refused: Vec<(usize, u16, Reason)>,
    later: Vec<(usize, u16, Reason)>,
}

/// How much goes into one request.
struct Portion {
    bytes: usize,
    documents: usize,
}

impl Portion {
    /// How many of the pending documents; one at least. Of the changes of one document only the first: OpenSearch might
    /// take the second and ask for the first again.
    fn of(&self, records: &[&[u8]], targets: &[Option<Target>], pending: &[usize]) -> usize {
        let mut bytes = 0;
        let mut seen = HashSet::new();
        let fits = pending.iter().take(self.documents).take_while(|at| {
            bytes += records.get(**at).map_or(0, |record| record.len());
            let target = targets.get(**at).and_then(Option::as_ref);
            bytes <= self.bytes && target.is_none_or(|target| seen.insert((&target.index, &target.id)))
        });
        fits.count().max(1).min(pending.len())
    }

    /// Half of what was sent, which is given back. What was too large stays so: the bytes do not grow again.
    fn halve(&mut self, sent: &[usize], records: &[&[u8]], too_large: bool) -> Vec<usize> {
        self.documents = (sent.len() / 2).max(1);
        if too_large {
            self.bytes = sent.iter().filter_map(|at| records.get(*at)).map(|record| record.len()).sum::<usize>() / 2;
        }
        sent.to_vec()
    }

    /// After a request that went well: what broke an earlier one is found by now.
    fn grow(&mut self) {
        self.documents = self.documents.saturating_mul(2);
    }
}

/// Documents at the front that are answered for.
fn done(pending: &[usize], all: usize) -> usize {
    pending.first().copied().unwrap_or(all)
}

/// The error of OpenSearch about a whole request.
fn whole_error(body: &[u8]) -> Option<Reason> {
    #[derive(Deserialize)]
    struct Whole {
        error: Reason,
    }
    serde_json::from_slice::<Whole>(body).ok().map(|whole| whole.error).filter(|reason| !reason.kind.is_empty())
}
