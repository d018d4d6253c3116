//! What a session of Arkime's is told of a certificate.

use sha1::{Digest as _, Sha1};

use super::{Certificate, Element, names, tag};
use crate::log::Fields;

const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANISATION: &[u8] = &[0x55, 4, 10];
const UNIT: &[u8] = &[0x55, 4, 11];
const SECONDS_A_DAY: i64 = 86_400;

/// Adds a certificate to a session.
pub(crate) fn tell(octets: &[u8], fields: &mut Fields) {
    let Some(certificate) = Certificate::read(octets) else { return };
    let issuer = [COMMON_NAME, ORGANISATION, UNIT].map(|kind| values(certificate.issuer, kind));
    let subject = [COMMON_NAME, ORGANISATION, UNIT].map(|kind| values(certificate.subject, kind));
    let is_authority = certificate.signs_certificates();
    if is_authority {
        fields.tag("cert:certificate-authority");
    } else if !fields.has("cert") && is_own(&issuer, &subject) {
        fields.tag("cert:self-signed");
    }
    let alternatives: Vec<_> = certificate
        .alternatives()
        .into_iter()
        .flatten()
        .filter(|name| name.tag == 0x82)
        .map(|name| name.body.to_ascii_lowercase())
        .collect();
    let hash: [u8; 20] = Sha1::digest(octets).into();
    let hash = hash.map(|byte| format!("{byte:02x}")).join(":");
    let first = fields.begun().secs();
    let (from, until) = (certificate.not_before.unwrap_or(0), certificate.not_after.unwrap_or(0));
    let key = certificate.key();
    let order = order(certificate.serial.body, &issuer, &subject);
    fields.object_as("cert", order, hash.as_bytes(), |json| {
        json.str("hash", &hash);
        json.str("publicAlgorithm", &names::algorithm(certificate.key_algorithm));
        json.some_str("curve", key.curve);
        for (side, values) in [("issuer", &issuer), ("subject", &subject)] {
            for (kind, values) in ["CN", "ON", "OU"].iter().zip(values) {
                if !values.is_empty() {
                    json.strings(&format!("{side}{kind}"), values.iter().map(Vec::as_slice));
                }
            }
        }
        json.str("serial", &hex::encode(certificate.serial.body));
        if !alternatives.is_empty() {
            json.strings("alt", alternatives.iter().map(Vec::as_slice));
            json.number("altCnt", alternatives.len() as u64);
        }
        json.integer("notBefore", from.saturating_mul(1000));
        json.integer("notAfter", until.saturating_mul(1000));
        let (valid, left) = (until.saturating_sub(from), until.saturating_sub(first).max(0));
        json.integer("remainingDays", left / SECONDS_A_DAY);
        json.integer("remainingSeconds", left);
        json.integer("validDays", valid / SECONDS_A_DAY);
        json.integer("validSeconds", valid);
    });
}

impl Certificate<'_> {
    /// RFC 5280 §4.2.1.3: whether its key may sign certificates, by which Arkime knows an authority.
    fn signs_certificates(&self) -> bool {
        matches!(self.extension(KEY_USAGE), Some([_, _, _, bits]) if bits & 4 != 0)
    }
}

/// Values of one kind of a name: common names in lower case, the others as they are.
fn values(name: Element<'_>, wanted: &[u8]) -> Vec<Vec<u8>> {
    let strings = name.inside().flat_map(Element::inside).filter_map(|attribute| {
        let mut parts = attribute.inside();
        let (kind, value) = (parts.next()?, parts.next()?);
        let is_text = matches!(value.tag, tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::T61_STRING);
        (kind.body == wanted && is_text).then_some(value.body)
    });
    if wanted == COMMON_NAME {
        return strings.map(|value| String::from_utf8_lossy(value).to_lowercase().into_bytes()).collect();
    }
    strings.map(<[u8]>::to_vec).collect()
}

/// Whether issuer and subject have one common name, the same, and the same organisation or none.
fn is_own([issuer, issuer_organisation, _]: &[Vec<Vec<u8>>; 3], [subject, organisation, _]: &[Vec<Vec<u8>>; 3]) -> bool {
    let same_organisation = organisation.len() <= 1 && organisation == issuer_organisation;
    same_organisation && subject.len() == 1 && subject == issuer
}

/// Where Arkime puts the certificate among others: by a hash of its serial number and the numbers of names.
fn order(serial: &[u8], issuer: &[Vec<Vec<u8>>; 3], subject: &[Vec<Vec<u8>>; 3]) -> u32 {
    let [[issuers, issuer_organisations, _], [subjects, organisations, _]] =
        [issuer, subject].map(|names| names.each_ref().map(|values| u32::try_from(values.len()).unwrap_or(0)));
    let ends = [serial.first(), serial.last()].map(|byte| u32::from(byte.copied().unwrap_or(0)));
    let [first, last] = ends;
    first << 28 | last << 24 | issuers << 18 | issuer_organisations << 12 | subjects << 6 | organisations
}
