//! Kerberos messages (RFC 4120 §5).

use std::borrow::Cow;

use crate::Time;
use crate::protocols::der::{self, Element, Elements, tag};

/// Message types, which are the numbers of their application tags.
pub(super) mod kind {
    pub(crate) const AS_REQUEST: u8 = 10;
    pub(crate) const AS_REPLY: u8 = 11;
    pub(crate) const TGS_REQUEST: u8 = 12;
    pub(crate) const TGS_REPLY: u8 = 13;
    pub(crate) const ERROR: u8 = 30;
}

/// Encryption types of one request; there are not two dozen in all.
const MAX_OFFERS: usize = 64;

/// What Kerberos is in the fields `pvno`.
const VERSION: u64 = 5;

/// What is logged of a message.
#[derive(Default)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) client: Option<Vec<u8>>,
    pub(super) client_realm: Option<Vec<u8>>,
    /// In requests the realm that the client asks.
    pub(super) realm: Option<Vec<u8>>,
    pub(super) service: Option<Vec<u8>>,
    pub(super) from: Option<Time>,
    pub(super) till: Option<Time>,
    pub(super) forwardable: Option<bool>,
    pub(super) renewable: Option<bool>,
    pub(super) cipher: Option<u64>,
    /// Encryption types that a request offers.
    pub(super) offers: Vec<u64>,
    pub(super) error: Option<u64>,
    pub(super) error_text: Option<Vec<u8>>,
    /// Certificates of PKINIT; anonymous clients have none.
    pub(super) certificates: Option<Vec<Vec<u8>>>,
}

impl Message {
    /// Reads a message; `None` if it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let outer = Element::read(bytes).ok()?;
        let kind = outer.tag & 0x1f;
        // Application class, constructed.
        if outer.tag & 0xe0 != 0x60 {
            return None;
        }
        let body = outer.inside().expect(tag::SEQUENCE)?.inside();
        let mut message = Self { kind, ..Self::default() };
        match kind {
            kind::AS_REQUEST | kind::TGS_REQUEST => message.request(body)?,
            kind::AS_REPLY | kind::TGS_REPLY => message.reply(body)?,
            kind::ERROR => message.error(body)?,
            // Messages between clients and services.
            14 | 15 | 20 | 21 | 22 => {}
            _ => return None,
        }
        Some(message)
    }

    fn request(&mut self, body: Elements<'_>) -> Option<()> {
        let mut inner = None;
        for (number, value) in numbered(body) {
            match number {
                1 if value.uint() != Some(VERSION) => return None,
                3 => self.certificates = certificates(value),
                4 => inner = Some(value.inside()),
                _ => {}
            }
        }
        for (number, value) in numbered(inner?) {
            match number {
                0 => {
                    let flags = value.bits().and_then(|bits| bits.first_chunk().copied()).map(u32::from_be_bytes);
                    self.forwardable = flags.map(|flags| flags & 0x4000_0000 != 0);
                    self.renewable = flags.map(|flags| flags & 0x0080_0000 != 0);
                }
                1 => self.client = principal(value),
                2 => self.realm = Some(value.body.to_vec()),
                3 => self.service = principal(value),
                4 => self.from = time(value),
                5 => self.till = time(value),
                8 => self.offers = value.inside().take(MAX_OFFERS).filter_map(Element::uint).collect(),
                _ => {}
            }
        }
        Some(())
    }

    fn reply(&mut self, body: Elements<'_>) -> Option<()> {
        let mut ticket = None;
        for (number, value) in numbered(body) {
            match number {
                0 if value.uint() != Some(VERSION) => return None,
                2 => self.certificates = certificates(value),
                3 => self.client_realm = Some(value.body.to_vec()),
                4 => self.client = principal(value),
                5 => ticket = value.inside().expect(tag::SEQUENCE).map(Element::inside),
                _ => {}
            }
        }
        for (number, value) in numbered(ticket?) {
            match number {
                2 => self.service = principal(value),
                3 => self.cipher = numbered(value.inside()).find(|(number, _)| *number == 0).and_then(|(_, etype)| etype.uint()),
                _ => {}
            }
        }
        Some(())
    }

    fn error(&mut self, body: Elements<'_>) -> Option<()> {
        for (number, value) in numbered(body) {
            match number {
                0 if value.uint() != Some(VERSION) => return None,
                6 => self.error = value.uint(),
                7 => self.client_realm = Some(value.body.to_vec()),
                8 => self.client = principal(value),
                10 => self.service = principal(value),
                11 => self.error_text = Some(value.body.to_vec()),
                _ => {}
            }
        }
        self.error.map(|_| ())
    }
}

/// The parts of a sequence, with the numbers of the context tags around them.
fn numbered(parts: Elements<'_>) -> impl Iterator<Item = (u8, Element<'_>)> {
    parts.filter(|part| part.tag & 0xe0 == 0xa0).filter_map(|part| Some((part.tag & 0x1f, part.inside().next()?)))
}

/// Elements within each other in which signed data are looked for.
const MAX_DEPTH: usize = 6;

/// Certificates of one message. Chains are short.
const MAX_CERTIFICATES: usize = 16;

/// Signed data (RFC 5652 §5).
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];

/// Certificates in the data for preauthentication (RFC 4556 §3.2; types 14 and 15 are those of Windows 2000).
fn certificates(data: Element<'_>) -> Option<Vec<Vec<u8>>> {
    let mut all = None;
    for entry in data.inside() {
        let parts = || numbered(entry.inside());
        let kind = parts().find(|(number, _)| *number == 1).and_then(|(_, kind)| kind.uint());
        if let (Some(14..=17), Some((_, value))) = (kind, parts().find(|(number, _)| *number == 2)) {
            let signed = signed_data(value.body, MAX_DEPTH).into_iter().flatten().take(MAX_CERTIFICATES);
            all.get_or_insert_with(Vec::new).extend(signed.map(|certificate| certificate.whole.to_vec()));
        }
    }
    all
}

/// The certificates of the first signed data in these bytes.
fn signed_data(bytes: &[u8], depth: usize) -> Option<Elements<'_>> {
    for element in Elements::new(bytes) {
        let mut parts = element.inside();
        if element.tag == tag::SEQUENCE && parts.expect(tag::OID).is_some_and(|oid| oid.body == SIGNED_DATA) {
            let mut signed = parts.next()?.inside().expect(tag::SEQUENCE)?.inside();
            return Some(signed.find(|part| part.tag == 0xa0)?.inside());
        }
        // Parts with numbers, implicit octets among them, and sequences.
        if depth > 0
            && (element.tag & 0xc0 == 0x80 || element.tag == tag::SEQUENCE)
            && let Some(found) = signed_data(element.body, depth.saturating_sub(1))
        {
            return Some(found);
        }
    }
    None
}

/// The names of a principal with slashes between them (RFC 4120 §5.2.2).
fn principal(value: Element<'_>) -> Option<Vec<u8>> {
    let names = numbered(value.inside()).find(|(number, _)| *number == 1)?.1;
    let names: Vec<&[u8]> = names.inside().map(|name| name.body).collect();
    Some(names.join(&b'/'))
}

fn time(value: Element<'_>) -> Option<Time> {
    der::time(tag::GENERALIZED_TIME, value.body).map(Time::from_secs)
}

/// Name of an encryption type (scripts/base/protocols/krb/consts.zeek).
pub(super) fn cipher(number: u64) -> Cow<'static, str> {
    Cow::Borrowed(match number {
        1 => "des-cbc-crc",
        2 => "des-cbc-md4",
        3 => "des-cbc-md5",
        5 => "des3-cbc-md5",
        7 => "des3-cbc-sha1",
        9 => "dsaWithSHA1-CmsOID",
        10 => "md5WithRSAEncryption-CmsOID",
        11 => "sha1WithRSAEncryption-CmsOID",
        12 => "rc2CBC-EnvOID",
        13 => "rsaEncryption-EnvOID",
        14 => "rsaES-OAEP-ENV-OID",
        15 => "des-ede3-cbc-Env-OID",
        16 => "des3-cbc-sha1-kd",
        17 => "aes128-cts-hmac-sha1-96",
        18 => "aes256-cts-hmac-sha1-96",
        23 => "rc4-hmac",
        24 => "rc4-hmac-exp",
        25 => "camellia128-cts-cmac",
        26 => "camellia256-cts-cmac",
        65 => "subkey-keymaterial",
        _ => return Cow::Owned(format!("unknown-{number}")),
    })
}

/// Name of an error (RFC 4120 §7.5.9, RFC 4556 §3.1.3).
pub(super) fn error(code: u64) -> Option<&'static str> {
    const FIRST: [&str; 30] = [
        "KDC_ERR_NONE",
        "KDC_ERR_NAME_EXP",
        "KDC_ERR_SERVICE_EXP",
        "KDC_ERR_BAD_PVNO",
        "KDC_ERR_C_OLD_MAST_KVNO",
        "KDC_ERR_S_OLD_MAST_KVNO",
        "KDC_ERR_C_PRINCIPAL_UNKNOWN",
        "KDC_ERR_S_PRINCIPAL_UNKNOWN",
        "KDC_ERR_PRINCIPAL_NOT_UNIQUE",
        "KDC_ERR_NULL_KEY",
        "KDC_ERR_CANNOT_POSTDATE",
        "KDC_ERR_NEVER_VALID",
        "KDC_ERR_POLICY",
        "KDC_ERR_BADOPTION",
        "KDC_ERR_ETYPE_NOSUPP",
        "KDC_ERR_SUMTYPE_NOSUPP",
        "KDC_ERR_PADATA_TYPE_NOSUPP",
        "KDC_ERR_TRTYPE_NOSUPP",
        "KDC_ERR_CLIENT_REVOKED",
        "KDC_ERR_SERVICE_REVOKED",
        "KDC_ERR_TGT_REVOKED",
        "KDC_ERR_CLIENT_NOTYET",
        "KDC_ERR_SERVICE_NOTYET",
        "KDC_ERR_KEY_EXPIRED",
        "KDC_ERR_PREAUTH_FAILED",
        "KDC_ERR_PREAUTH_REQUIRED",
        "KDC_ERR_SERVER_NOMATCH",
        "KDC_ERR_MUST_USE_USER2USER",
        "KDC_ERR_PATH_NOT_ACCEPTED",
        "KDC_ERR_SVC_UNAVAILABLE",
    ];
    const LAST: [&str; 17] = [
        "KRB_ERR_GENERIC",
        "KRB_ERR_FIELD_TOOLONG",
        "KDC_ERROR_CLIENT_NOT_TRUSTED",
        "KDC_ERROR_KDC_NOT_TRUSTED",
        "KDC_ERROR_INVALID_SIG",
        "KDC_ERR_KEY_TOO_WEAK",
        "KDC_ERR_CERTIFICATE_MISMATCH",
        "KRB_AP_ERR_NO_TGT",
        "KDC_ERR_WRONG_REALM",
        "KRB_AP_ERR_USER_TO_USER_REQUIRED",
        "KDC_ERR_CANT_VERIFY_CERTIFICATE",
        "KDC_ERR_INVALID_CERTIFICATE",
        "KDC_ERR_REVOKED_CERTIFICATE",
        "KDC_ERR_REVOCATION_STATUS_UNKNOWN",
        "KDC_ERR_REVOCATION_STATUS_UNAVAILABLE",
        "KDC_ERR_CLIENT_NAME_MISMATCH",
        "KDC_ERR_KDC_NAME_MISMATCH",
    ];
    Some(match code {
        31 => "KRB_AP_ERR_BAD_INTEGRITY",
        32 => "KRB_AP_ERR_TKT_EXPIRED",
        33 => "KRB_AP_ERR_TKT_NYV",
        34 => "KRB_AP_ERR_REPEAT",
        35 => "KRB_AP_ERR_NOT_US",
        36 => "KRB_AP_ERR_BADMATCH",
        37 => "KRB_AP_ERR_SKEW",
        38 => "KRB_AP_ERR_BADADDR",
        39 => "KRB_AP_ERR_BADVERSION",
        40 => "KRB_AP_ERR_MSG_TYPE",
        41 => "KRB_AP_ERR_MODIFIED",
        42 => "KRB_AP_ERR_BADORDER",
        44 => "KRB_AP_ERR_BADKEYVER",
        45 => "KRB_AP_ERR_NOKEY",
        46 => "KRB_AP_ERR_MUT_FAIL",
        47 => "KRB_AP_ERR_BADDIRECTION",
        48 => "KRB_AP_ERR_METHOD",
        49 => "KRB_AP_ERR_BADSEQ",
        50 => "KRB_AP_ERR_INAPP_CKSUM",
        51 => "KRB_AP_PATH_NOT_ACCEPTED",
        52 => "KRB_ERR_RESPONSE_TOO_BIG",
        60..=76 => return LAST.get(usize::try_from(code).ok()?.checked_sub(60)?).copied(),
        _ => return FIRST.get(usize::try_from(code).ok()?).copied(),
    })
}
