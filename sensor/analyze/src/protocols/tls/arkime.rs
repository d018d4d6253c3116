//! What a session of Arkime's is told of a handshake.

use md5::{Digest as _, Md5};

use super::fingerprint::{self, Carrier};
use super::wire::{ClientHello, ServerHello, certificates, extension, message, protocols, server_names};
use crate::Reader;
use crate::log::Fields;
use crate::protocols::x509;

/// Extensions by which a client asks for its server's name to be encrypted (drafts of RFC 9849, before and after it
/// was renamed).
const ECH: u16 = 0xfe0d;
const ESNI: u16 = 0xffce;

/// A client's hello.
pub(super) fn client_hello(hello: &ClientHello<'_>, carrier: Carrier, fields: &mut Fields) {
    match carrier {
        Carrier::Tcp => fields.protocol("tls"),
        Carrier::Datagrams => fields.protocol("dtls"),
        Carrier::Quic => {}
    }
    client(hello, carrier, fields);
}

/// Tells of the whole messages in a record of a handshake that travels within another protocol; nothing if it is none.
pub(crate) fn handshake(record: &[u8], carrier: Carrier, fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(record);
    while r.remaining() >= 4 {
        let (kind, len) = (r.u8()?, r.u24()?);
        let body = r.take(len as usize)?;
        match kind {
            message::CLIENT_HELLO => client(&ClientHello::read(body)?, carrier, fields),
            message::SERVER_HELLO => server_hello(&ServerHello::read(body)?, Carrier::Tcp, fields),
            message::CERTIFICATE => certificates(body)?.for_each(|octets| x509::arkime::tell(octets, fields)),
            _ => {}
        }
    }
    Some(())
}

fn client(hello: &ClientHello<'_>, carrier: Carrier, fields: &mut Fields) {
    if carrier != Carrier::Datagrams {
        let (text, hash) = fingerprint::ja3(hello);
        fields.text("tls.ja3string", text.as_bytes());
        fields.text("tls.ja3", hash.as_bytes());
    }
    let (ja4, raw) = fingerprint::ja4(hello, carrier);
    fields.text("tls.ja4", ja4.as_bytes());
    fields.text("tls.ja4_r", raw.as_bytes());
    if !hello.session_id.is_empty() {
        fields.item("tls.srcSessionId", hex::encode(hello.session_id).as_bytes(), false);
    }
    for (kind, data) in hello.extensions.iter() {
        match kind {
            // Arkime puts the name that a client asks for beside the hosts of HTTP.
            extension::SERVER_NAME => {
                server_names(data).filter(|(kind, _)| *kind == 0).for_each(|(_, name)| fields.text("http.host", name))
            }
            ECH => fields.tag("tls:has_ech"),
            ESNI => fields.tag("tls:has_esni"),
            _ => {}
        }
    }
}

/// A server's hello.
pub(super) fn server_hello(hello: &ServerHello<'_>, carrier: Carrier, fields: &mut Fields) {
    if carrier != Carrier::Tcp {
        return;
    }
    let chosen = hello.extensions.get(extension::SUPPORTED_VERSIONS).and_then(|data| Reader::new(data).u16());
    fields.text("tls.version", version(if chosen == Some(0x0304) { 0x0304 } else { hello.version }).as_bytes());
    fields.text("tls.cipher", super::ciphers::name(u32::from(hello.cipher)).as_bytes());
    if !hello.session_id.is_empty() {
        fields.item("tls.dstSessionId", hex::encode(hello.session_id).as_bytes(), false);
    }
    if hello.extensions.get(extension::ALPN).is_some_and(|data| protocols(data).eq([b"h2"])) {
        fields.protocol("http2");
    }
    // JA3S (Salesforce, BSD): version, cipher and extensions.
    let extensions: Vec<_> = hello.extensions.iter().map(|(kind, _)| kind.to_string()).collect();
    let text = format!("{},{},{}", hello.version, hello.cipher, extensions.join("-"));
    fields.text("tls.ja3sstring", text.as_bytes());
    fields.text("tls.ja3s", hex::encode(Md5::digest(text.as_bytes())).as_bytes());
}

fn version(version: u16) -> String {
    match version {
        0x0100 => "SSLv1".into(),
        0x0200 => "SSLv2".into(),
        0x0300 => "SSLv3".into(),
        0x0301 => "TLSv1".into(),
        0x0302 => "TLSv1.1".into(),
        0x0303 => "TLSv1.2".into(),
        0x0304 => "TLSv1.3".into(),
        0x7f00..=0x7fff => format!("TLSv1.3-draft-{:02}", version & 0xff),
        _ => format!("0x{version:04x}"),
    }
}
