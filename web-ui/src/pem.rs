//! Certificates and keys that people upload: told apart from everything else at once, not when the collector refuses them.

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a certificate says of itself: its subject, and until when it holds (seconds since 1970).
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) until: i64,
}

/// The certificates in a text, at least one.
///
/// # Errors
/// In words for who has given it.
pub(crate) fn certificates(text: &str) -> Result<Vec<Certificate>, String> {
    let none = "this is not a certificate: a file that begins with -----BEGIN CERTIFICATE-----";
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|_| none.to_owned())?;
    if chain.is_empty() {
        let key = text.contains("PRIVATE KEY-----");
        return Err(if key { "this is a private key, not a certificate" } else { none }.to_owned());
    }
    let read = |der: &CertificateDer<'_>| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Certificate { subject: certificate.subject().to_string(), until: certificate.validity().not_after.timestamp() })
    };
    let certificates: Option<Vec<_>> = chain.iter().map(read).collect();
    let certificates = certificates.ok_or("this looks like a certificate and is none: it is damaged")?;
    let now = jiff::Timestamp::now().as_second();
    match certificates.iter().find(|certificate| certificate.until < now) {
        Some(over) => Err(format!("this certificate ({}) has expired on {}", over.subject, crate::format::time(over.until as f64))),
        None => Ok(certificates),
    }
}

/// Whether a text is a private key.
///
/// # Errors
/// In words, without the key.
pub(crate) fn key(text: &str) -> Result<(), String> {
    if text.contains("ENCRYPTED") {
        return Err("this key is encrypted with a passphrase, which a sensor could not type: give it without".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "this is not a private key: a file that begins with -----BEGIN PRIVATE KEY-----")?;
    rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
        .map(drop)
        .map_err(|_| "this key is damaged, or of a kind that TLS does not use".to_owned())
}

/// Whether a certificate and a key go together.
///
/// # Errors
/// In words.
pub(crate) fn pair(certificate: &str, key: &str) -> Result<(), String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let (Ok(chain), Ok(key)) = (chain, PrivateKeyDer::from_pem_slice(key.as_bytes())) else { return Ok(()) };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err("this is not the key of the certificate above".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::testing::{certificate, key_pair};

    #[test]
    fn certificates_and_keys_are_told_apart_and_from_everything_else() {
        let (pem, private) = key_pair();
        assert_eq!(certificates(&certificate()).unwrap().len(), 1);
        assert!(certificates("hello").is_err_and(|error| error.contains("BEGIN CERTIFICATE")));
        assert!(certificates(&private).is_err_and(|error| error.contains("private key, not")));
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(certificates(damaged).is_err_and(|error| error.contains("damaged")));
        assert!(key(&private).is_ok() && key(&pem).is_err());
        assert!(
            key("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
                .is_err_and(|e| e.contains("passphrase"))
        );
        assert!(pair(&pem, &private).is_ok() && pair(&pem, &key_pair().1).is_err());
    }
}
