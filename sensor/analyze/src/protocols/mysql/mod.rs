//! MySQL: logins and commands, each with what became of it.
//!
//! A result set counts as done with its first row; rows are not kept. Non-goals: results, prepared statements' values.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::borrow::Cow;

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step};
use wire::{capability, command, response};

pub use record::{LOG, Mysql};

/// MySQL.
pub static MYSQL: Protocol =
    Protocol { name: "mysql", label: "MYSQL", tcp: &[1434, 3306], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes of a packet that are waited for; the rest of larger ones is passed over.
const MAX_PACKET: usize = 1 << 19;

/// Zeek knows it by its ports alone; so does this.
fn recognises(_: &Beginning<'_>) -> Match {
    Match::No
}

/// What the server's next packet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// OK, error or end: what ends a command without a result set.
    #[default]
    Status,
    /// The head of a result set, or a status.
    ColumnCount,
    /// So many definitions of columns, then an end.
    Columns(u64),
    /// The first row of a result set.
    Row,
    /// Definitions until an end.
    Fields,
    /// Nothing that is read.
    Nothing,
}

/// One connection.
#[derive(Default)]
struct Session {
    greeted: bool,
    logged_in: bool,
    authenticating: bool,
    server_capabilities: u32,
    capabilities: u32,
    expected: Expected,
    row: Option<Box<Mysql>>,
    /// Bytes of a packet still to be passed over.
    skip: [usize; 2],
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let [orig, resp] = &mut self.skip;
        let skip = if from.is_orig() { orig } else { resp };
        if *skip > 0 {
            let len = bytes.len().min(*skip);
            *skip = skip.saturating_sub(len);
            return Step::Consumed(len);
        }
        let mut reader = Reader::new(bytes);
        let Some((sequence, payload)) = wire::packet(&mut reader) else {
            let claimed = Reader::new(bytes).u24_le().map_or(0, |len| (len as usize).saturating_add(4));
            if claimed <= MAX_PACKET || bytes.len() < MAX_PACKET {
                return Step::NeedMore;
            }
            *skip = claimed.saturating_sub(bytes.len());
            let start = bytes.get(4..).unwrap_or_default();
            return self.packet(from, bytes.get(3).copied().unwrap_or(0), start, bytes.len(), out);
        };
        self.packet(from, sequence, payload, reader.position(), out)
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.write(out);
    }
}

impl Session {
    fn packet(&mut self, from: Direction, sequence: u8, payload: &[u8], len: usize, out: &mut Output<'_>) -> Step {
        if !from.is_orig() {
            return match self.server(sequence, payload, out) {
                Ok(true) => Step::Done,
                Ok(false) => Step::Consumed(len),
                Err(reason) => Step::Violation(reason),
            };
        }
        if self.logged_in {
            if self.authenticating {
                return Step::Consumed(len);
            }
            self.command(payload, out);
            return Step::Consumed(len);
        }
        let Some((capabilities, user)) = wire::login(payload) else { return Step::Violation("malformed handshake response") };
        self.capabilities = capabilities;
        out.confirm();
        match user {
            None => Step::Become(len, &TLS),
            Some(user) => {
                self.logged_in = true;
                self.authenticating = true;
                if let Some(fields) = out.session() {
                    fields.set("mysql.user", user);
                }
                self.start(Cow::Borrowed("login"), user.to_vec(), out);
                Step::Consumed(len)
            }
        }
    }

    fn start(&mut self, cmd: Cow<'static, str>, arg: Vec<u8>, out: &mut Output<'_>) {
        self.write(out);
        self.row = Some(Box::new(Mysql { at: out.at, id: out.id, cmd, arg, success: None, rows: None, response: None }));
    }

    fn write(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }

    fn command(&mut self, payload: &[u8], out: &mut Output<'_>) {
        let Some((&kind, arg)) = payload.split_first() else { return };
        let mut text = arg;
        if kind == command::QUERY && self.capabilities & self.server_capabilities & capability::QUERY_ATTRIBUTES != 0 {
            text = wire::query_after_attributes(arg).unwrap_or(arg);
        }
        if kind == command::CHANGE_USER {
            text = arg.split(|&c| c == 0).next().unwrap_or_default();
        }
        let name = NAMES.get(usize::from(kind)).map_or_else(|| Cow::Owned(format!("unknown-{kind}")), |name| Cow::Borrowed(*name));
        self.start(name, text.strip_suffix(&[0]).unwrap_or(text).to_vec(), out);
        self.expected = match kind {
            command::QUERY | command::EXECUTE => Expected::ColumnCount,
            command::FIELD_LIST => Expected::Fields,
            command::STATISTICS | command::PREPARE | command::SEND_LONG_DATA | command::CLOSE | command::FETCH => Expected::Nothing,
            _ => Expected::Status,
        };
        if kind == command::QUIT {
            self.write(out);
            self.expected = Expected::Nothing;
        }
        self.authenticating = kind == command::CHANGE_USER;
    }

    /// A packet of the server; true if what follows cannot be read.
    fn server(&mut self, sequence: u8, payload: &[u8], out: &mut Output<'_>) -> Result<bool, &'static str> {
        let Some((&first, rest)) = payload.split_first() else { return Ok(false) };
        if !self.greeted {
            self.greeted = true;
            if first == response::ERROR {
                return Ok(false);
            }
            if sequence != 0 {
                return Err("no greeting");
            }
            self.server_capabilities = wire::greeting(payload).ok_or("malformed greeting")?;
            if let Some(fields) = out.session() {
                fields.protocol("mysql");
                fields.set("mysql.version", wire::version(payload));
            }
            return Ok(false);
        }
        if first == response::ERROR && self.expected != Expected::Nothing {
            self.authenticating = false;
            self.failed(wire::error(rest), out);
            return Ok(false);
        }
        if self.authenticating {
            // Anything but OK goes on with the authentication.
            if first != response::OK {
                return Ok(false);
            }
            self.authenticating = false;
            self.done(wire::integer(&mut Reader::new(rest)).unwrap_or(0), out);
            return Ok(self.capabilities & self.server_capabilities & capability::COMPRESS != 0);
        }
        match self.expected {
            Expected::Nothing => {}
            Expected::Status => match first {
                response::OK => self.done(wire::integer(&mut Reader::new(rest)).unwrap_or(0), out),
                response::EOF => self.done(0, out),
                _ => {}
            },
            Expected::ColumnCount if first == response::OK => self.done(wire::integer(&mut Reader::new(rest)).unwrap_or(0), out),
            Expected::ColumnCount if first == response::LOCAL_INFILE => self.expected = Expected::Status,
            Expected::ColumnCount => {
                let count = wire::integer(&mut Reader::new(payload)).unwrap_or(0);
                self.expected = if count == 0 { Expected::Nothing } else { Expected::Columns(count) };
            }
            Expected::Columns(0) => self.expected = Expected::Row,
            Expected::Columns(1) if self.capabilities & capability::DEPRECATE_EOF != 0 => self.expected = Expected::Row,
            Expected::Columns(left) => self.expected = Expected::Columns(left.saturating_sub(1)),
            Expected::Row => self.done(0, out),
            Expected::Fields if first == response::EOF => self.done(0, out),
            Expected::Fields => {}
        }
        Ok(false)
    }

    fn done(&mut self, rows: u64, out: &mut Output<'_>) {
        if let Some(row) = &mut self.row {
            row.success = Some(true);
            row.rows = Some(rows);
        }
        self.write(out);
        self.expected = Expected::Nothing;
    }

    fn failed(&mut self, message: &[u8], out: &mut Output<'_>) {
        if let Some(row) = &mut self.row {
            row.success = Some(false);
            row.response = Some(message.to_vec());
        }
        self.write(out);
        self.expected = Expected::Nothing;
    }
}

/// Commands by number (scripts/base/protocols/mysql/consts.zeek).
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "sleep", "quit", "init_db", "query", "field_list", "create_db", "drop_db", "refresh", "shutdown", "statistics",
    "process_info", "connect", "process_kill", "debug", "ping", "time", "delayed_insert", "change_user", "binlog_dump",
    "table_dump", "connect_out", "register_slave", "stmt_prepare", "stmt_execute", "stmt_send_long_data", "stmt_close",
    "stmt_reset", "set_option", "stmt_fetch", "deamon", "binlog_dump_gtid", "reset_connection",
];
