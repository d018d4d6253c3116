//! What is known of a control connection, and which command a reply is for (scripts/base/protocols/ftp/main.zeek).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::data::{Channels, announce};
use super::record::Ftp;
use super::wire;
use crate::{Endpoint, Output, Time};

/// Commands that may wait for replies (Zeek's `max_pending_commands`).
const MAX_PENDING: usize = 20;

/// Data connections that are remembered until the end.
const MAX_ANNOUNCED: usize = 1000;

/// Bytes of what is logged (Zeek's `max_user_length`, `max_password_length`, `max_arg_length`, `max_reply_msg_length`).
const MAX_USER: usize = 128;
const MAX_PASSWORD: usize = 128;
const MAX_ARG: usize = 4096;
const MAX_REPLY: usize = 4096;

/// Commands that are logged.
const LOGGED: &[&[u8]] = &[b"APPE", b"DELE", b"RETR", b"STOR", b"STOU", b"ACCT", b"PORT", b"PASV", b"EPRT", b"EPSV"];

/// Commands whose argument is a path.
const FILES: &[&[u8]] = &[b"APPE", b"CWD", b"DELE", b"MKD", b"RETR", b"RMD", b"RNFR", b"RNTO", b"STOR", b"STOU", b"REST", b"SIZE", b"MDTM"];

/// Users whose passwords are shown.
const GUESTS: &[&[u8]] = &[b"anonymous", b"ftp", b"ftpuser", b"guest"];

/// A command.
#[derive(Clone, Debug)]
struct Command {
    at: Time,
    name: Vec<u8>,
    arg: Vec<u8>,
    seq: u64,
}

/// A data connection to come.
#[derive(Clone, Copy, Debug)]
struct Channel {
    passive: bool,
    orig: IpAddr,
    resp: Endpoint,
}

/// A control connection.
pub(super) struct Session {
    user: Vec<u8>,
    password: Option<Vec<u8>>,
    directory: Vec<u8>,
    pending: BTreeMap<u64, Command>,
    last_seq: u64,
    /// The command that the last reply was for.
    current: Option<Command>,
    code: Option<u64>,
    message: Option<Vec<u8>>,
    file_size: Option<u64>,
    channel: Option<Channel>,
    announced: Vec<Endpoint>,
    logged: bool,
}

impl Session {
    pub(super) fn new(at: Time) -> Self {
        let mut session = Self {
            user: b"<unknown>".to_vec(),
            password: None,
            directory: b".".to_vec(),
            pending: BTreeMap::new(),
            last_seq: 0,
            current: None,
            code: None,
            message: None,
            file_size: None,
            channel: None,
            announced: Vec::new(),
            logged: false,
        };
        session.add(at, b"<init>", b"");
        session
    }

    fn add(&mut self, at: Time, name: &[u8], arg: &[u8]) {
        self.last_seq = self.last_seq.saturating_add(1);
        let command = Command { at, name: name.to_vec(), arg: arg.to_vec(), seq: self.last_seq };
        self.pending.insert(self.last_seq, command);
    }

    /// The command before this one has had its reply: it is logged.
    pub(super) fn before_request(&mut self, out: &mut Output<'_>) {
        let Some(seq) = self.current.as_ref().map(|current| current.seq) else { return };
        if self.code.is_some() && self.pending.remove(&seq).is_some() {
            self.log(out);
        }
    }

    pub(super) fn request(&mut self, name: &[u8], arg: &[u8], out: &mut Output<'_>) {
        if self.pending.len() < MAX_PENDING {
            self.add(out.at, name, arg);
        } else {
            weird("FTP_too_many_pending_commands", self.pending.len(), out);
        }
        match name {
            b"USER" => self.user = limited(arg, MAX_USER, "FTP_user_too_long", out),
            b"PASS" => self.password = Some(limited(arg, MAX_PASSWORD, "FTP_password_too_long", out)),
            b"PORT" => {
                if let Some(resp) = wire::port(arg) {
                    self.expect(false, out.id.resp.addr, resp, out);
                }
            }
            b"EPRT" => {
                if let Some((Some(addr), port)) = wire::extended_port(arg) {
                    self.expect(false, out.id.resp.addr, Endpoint { addr, port }, out);
                }
            }
            _ => {}
        }
    }

    pub(super) fn reply(&mut self, code: u64, message: &[u8], continued: bool, out: &mut Output<'_>) {
        // Lines within a reply count only if they look like replies.
        if continued && code == 0 && self.code.is_some() && !looks_like_reply(message) {
            return;
        }
        let current = self.command_of(code, message, out.at);
        self.code = Some(code);
        self.message = Some(message.to_vec());
        let name = current.name.clone();
        let (seq, arg) = (current.seq, current.arg.clone());
        self.current = Some(current);
        if continued {
            return;
        }
        match (&name[..], code) {
            (b"RETR", 150) | (b"SIZE", 213) => self.file_size = Some(wire::last_number(message)),
            (b"PASV" | b"EPSV", 227) => {
                if let Some(resp) = wire::passive(message) {
                    self.expect(true, out.id.orig.addr, resp, out);
                }
            }
            (b"PASV" | b"EPSV", 229) => {
                if let Some((addr, port)) = wire::extended_passive(message) {
                    let addr = addr.unwrap_or(out.id.resp.addr);
                    self.expect(true, out.id.orig.addr, Endpoint { addr, port }, out);
                }
            }
            (b"CWD", 250) => self.directory = wire::path(&self.directory, &arg),
            (b"CDUP", 200 | 250) => self.directory = wire::path(&self.directory, b".."),
            (b"PWD" | b"XPWD", 257) => self.directory = wire::path_in(message),
            _ => {}
        }
        if self.pending.len() > 1 {
            self.pending.remove(&seq);
            self.log(out);
        }
    }

    fn expect(&mut self, passive: bool, orig: IpAddr, resp: Endpoint, out: &mut Output<'_>) {
        self.channel = Some(Channel { passive, orig, resp });
        if self.announced.len() >= MAX_ANNOUNCED {
            self.announced.clear();
        }
        self.announced.push(resp);
        announce(orig, resp, out);
    }

    /// The waiting command that a reply fits best; the oldest of those that fit as well.
    fn command_of(&self, code: u64, message: &[u8], at: Time) -> Command {
        let contains = |text: &[u8]| text.is_empty() || message.windows(text.len()).any(|part| part == text);
        let score = |command: &Command| {
            let fits = code == 500 || wire::fits(&command.name, code);
            u32::from(fits) * 100 + u32::from(contains(&command.name)) * 20 + u32::from(contains(&command.arg)) * 10
        };
        let best = self.pending.values().max_by_key(|command| (score(command), std::cmp::Reverse(command.seq)));
        best.cloned().unwrap_or_else(|| Command { at, name: b"<unknown>".to_vec(), arg: Vec::new(), seq: 0 })
    }

    fn row(&self, command: &Command, out: &mut Output<'_>) -> Ftp {
        let mut arg = command.arg.clone();
        if FILES.contains(&&command.name[..]) {
            let path = wire::path(&self.directory, &arg);
            let host = match out.id.resp.addr {
                IpAddr::V4(addr) => addr.to_string(),
                IpAddr::V6(addr) => format!("[{addr}]"),
            };
            let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
            arg = [b"ftp://", host.as_bytes(), slash, &path].concat();
        }
        let arg = limited(&arg, MAX_ARG, "FTP_arg_too_long", out);
        let hide = !GUESTS.contains(&&self.user.to_ascii_lowercase()[..]);
        let hidden = |text: Vec<u8>, hide: bool| if hide { b"<hidden>".to_vec() } else { text };
        let arg = hidden(arg, hide && command.name == b"PASS");
        let control = out.id.uid;
        let transfer = out.state::<Channels>().transfer(control);
        Ftp {
            at: command.at,
            id: out.id,
            user: self.user.clone(),
            password: self.password.clone().map(|password| hidden(password, hide)),
            command: command.name.clone(),
            arg: Some(arg).filter(|arg| !arg.is_empty()),
            mime_type: transfer.mime,
            file_size: self.file_size,
            reply_code: self.code,
            reply_msg: self.message.as_ref().map(|message| limited(message, MAX_REPLY, "FTP_reply_msg_too_long", out)),
            passive: self.channel.map(|channel| channel.passive),
            data_orig: self.channel.map(|channel| channel.orig),
            data_resp: self.channel.map(|channel| channel.resp.addr),
            data_port: self.channel.map(|channel| channel.resp.port),
            fuid: transfer.fuid,
        }
    }

    fn log(&mut self, out: &mut Output<'_>) {
        let Some(command) = self.current.take() else { return };
        let row = self.row(&command, out);
        if LOGGED.contains(&&command.name[..]) {
            self.logged = true;
            out.record(row);
        }
        self.current = Some(command);
        self.file_size = None;
        self.channel = None;
    }

    /// The connection is over: what waits is logged, and at least one row is.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        for command in std::mem::take(&mut self.pending).into_values() {
            self.current = Some(command);
            self.log(out);
        }
        if !self.logged
            && let Some(command) = self.current.take()
        {
            let row = self.row(&command, out);
            out.record(row);
        }
        let control = out.id.uid;
        out.state::<Channels>().forget(control, &self.announced);
    }
}

/// Three digits and ten printable letters.
fn looks_like_reply(message: &[u8]) -> bool {
    let is_text = |bytes: &[u8]| bytes.iter().all(|b| (0x20..0x7f).contains(b));
    matches!(message.first_chunk(), Some([b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' '])) && message.get(4..14).is_some_and(is_text)
}

fn limited(text: &[u8], limit: usize, name: &'static str, out: &mut Output<'_>) -> Vec<u8> {
    if text.len() > limit {
        weird(name, text.len(), out);
    }
    text.get(..limit).unwrap_or(text).to_vec()
}

fn weird(name: &'static str, count: usize, out: &mut Output<'_>) {
    out.weird_detail(name, Some(count.to_string().as_bytes()), Some("FTP"));
}
