//! SSL 2.0 to TLS 1.3 over TCP, and DTLS: what is said before encryption begins.
//!
//! The analyzer reads records until both sides encrypt, writes the row of `ssl.log` and takes itself off the flow.
//! Non-goals: decryption, verification of certificates.
//!
//! ```text
//! TLS      type, version (2), length (2), fragment
//! SSL 2.0  0x80 | length (2), type, body
//! ```

pub(crate) mod arkime;
mod ciphers;
mod dtls;
mod fingerprint;
mod names;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Reader, Step, Transport};
use names::version;

pub use dtls::DTLS;
pub(crate) use fingerprint::Carrier;
pub use record::{LOG, Ssl};
pub(crate) use session::Session;

/// SSL and TLS. Ports: scripts/base/protocols/ssl/main.zeek.
pub static TLS: Protocol = Protocol {
    name: "ssl",
    label: "SSL",
    tcp: &[443, 563, 585, 614, 636, 989, 990, 992, 993, 995, 5223],
    udp: &[],
    recognises,
    analyzer: |_| Box::<Records>::default(),
};

/// Content types of records (RFC 5246 §6.2.1, RFC 6520).
mod content {
    pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
    pub(super) const APPLICATION_DATA: u8 = 23;
    pub(super) const HEARTBEAT: u8 = 24;
}

/// Types of SSL 2.0 messages.
mod message2 {
    pub(super) const ERROR: u8 = 0;
    pub(super) const CLIENT_HELLO: u8 = 1;
    pub(super) const CLIENT_MASTER_KEY: u8 = 2;
    pub(super) const SERVER_HELLO: u8 = 4;
}

/// A hello in a TLS record (scripts/base/protocols/ssl/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    match (client(beginning.orig), server(beginning.resp)) {
        (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
        // Signatures look at both directions alike.
        (Match::No, Match::No) => match (server(beginning.orig), client(beginning.resp)) {
            (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
            (Match::No, Match::No) => Match::No,
            _ => Match::Maybe,
        },
        _ => Match::Maybe,
    }
}

fn client(bytes: &[u8]) -> Match {
    pattern(bytes, &[Some(0x16), Some(3), None, None, None, Some(1), None, None, None, Some(3), None]).map_or(Match::Maybe, |whole| {
        let minor = |at: usize| bytes.get(at).is_none_or(|&b| b <= 3);
        if whole && minor(2) && minor(10) { Match::Yes } else { Match::No }
    })
}

fn server(bytes: &[u8]) -> Match {
    // An alert may come before the hello.
    let alert = bytes.first() == Some(&0x15);
    let hello = if alert { bytes.get(7..).unwrap_or_default() } else { bytes };
    let found = pattern(hello, &[Some(0x16), Some(3), None, None, None, Some(2), None, None, None, None, None]);
    found.map_or(Match::Maybe, |whole| {
        let version = hello.get(9..11).unwrap_or_default();
        let known = matches!(version, [3, 0..=4] | [0x7f, 0..=0x50]);
        if whole && hello.get(2).is_none_or(|&b| b <= 3) && known { Match::Yes } else { Match::No }
    })
}

/// Whether `bytes` begin so; `None` if there are too few to say.
fn pattern(bytes: &[u8], wanted: &[Option<u8>]) -> Option<bool> {
    let fits = bytes.iter().zip(wanted).all(|(&have, want)| want.is_none_or(|want| want == have));
    if !fits {
        return Some(false);
    }
    (bytes.len() >= wanted.len()).then_some(true)
}

/// The record layer of one connection.
#[derive(Default)]
struct Records {
    session: Option<Box<Session>>,
    /// The version of the first record, once it is known; SSL 2.0 stays.
    version: Option<u16>,
    encrypted: Pair<bool>,
}

/// One record.
struct Framed<'a> {
    version: u16,
    kind: u8,
    fragment: &'a [u8],
    len: usize,
}

impl Analyzer for Records {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let head = match Reader::new(bytes).array::<5>() {
            Some(head) => head,
            None => return Step::NeedMore,
        };
        let framed = match self.frame(from, head, bytes) {
            Ok(Some(framed)) => framed,
            Ok(None) => return Step::NeedMore,
            Err(reason) => return Step::Violation(reason),
        };
        let len = framed.len;
        match self.record(from, &framed, out) {
            Ok(true) => Step::Done,
            Ok(false) => Step::Consumed(len),
            Err(reason) => Step::Violation(reason),
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(session) = &mut self.session {
            session.finish(out);
        }
    }
}

impl Records {
    fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_with(|| Box::new(Session::new(Carrier::Tcp)))
    }

    /// Finds out which record layer it is, and takes one record; `None` if it is not whole yet.
    fn frame<'a>(&mut self, from: Direction, head: [u8; 5], bytes: &'a [u8]) -> Result<Option<Framed<'a>>, &'static str> {
        let [kind, major, minor, len_high, len_low] = head;
        let version = u16::from_be_bytes([major, minor]);
        let is_tls = matches!(version, version::SSL3 | version::TLS10 | version::TLS11 | version::TLS12);
        let is_old = match self.version {
            Some(version::SSL2) => true,
            Some(_) if !is_tls => return Err("Invalid version late in TLS connection."),
            Some(_) => false,
            // SSL 2.0 §1.1: the first bit means a header of two bytes; the message type is the third byte.
            None if kind & 0x80 != 0 => match (minor, from) {
                (message2::CLIENT_HELLO, Direction::Originator) => {
                    let offered = u16::from_be_bytes([len_high, len_low]);
                    if !matches!(offered, version::SSL2 | version::SSL3 | version::TLS10 | version::TLS11 | version::TLS12) {
                        return Err("Invalid version in SSL client hello.");
                    }
                    true
                }
                (message2::SERVER_HELLO, Direction::Responder) if len_low < 2 => {
                    self.version = Some(version::SSL2);
                    true
                }
                _ => return Err("Invalid headers in SSL connection."),
            },
            None if !is_tls => return Err("Invalid version in TLS connection."),
            None if !(20..=30).contains(&kind) => return Err("Invalid type in TLS connection."),
            None => {
                self.version = Some(version);
                false
            }
        };
        let mut reader = Reader::new(bytes);
        if is_old {
            let len = usize::from(u16::from_be_bytes([kind & 0x7f, major]));
            reader.skip(2);
            let Some((_, body)) = reader.take(len).map(|message| message.split_at_checked(1).unwrap_or_default()) else { return Ok(None) };
            return Ok(Some(Framed { version: version::SSL2, kind: minor, fragment: body, len: reader.position() }));
        }
        reader.skip(5);
        let Some(fragment) = reader.take(usize::from(u16::from_be_bytes([len_high, len_low]))) else { return Ok(None) };
        Ok(Some(Framed { version, kind, fragment, len: reader.position() }))
    }

    /// Reads one record; true once both sides encrypt.
    fn record(&mut self, from: Direction, framed: &Framed<'_>, out: &mut Output<'_>) -> Result<bool, &'static str> {
        // TLS 1.3 needs no ChangeCipherSpec: there application data is what shows that a side encrypts.
        if framed.version != version::SSL2 && framed.kind == content::APPLICATION_DATA && !*self.encrypted.of(from) {
            let chosen = self.session.as_ref().and_then(|session| session.version());
            let before_13 = matches!(chosen, Some(version::SSL2 | version::SSL3 | version::TLS10 | version::TLS11 | version::TLS12));
            if !before_13 {
                *self.encrypted.of_mut(from) = true;
            }
        }
        if *self.encrypted.of(from) {
            if self.encrypted.orig && self.encrypted.resp {
                self.session().established(out);
                return Ok(true);
            }
            return Ok(false);
        }
        if framed.version == version::SSL2 {
            return self.message2(from, framed, out);
        }
        let fragment = framed.fragment;
        match framed.kind {
            content::CHANGE_CIPHER_SPEC => {
                self.session().change_cipher_spec(from, out);
                *self.encrypted.of_mut(from) = true;
            }
            content::ALERT => {
                for alert in fragment.chunks(2) {
                    let &[_, description] = alert else { return Err("malformed alert") };
                    self.session().alert(from, description, out);
                }
            }
            content::HANDSHAKE => self.session().handshake(from, fragment, out)?,
            content::HEARTBEAT => self.session().heartbeat(from, out),
            content::APPLICATION_DATA => early_data(self.session(), out),
            _ => return Err("unknown SSL record type"),
        }
        Ok(false)
    }

    /// One message of SSL 2.0.
    fn message2(&mut self, from: Direction, framed: &Framed<'_>, out: &mut Output<'_>) -> Result<bool, &'static str> {
        const MALFORMED: &str = "malformed SSL 2.0 message";
        let mut reader = Reader::new(framed.fragment);
        let mut two = || reader.u16().ok_or(MALFORMED);
        match framed.kind {
            message2::CLIENT_HELLO => {
                let (_version, ciphers, session, _challenge) = (two()?, two()?, two()?, two()?);
                reader.skip(usize::from(ciphers)).ok_or(MALFORMED)?;
                let session = reader.take(usize::from(session)).ok_or(MALFORMED)?;
                out.confirm();
                self.session().client_hello_2(session, out);
            }
            message2::SERVER_HELLO => {
                let (_hit_and_type, chosen, certificate, ciphers, _connection) = (two()?, two()?, two()?, two()?, two()?);
                if chosen != version::SSL2 {
                    return Err("Invalid version in SSL server hello.");
                }
                let certificate = reader.take(usize::from(certificate)).ok_or(MALFORMED)?;
                let mut ciphers = reader.sub(usize::from(ciphers)).ok_or(MALFORMED)?;
                let cipher = ciphers.u24().unwrap_or(0);
                self.session().server_hello_2(cipher, certificate, out);
            }
            message2::CLIENT_MASTER_KEY => {
                self.encrypted = Pair { orig: true, resp: true };
                self.session().established(out);
                return Ok(true);
            }
            message2::ERROR => self.session().alert(from, two()?.to_be_bytes()[1], out),
            _ => return Err("unknown SSL record type"),
        }
        Ok(false)
    }
}

/// Application data where none should be yet.
fn early_data(session: &mut Session, out: &mut Output<'_>) {
    let early = session.version().is_some();
    session.row(out);
    if early {
        out.weird_detail("ssl_early_application_data", None, None);
    }
}
