//! SSH: identification, algorithms, host key, and whether somebody logged in, as far as sizes of packets tell.
//!
//! Whether a login succeeded is inferred from the lengths of the server's encrypted segments, as Zeek does; it takes
//! segments as they come, and is unknown where compression hides lengths. Non-goals: what is inside of a session.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::log::Profile;
use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Reader, Step, Transport};
use record::{Algorithms, Hassh};
use wire::{KexInit, message, message1};

pub use record::{LOG, Ssh};

/// SSH (RFC 4253).
pub static SSH: Protocol =
    Protocol { name: "ssh", label: "SSH", tcp: &[22], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes of a line before the identification (RFC 4253 §4.2 lets servers send any number of them).
const MAX_LINE: usize = 8192;

/// Bytes of a packet before encryption. RFC 4253 §6.1 asks for 35000; certificates may be longer.
const MAX_PACKET: usize = 1 << 18;

/// Both sides begin with their version (scripts/base/protocols/ssh/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    match (identifies(beginning.orig), identifies(beginning.resp)) {
        (Match::Yes, Match::Yes) => Match::Yes,
        (Match::No, _) | (_, Match::No) => Match::No,
        _ => Match::Maybe,
    }
}

fn identifies(bytes: &[u8]) -> Match {
    let start = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let is_ssh = start.eq_ignore_ascii_case(b"SSH-".get(..start.len()).unwrap_or_default());
    let version = bytes.get(4).is_none_or(|b| matches!(b, b'1' | b'2')) && bytes.get(5).is_none_or(|&b| b == b'.');
    match (is_ssh && version, bytes.len() >= 6) {
        (true, true) => Match::Yes,
        (true, false) => Match::Maybe,
        (false, _) => Match::No,
    }
}

/// How far one direction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Identification,
    KeyExchange,
    Encrypted,
}

/// The version that one side offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    One,
    /// 1.99: both.
    Both,
    Two,
}

/// One connection.
#[derive(Default)]
struct Session {
    phase: Pair<Phase>,
    offered: Pair<Option<Offered>>,
    row: Option<Box<Ssh>>,
    first: Option<Box<(Direction, KexInit)>>,
    guess: Guess,
}

/// What the lengths of the server's encrypted segments say about logins.
#[derive(Default)]
struct Guess {
    client_spoke: bool,
    banner_skipped: bool,
    decided: bool,
    service_accept: usize,
    failure: usize,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        match *self.phase.of(from) {
            Phase::Identification => self.identification(from, bytes, out),
            Phase::KeyExchange => self.key_exchange(from, bytes, out),
            Phase::Encrypted => {
                if self.encrypted(from, bytes.len(), out) {
                    return Step::Done;
                }
                Step::Consumed(bytes.len())
            }
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }
}

impl Session {
    fn row(&mut self, out: &Output<'_>) -> &mut Ssh {
        self.row.get_or_insert_with(|| {
            let (orig, resp) = (out.options().is_local(out.id.orig.addr), out.options().is_local(out.id.resp.addr));
            Box::new(Ssh {
                at: out.at,
                id: out.id,
                version: None,
                auth_success: None,
                auth_attempts: 0,
                direction: (orig != resp).then_some(if orig { "OUTBOUND" } else { "INBOUND" }),
                client: None,
                server: None,
                algorithms: None,
                host_key_fingerprint: None,
                client_hassh: None,
                server_hassh: None,
            })
        })
    }

    /// RFC 4253 §4.2: `SSH-protoversion-softwareversion SP comments CR LF`.
    fn identification(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut reader = Reader::new(bytes);
        let Some(line) = reader.line() else {
            return if bytes.len() > MAX_LINE { Step::Violation("malformed ssh identification") } else { Step::NeedMore };
        };
        if !line.starts_with(b"SSH-") {
            // Servers may say other things first.
            return if from.is_orig() { Step::Violation("malformed ssh identification") } else { Step::Consumed(reader.position()) };
        }
        *self.phase.of_mut(from) = Phase::KeyExchange;
        *self.offered.of_mut(from) = match line.get(4..) {
            Some([b'2', ..]) => Some(Offered::Two),
            Some([b'1', _, b'9', b'9', ..]) => Some(Offered::Both),
            Some([b'1', ..]) => Some(Offered::One),
            _ => None,
        };
        let version = self.version();
        if let Some(fields) = out.session() {
            fields.protocol("ssh");
            fields.lower("ssh.version", line);
        }
        let row = self.row(out);
        let said = Some(line.to_vec());
        match from {
            Direction::Originator => row.client = said,
            Direction::Responder => row.server = said,
        }
        row.version = version;
        Step::Consumed(reader.position())
    }

    /// The version that both sides speak (RFC 4253 §5.1); 0 if there is none.
    const fn version(&self) -> Option<u8> {
        match (self.offered.orig, self.offered.resp) {
            (Some(Offered::Two), Some(Offered::Two | Offered::Both)) | (Some(Offered::Both), Some(Offered::Two | Offered::Both)) => Some(2),
            (Some(Offered::One), Some(Offered::One | Offered::Both)) | (Some(Offered::Both), Some(Offered::One)) => Some(1),
            (Some(_), Some(_)) => Some(0),
            _ => None,
        }
    }

    fn key_exchange(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        // A side may go on before it has heard the other, and then speaks what it prefers.
        let version = self.version().or(self.offered.of(from).map(|offered| if offered == Offered::One { 1 } else { 2 }));
        let packet = match version {
            None | Some(0) => return Step::Done,
            Some(1) => wire::packet1(bytes),
            Some(_) => wire::packet(bytes),
        };
        let Some((kind, payload, len)) = packet else {
            let claimed = Reader::new(bytes).u32().map_or(0, |len| len as usize);
            if claimed > MAX_PACKET && self.version().is_none() {
                return Step::Done;
            }
            if claimed > MAX_PACKET {
                let addl = format!("{claimed} > {MAX_PACKET}");
                out.weird_detail("SSH_max_packet_length_exceeded", Some(addl.as_bytes()), Some("SSH"));
                out.limit_exceeded();
                return Step::Done;
            }
            return Step::NeedMore;
        };
        if version == Some(1) {
            self.packet1(from, kind, payload, out);
            return Step::Consumed(len);
        }
        match kind {
            message::KEXINIT => match KexInit::read(payload) {
                Some(init) => self.algorithms(from, init, out),
                None => return Step::Violation("malformed KEXINIT"),
            },
            message::NEWKEYS => {
                if self.version().is_some() {
                    out.confirm();
                }
                *self.phase.of_mut(from) = Phase::Encrypted;
            }
            message::KEX_REPLY | message::GROUP_REPLY if !from.is_orig() => self.host_key(kind, payload, out),
            _ => {}
        }
        Step::Consumed(len)
    }

    /// RFC 4253 §7.1: the first of the client's algorithms that the server has too.
    fn algorithms(&mut self, from: Direction, init: KexInit, out: &mut Output<'_>) {
        if out.options().profile == Profile::Malcolm || out.session().is_some() {
            let hassh = Some(Box::new(hassh(from, &init)));
            if let (Some(fields), Some(hassh)) = (out.session(), &hassh) {
                fields.text(if from.is_orig() { "ssh.hassh" } else { "ssh.hasshServer" }, hassh.hash.as_bytes());
            }
            let row = self.row(out);
            match from {
                Direction::Originator => row.client_hassh = hassh,
                Direction::Responder => row.server_hassh = hassh,
            }
        }
        match self.first.take() {
            Some(first) if first.0 != from => {
                let (client, server) = if from.is_orig() { (&init, &first.1) } else { (&first.1, &init) };
                let agreed = Algorithms {
                    cipher: both_ways(&client.encryption, &server.encryption),
                    mac: both_ways(&client.mac, &server.mac),
                    compression: both_ways(&client.compression, &server.compression),
                    kex: common(&client.kex, &server.kex),
                    host_key: common(&client.host_key, &server.host_key),
                };
                self.row(out).algorithms = Some(Box::new(agreed));
            }
            Some(first) => self.first = Some(first),
            None => self.first = Some(Box::new((from, init))),
        }
    }

    fn host_key(&mut self, kind: u8, payload: &[u8], out: &mut Output<'_>) {
        let row = self.row(out);
        // Which message holds the key depends on what both sides agreed on.
        let Some(kex) = row.algorithms.as_ref().map(|a| a.kex.as_slice()) else { return };
        let groups = kex.starts_with(b"diffie-hellman-group-exchange-") || kex.starts_with(b"gss-");
        if groups != (kind == message::GROUP_REPLY) || kex.starts_with(b"rsa") {
            return;
        }
        if let Some(key) = wire::string(&mut Reader::new(payload)) {
            row.host_key_fingerprint = Some(fingerprint(&[key]));
            if let Some(fields) = out.session() {
                let mut text = String::new();
                crate::community::base64(key, &mut text);
                fields.text("ssh.key", text.as_bytes());
            }
        }
    }

    fn packet1(&mut self, from: Direction, kind: u8, payload: &[u8], out: &mut Output<'_>) {
        if kind == message1::PUBLIC_KEY
            && let Some((modulus, exponent)) = wire::host_key1(payload)
        {
            self.row(out).host_key_fingerprint = Some(fingerprint(&[modulus, exponent]));
        }
        if kind == message1::SESSION_KEY && (self.version().is_some() || !from.is_orig()) {
            out.confirm();
        }
        *self.phase.of_mut(from) = Phase::Encrypted;
    }

    /// A segment of ciphertext; true if the row was written.
    fn encrypted(&mut self, from: Direction, len: usize, out: &mut Output<'_>) -> bool {
        if self.version() != Some(2) || self.guess.decided {
            return false;
        }
        let Some(authenticated) = self.guess.segment(from, len) else { return false };
        let row = self.row(out);
        let compressed = row.algorithms.as_ref().is_some_and(|a| matches!(a.compression.as_slice(), b"zlib" | b"zlib@openssh.com"));
        if compressed {
            return false;
        }
        row.auth_success = Some(authenticated);
        row.auth_attempts = row.auth_attempts.saturating_add(1);
        if authenticated {
            self.finish(out);
        }
        authenticated
    }
}

impl Guess {
    /// Whether this segment ends a login attempt, and how. All lengths are of the server's segments:
    /// SERVICE_ACCEPT holds 24 bytes, USERAUTH_SUCCESS 8, so that success is 16 shorter whatever the cipher adds.
    fn segment(&mut self, from: Direction, len: usize) -> Option<bool> {
        const SUCCESS_IS_SHORTER: usize = 16;
        const BANNER_IS_LONGER: usize = 256;
        if from.is_orig() {
            self.client_spoke = true;
            return None;
        }
        if !self.client_spoke {
            return None;
        }
        if self.service_accept == 0 {
            self.service_accept = len;
            return None;
        }
        let success = len.checked_add(SUCCESS_IS_SHORTER) == Some(self.service_accept);
        if self.failure == 0 {
            if success {
                self.decided = true;
                return Some(true);
            }
            if !self.banner_skipped && len > self.service_accept.saturating_add(BANNER_IS_LONGER) {
                self.banner_skipped = true;
                return None;
            }
            self.failure = len;
            return None;
        }
        if len == self.failure {
            return Some(false);
        }
        if success {
            self.decided = true;
            return Some(true);
        }
        None
    }
}

fn both_ways(client: &[Vec<u8>; 2], server: &[Vec<u8>; 2]) -> Vec<u8> {
    let [client_up, client_down] = client;
    let [server_up, server_down] = server;
    let (up, down) = (common(client_up, server_up), common(client_down, server_down));
    if up == down { up } else { [b"To server: ", up.as_slice(), b", to client: ", down.as_slice()].concat() }
}

fn common(client: &[u8], server: &[u8]) -> Vec<u8> {
    let names = |list| <[u8]>::split(list, |&c| c == b',');
    let found = names(client).find(|name| !name.is_empty() && names(server).any(|other| other == *name));
    found.unwrap_or(b"Algorithm negotiation failed").to_vec()
}

/// `SHA256:` and base64, as OpenSSH prints it but cut off at 32 characters, as Zeek prints it.
fn fingerprint(parts: &[&[u8]]) -> String {
    const SHOWN: usize = 24;
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let hash = hash.finalize();
    format!("SHA256:{}", base64(hash.get(..SHOWN).unwrap_or_default()))
}

/// Base64 of whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let all = three.iter().fold(0usize, |all, &b| all << 8 | usize::from(b));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS.get(all >> shift & 63).copied().unwrap_or(b'A')))
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

/// HASSH: MD5 over what a side offers for its own direction.
fn hassh(from: Direction, init: &KexInit) -> Hassh {
    let way = |[up, down]: &[Vec<u8>; 2]| if from.is_orig() { up.clone() } else { down.clone() };
    let algorithms = [init.kex.clone(), way(&init.encryption), way(&init.mac), way(&init.compression)].join(&b';');
    Hassh { hash: hex::encode(Md5::digest(&algorithms)), algorithms, host_keys: init.host_key.clone() }
}
