//! What a handshake tells: fills the row of `ssl.log`, whatever carries the messages (TLS records, DTLS, QUIC).

use super::arkime;
use super::fingerprint::{self, Carrier};
use super::names::version;
use super::record::Ssl;
use super::wire::{self, ClientHello, ServerHello, SessionId, extension, message};
use crate::log::Profile;
use crate::protocols::{ocsp, x509};
use crate::{Direction, Output, Pair, Reader};

/// Letters of `ssl_history` at most (Zeek's `max_ssl_history_length`).
const MAX_HISTORY: usize = 100;

/// Bytes of one handshake message. Certificate chains with many names come to some tens of KiB; what claims to be
/// larger is not a handshake.
pub(crate) const MAX_MESSAGE: usize = 1 << 18;

/// The handshake of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    carrier: Carrier,
    ssl: Option<Box<Ssl>>,
    logged: bool,
    flipped: bool,
    flipped_back: bool,
    retry: bool,
    client_session: Option<SessionId>,
    client_ticket: bool,
    client_psk: bool,
    client_key_exchanged: bool,
    server_cert_seen: bool,
    client_protocol: Option<Vec<u8>>,
    /// The beginning of a message that goes on in the next record.
    partial: Pair<Vec<u8>>,
}

/// The reason why it is not TLS, as Zeek gives it.
pub(crate) type Violation = &'static str;

impl Session {
    /// Before the first message.
    pub(crate) fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            ssl: None,
            logged: false,
            flipped: false,
            flipped_back: false,
            retry: false,
            client_session: None,
            client_ticket: false,
            client_psk: false,
            client_key_exchanged: false,
            server_cert_seen: false,
            client_protocol: None,
            partial: Pair { orig: Vec::new(), resp: Vec::new() },
        }
    }

    /// The row, started when the first thing about the connection is known.
    pub(super) fn row(&mut self, out: &Output<'_>) -> &mut Ssl {
        self.ssl.get_or_insert_with(|| {
            Box::new(Ssl {
                at: out.at,
                id: out.id,
                version: None,
                cipher: None,
                curve: None,
                server_name: None,
                resumed: false,
                last_alert: None,
                next_protocol: None,
                established: false,
                history: Vec::new(),
                chains: None,
                sni_matches_cert: None,
                ja4: None,
            })
        })
    }

    /// The version that the server chose, as far as is known.
    pub(super) fn version(&self) -> Option<u16> {
        self.ssl.as_ref().and_then(|ssl| ssl.version)
    }

    /// Server name, and the first application protocol that the client offers, for QUIC's own log.
    pub(crate) fn names(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (self.ssl.as_deref().and_then(|ssl| ssl.server_name.as_deref()), self.client_protocol.as_deref())
    }

    /// Whether the client sent this: the originator, unless the hellos went the other way.
    const fn is_client(&self, from: Direction) -> bool {
        from.is_orig() != self.flipped
    }

    fn letter(&mut self, client: bool, letter: u8, out: &mut Output<'_>) {
        let history = &mut self.row(out).history;
        if history.len() >= MAX_HISTORY {
            return;
        }
        history.push(if client { letter.to_ascii_uppercase() } else { letter });
        if history.len() == MAX_HISTORY {
            out.weird_detail("SSL_max_ssl_history_length_reached", None, Some("SSL"));
        }
    }

    /// Handshake bytes of one direction, in order; messages may be split anywhere.
    pub(crate) fn handshake(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Result<(), Violation> {
        let mut kept = std::mem::take(self.partial.of_mut(from));
        let joined = !kept.is_empty();
        if joined {
            kept.extend_from_slice(bytes);
        }
        let all: &[u8] = if joined { &kept } else { bytes };
        let mut reader = Reader::new(all);
        while let Some((kind, len)) = wire::head(reader.rest()) {
            if len > MAX_MESSAGE {
                return Err("handshake message too long");
            }
            let start = reader.position();
            reader.skip(4);
            let Some(body) = reader.take(len) else {
                reader.seek(start);
                break;
            };
            self.message(from, kind, body, out)?;
        }
        *self.partial.of_mut(from) = reader.rest().to_vec();
        Ok(())
    }

    /// One whole handshake message.
    pub(crate) fn message(&mut self, from: Direction, kind: u8, body: &[u8], out: &mut Output<'_>) -> Result<(), Violation> {
        const MALFORMED: Violation = "malformed handshake message";
        match kind {
            message::HELLO_REQUEST => self.check_direction(from, false, out),
            message::CLIENT_HELLO => {
                self.check_direction(from, true, out);
                let hello = ClientHello::read(body).ok_or(MALFORMED)?;
                if !version::is_known(hello.version) {
                    return Err("unsupported client SSL version");
                }
                out.service(super::TLS.name);
                self.client_hello(&hello, out);
            }
            message::SERVER_HELLO => {
                self.check_direction(from, false, out);
                let hello = ServerHello::read(body).ok_or(MALFORMED)?;
                self.server_hello(&hello, out);
                if !version::is_known(hello.version) {
                    return Err("unsupported server SSL version");
                }
            }
            message::CERTIFICATE => {
                let client = self.is_client(from);
                for (i, certificate) in wire::certificates(body).ok_or(MALFORMED)?.enumerate() {
                    self.certificate(certificate, i == 0, client, out);
                }
            }
            message::SERVER_KEY_EXCHANGE => self.server_key_exchange(body, out),
            message::CERTIFICATE_STATUS => {
                for response in wire::stapled(body) {
                    let (at, fuid) = (out.at, out.sink.uids.file());
                    ocsp::log(at, fuid, response, out);
                }
            }
            message::CLIENT_KEY_EXCHANGE if self.is_client(from) => self.client_key_exchanged = true,
            _ => {}
        }
        let letter = match kind {
            message::SERVER_HELLO if std::mem::take(&mut self.retry) => b'j',
            kind => letter(kind),
        };
        self.letter(self.is_client(from), letter, out);
        Ok(())
    }

    /// Hellos show who is the client.
    fn check_direction(&mut self, from: Direction, by_client: bool, out: &mut Output<'_>) {
        let flipped = from.is_orig() != by_client;
        if flipped == self.flipped {
            return;
        }
        self.flipped = flipped;
        self.row(out).history.push(b'^');
        if !flipped && !std::mem::replace(&mut self.flipped_back, true) {
            out.weird_detail("SSL_unclear_connection_direction", None, Some("SSL"));
        }
    }

    fn client_hello(&mut self, hello: &ClientHello<'_>, out: &mut Output<'_>) {
        if let Some(fields) = out.session() {
            arkime::client_hello(hello, self.carrier, fields);
        }
        if out.options().profile == Profile::Malcolm {
            let (ja4, _) = fingerprint::ja4(hello, self.carrier);
            self.row(out).ja4.get_or_insert(ja4);
        }
        for (kind, data) in hello.extensions.iter() {
            match kind {
                extension::SERVER_NAME => self.server_name(data, out),
                extension::SESSION_TICKET => self.client_ticket |= !data.is_empty(),
                extension::PRE_SHARED_KEY => self.client_psk = true,
                extension::ALPN if self.carrier == Carrier::Quic => {
                    self.client_protocol = wire::protocols(data).next().map(<[u8]>::to_vec);
                }
                _ => {}
            }
        }
        self.client_session(hello.session_id);
        self.row(out);
    }

    fn client_session(&mut self, id: &[u8]) {
        let id = wire::session_id(id);
        if id != [0; 32] {
            self.client_session = Some(id);
            self.client_ticket = false;
        }
    }

    fn server_name(&mut self, data: &[u8], out: &mut Output<'_>) {
        let mut names = Vec::new();
        for (kind, name) in wire::server_names(data) {
            if kind == 0 {
                names.push(name);
            } else {
                out.weird_detail("ssl_ext_unknown_server_name_type", Some(kind.to_string().as_bytes()), Some("SSL"));
            }
        }
        let Some(first) = names.first() else { return };
        self.row(out).server_name = Some(first.to_vec());
        if names.len() > 1 {
            let all = [&b"["[..], &names.join(&b", "[..]), b"]"].concat();
            out.weird_detail("SSL_many_server_names", Some(&all), None);
        }
    }

    fn server_hello(&mut self, hello: &ServerHello<'_>, out: &mut Output<'_>) {
        if let Some(fields) = out.session() {
            arkime::server_hello(hello, self.carrier, fields);
        }
        let offered = self.client_session;
        let psk = self.client_psk;
        let row = self.row(out);
        for (kind, data) in hello.extensions.iter() {
            let mut reader = Reader::new(data);
            match kind {
                extension::SUPPORTED_VERSIONS => row.version = reader.u16().or(row.version),
                extension::KEY_SHARE | extension::KEY_SHARE_OLD => row.curve = reader.u16().or(row.curve),
                extension::ALPN => row.next_protocol = wire::protocols(data).next().map(<[u8]>::to_vec).or(row.next_protocol.take()),
                extension::PRE_SHARED_KEY if psk => row.resumed = true,
                _ => {}
            }
        }
        let version = *row.version.get_or_insert(hello.version);
        row.cipher = Some(u32::from(hello.cipher));
        let same = offered == Some(wire::session_id(hello.session_id));
        if same && version / 0xff != 0x7f && version != version::TLS13 {
            row.resumed = true;
        }
        self.retry = hello.random == wire::RETRY;
    }

    /// RFC 8422 §5.4: the curve of an ephemeral key exchange.
    fn server_key_exchange(&mut self, body: &[u8], out: &mut Output<'_>) {
        const NAMED_CURVE: u8 = 3;
        let row = self.row(out);
        let cipher = row.cipher.map(super::ciphers::name).unwrap_or_default();
        if !cipher.starts_with("TLS_ECDHE_") && !cipher.starts_with("TLS_ECDH_ANON_") {
            return;
        }
        let mut reader = Reader::new(body);
        if reader.u8() == Some(NAMED_CURVE) {
            row.curve = reader.u16().or(row.curve);
        }
    }

    fn certificate(&mut self, octets: &[u8], first: bool, client: bool, out: &mut Output<'_>) {
        if octets.is_empty() {
            out.weird_detail("SSL_zero_length_certificate", None, None);
            return;
        }
        // Arkime reads the server's side alone.
        if !client && let Some(fields) = out.session() {
            x509::arkime::tell(octets, fields);
        }
        let fingerprint = x509::seen(octets, first, client, out);
        let leads = !client && !std::mem::replace(&mut self.server_cert_seen, true);
        let row = self.row(out);
        let (server, clients) = row.chains.get_or_insert_default();
        if client {
            clients.extend(fingerprint);
            return;
        }
        server.extend(fingerprint);
        if leads && let Some(name) = &row.server_name {
            row.sni_matches_cert = x509::Certificate::read(octets).map(|certificate| certificate.is_for(name));
        }
    }

    /// A ChangeCipherSpec in the clear.
    pub(super) fn change_cipher_spec(&mut self, from: Direction, out: &mut Output<'_>) {
        let client = self.is_client(from);
        self.letter(client, b'i', out);
        if client && self.client_ticket && !self.client_key_exchanged {
            self.row(out).resumed = true;
        }
    }

    /// An alert in the clear.
    pub(super) fn alert(&mut self, from: Direction, description: u8, out: &mut Output<'_>) {
        let client = self.is_client(from);
        self.letter(client, b'l', out);
        self.row(out).last_alert = Some(description);
    }

    /// A heartbeat in the clear (RFC 6520).
    pub(super) fn heartbeat(&mut self, from: Direction, out: &mut Output<'_>) {
        let client = self.is_client(from);
        self.letter(client, b'b', out);
    }

    /// SSL 2.0's hello of the client, which has no handshake message around it.
    pub(super) fn client_hello_2(&mut self, session_id: &[u8], out: &mut Output<'_>) {
        self.client_session(session_id);
        self.letter(true, b'c', out);
    }

    /// SSL 2.0's hello of the server.
    pub(super) fn server_hello_2(&mut self, cipher: u32, certificate: &[u8], out: &mut Output<'_>) {
        let row = self.row(out);
        row.version.get_or_insert(version::SSL2);
        row.cipher = Some(cipher);
        self.letter(false, b's', out);
        self.certificate(certificate, true, false, out);
    }

    /// Both sides encrypt: the row is complete.
    pub(super) fn established(&mut self, out: &mut Output<'_>) {
        self.row(out).established = true;
        self.finish(out);
    }

    /// Writes the row, once.
    pub(crate) fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(ssl) = self.ssl.take_if(|_| !self.logged) {
            self.logged = true;
            out.record(*ssl);
        }
    }
}

/// The letter of a handshake message in `ssl_history`.
const fn letter(kind: u8) -> u8 {
    match kind {
        0 => b'h',
        1 => b'c',
        2 => b's',
        3 => b'v',
        4 => b't',
        5 => b'e',
        6 => b'j',
        8 => b'o',
        11 => b'x',
        12 => b'k',
        13 => b'r',
        14 => b'n',
        15 => b'y',
        16 => b'g',
        20 => b'f',
        21 => b'w',
        22 => b'u',
        23 => b'a',
        24 => b'p',
        254 => b'm',
        _ => b'z',
    }
}
