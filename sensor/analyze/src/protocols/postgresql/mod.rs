//! PostgreSQL: logins and simple queries, each with its outcome, in `postgresql.log`; TLS within it is followed.
//!
//! Non-goals: prepared statements, and what the rows hold.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};
use wire::{First, Message, Stop};

pub use record::{LOG, Postgresql};

/// PostgreSQL, protocol 3.0.
pub static POSTGRESQL: Protocol =
    Protocol { name: "postgresql", label: "POSTGRESQL", tcp: &[5432], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// A startup with a user, or a request for TLS, and the server's answer to it.
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    match wire::first(beginning.orig) {
        Ok((First::Ssl, _)) => match beginning.resp {
            [] => Match::Maybe,
            [b'S' | b'N', ..] => Match::Yes,
            _ => Match::No,
        },
        Ok((First::Startup(parameters), _)) => match beginning.resp {
            [] => Match::Maybe,
            [b'R' | b'E', 0, ..] if parameters.iter().any(|(name, _)| *name == b"user") => Match::Yes,
            _ => Match::No,
        },
        Err(Stop::NeedMore) => Match::Maybe,
        Err(Stop::Bad(_)) => Match::No,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// The client has asked for TLS.
    Asked,
    /// The server has refused TLS.
    Refused,
    Open,
}

#[derive(Default)]
struct Session {
    state: State,
    row: Option<Box<Postgresql>>,
    user: Option<Vec<u8>>,
    database: Option<Vec<u8>>,
    application: Option<Vec<u8>>,
    rows: Option<u64>,
    /// Bytes of an overlong message that are still to come.
    skip: crate::Pair<usize>,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let skip = self.skip.of_mut(from);
        if *skip > 0 {
            let now = bytes.len().min(*skip);
            *skip = skip.saturating_sub(now);
            return if now == 0 { Step::NeedMore } else { Step::Consumed(now) };
        }
        let done = match (from.is_orig(), self.state) {
            (true, State::Start | State::Refused) => self.first(bytes, out),
            (true, State::Asked) | (false, State::Start | State::Refused) => return Step::NeedMore,
            (false, State::Asked) => return self.answer(bytes, out),
            (_, State::Open) => self.message(from, bytes, out),
        };
        match done {
            Ok(len) => Step::Consumed(len),
            Err(Stop::NeedMore) => Step::NeedMore,
            Err(Stop::Bad(reason)) => Step::Violation(reason),
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.log(out);
    }
}

/// Adds to a list with commas between its parts.
fn append(list: &mut Option<Vec<u8>>, part: &[u8]) {
    match list {
        Some(list) => list.extend([b",", part].concat()),
        None => *list = Some(part.to_vec()),
    }
}

impl Session {
    fn row(&mut self, out: &Output<'_>) -> &mut Postgresql {
        self.row.get_or_insert_with(|| {
            Box::new(Postgresql {
                at: out.at,
                id: out.id,
                user: None,
                database: None,
                application_name: None,
                frontend: None,
                frontend_arg: None,
                backend: None,
                backend_arg: None,
                success: None,
                rows: None,
            })
        })
    }

    fn log(&mut self, out: &mut Output<'_>) {
        let Some(mut row) = self.row.take() else { return };
        row.user.clone_from(&self.user);
        row.database.clone_from(&self.database);
        row.application_name.clone_from(&self.application);
        out.record(*row);
    }

    fn first(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        let (first, len) = wire::first(bytes)?;
        match first {
            First::Ssl if self.state == State::Start => {
                self.row(out).frontend = Some("ssl_request");
                self.state = State::Asked;
            }
            First::Ssl => return Err(Stop::Bad("unsupported PostgreSQL major version")),
            First::Startup(parameters) => {
                for (name, value) in parameters {
                    if let Some(fields) = out.session() {
                        fields.protocol("postgresql");
                        match name {
                            b"user" => fields.set("postgresql.user", value),
                            b"database" => fields.set("postgresql.db", value),
                            b"application_name" => fields.set("postgresql.app", value),
                            _ => {}
                        }
                    }
                    let value = Some(value.to_vec());
                    match name {
                        b"user" => self.user = value,
                        b"database" => self.database = value,
                        b"application_name" => self.application = value,
                        _ => {}
                    }
                }
                self.row(out).frontend = Some("startup");
                self.state = State::Open;
            }
        }
        Ok(len)
    }

    /// The server's answer to the request for TLS.
    fn answer(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let Some(&answer) = bytes.first() else { return Step::NeedMore };
        if !matches!(answer, b'S' | b'N') {
            return Step::Violation("malformed PostgreSQL answer");
        }
        out.confirm();
        let row = self.row(out);
        row.backend = Some(b"ssl_reply".to_vec());
        row.backend_arg = Some(vec![answer]);
        row.success = Some(answer == b'S');
        self.log(out);
        if answer == b'S' {
            return Step::Become(1, &TLS);
        }
        self.state = State::Refused;
        Step::Consumed(1)
    }

    fn message(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        let message = wire::message(bytes)?;
        if from.is_orig() {
            self.of_client(&message, out);
        } else {
            self.of_server(&message, out)?;
        }
        let now = message.len.min(bytes.len());
        *self.skip.of_mut(from) = message.len.saturating_sub(now);
        Ok(now)
    }

    fn of_client(&mut self, message: &Message<'_>, out: &mut Output<'_>) {
        match message.kind {
            b'X' => {
                self.log(out);
                self.row(out).frontend = Some("terminate");
                self.log(out);
            }
            b'Q' => {
                self.log(out);
                let query = wire::text(&mut Reader::new(message.body)).unwrap_or(message.body).to_vec();
                let row = self.row(out);
                row.frontend = Some("simple_query");
                row.frontend_arg = Some(query);
                self.rows = Some(0);
            }
            _ => {}
        }
    }

    fn of_server(&mut self, message: &Message<'_>, out: &mut Output<'_>) -> Result<(), Stop> {
        let mut body = Reader::new(message.body);
        match message.kind {
            b'R' => {
                let number = body.u32().filter(|&number| number <= 12).ok_or(Stop::Bad("malformed PostgreSQL message"))?;
                out.confirm();
                let row = self.row(out);
                if number == 0 {
                    row.backend = Some(b"auth_ok".to_vec());
                    row.success = Some(true);
                    return Ok(());
                }
                match &mut row.backend {
                    Some(backend) if !backend.ends_with(b"auth") => backend.extend(b",auth_request"),
                    backend => *backend = Some(b"auth_request".to_vec()),
                }
                append(&mut row.backend_arg, wire::authentication(number).as_bytes());
            }
            b'E' => {
                let row = self.row(out);
                append(&mut row.backend, b"error");
                append(&mut row.backend_arg, &wire::fields(message.body));
                row.success = Some(false);
                self.log(out);
            }
            b'N' => append(&mut self.row(out).backend_arg, &wire::fields(message.body)),
            b'D' => {
                self.row(out);
                self.rows = Some(self.rows.unwrap_or(0).saturating_add(1));
            }
            b'Z' => {
                let status = body.u8();
                let rows = &mut self.rows;
                let Some(row) = &mut self.row else { return Ok(()) };
                row.success.get_or_insert(matches!(status, Some(b'I' | b'T')));
                row.rows = rows.take();
                self.log(out);
            }
            _ => {}
        }
        Ok(())
    }
}
