//! TLS towards the collector: three ways to check its certificate, and what each failure means for the operator.
//!
//! Malcolm signs its server certificate with a CA of its own and puts no name into it, so the usual check cannot succeed.
//! `chain` keeps the half that matters there: whoever answers must hold a key that this CA signed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use settings::{Forward, OpenSearch, TlsVersion, Verify};

/// The settings of one section that say whom to trust and who we are.
#[derive(Clone, Copy)]
pub(crate) struct Trust<'a> {
    /// The section's name, for messages.
    section: &'static str,
    ca: Option<&'a Path>,
    certificate: Option<&'a Path>,
    key: Option<&'a Path>,
    verify: Verify,
    versions: &'a [TlsVersion],
    /// How encryption is turned off, for messages.
    plain: &'static str,
}

impl<'a> From<&'a Forward> for Trust<'a> {
    fn from(of: &'a Forward) -> Self {
        Self {
            section: "forward",
            ca: of.ca.as_deref(),
            certificate: of.certificate.as_deref(),
            key: of.key.as_deref(),
            verify: of.verify,
            versions: &of.tls_versions,
            plain: "forward.tls = false",
        }
    }
}

impl<'a> From<&'a OpenSearch> for Trust<'a> {
    fn from(of: &'a OpenSearch) -> Self {
        Self {
            section: "opensearch",
            ca: of.ca.as_deref(),
            certificate: of.certificate.as_deref(),
            key: of.key.as_deref(),
            verify: of.verify,
            versions: &[TlsVersion::V12, TlsVersion::V13],
            plain: "http:// in opensearch.hosts",
        }
    }
}

impl Trust<'_> {
    /// Whether the peer's certificate is looked at.
    pub(crate) fn is_checked(&self) -> bool {
        self.verify != Verify::None
    }

    /// The section's name in `tenrec.toml`.
    pub(crate) fn section(&self) -> &'static str {
        self.section
    }
}

/// The client's side of TLS as the settings want it. Files are read anew at each call, so that renewed certificates are taken
/// over at the next connect.
///
/// # Errors
/// In plain words, with the key to change.
pub(crate) fn client_config<'a>(settings: impl Into<Trust<'a>>) -> Result<ClientConfig, String> {
    let trust = settings.into();
    let section = trust.section;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(&trust, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&trust))
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (trust.certificate, trust.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, section, "certificate")?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("cannot read a private key from {}: {}: check {section}.key", key.display(), pem_cause(&error)))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| {
                format!(
                    "{} and {} do not belong together ({error}): check {section}.certificate and {section}.key",
                    certificate.display(),
                    key.display()
                )
            })
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn versions(trust: &Trust<'_>) -> Vec<&'static SupportedProtocolVersion> {
    let version = |version: &TlsVersion| match version {
        TlsVersion::V12 => &TLS12,
        TlsVersion::V13 => &TLS13,
    };
    trust.versions.iter().map(version).collect()
}

fn verifier(trust: &Trust<'_>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let algorithms = provider.signature_verification_algorithms;
    let section = trust.section;
    if trust.verify == Verify::None {
        return Ok(Arc::new(Nameless { roots: None, algorithms }));
    }
    // `Settings` does not exist without a CA in these modes; whoever builds a section by hand reads this.
    let ca = trust.ca.ok_or_else(|| format!("no CA to check the collector with: set {section}.ca"))?;
    let mut roots = RootCertStore::empty();
    let pinned = certificates(ca, section, "ca")?;
    let (taken, _) = roots.add_parsable_certificates(pinned.iter().cloned());
    if taken == 0 {
        return Err(format!("{} holds no certificate that can be used as a CA: check {section}.ca", ca.display()));
    }
    let roots = Arc::new(roots);
    if trust.verify == Verify::Full {
        let full = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        return Ok(full.map_err(|error| format!("{}: {error}: check {section}.ca", ca.display()))?);
    }
    Ok(Arc::new(Nameless { roots: Some(roots), algorithms }))
}

fn certificates(path: &Path, section: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{} holds no certificate in PEM form: check {section}.{key}", path.display())),
        Err(error) => Err(format!("cannot read certificates from {}: {}: check {section}.{key}", path.display(), pem_cause(&error))),
    }
}

fn pem_cause(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        rustls_pki_types::pem::Error::NoItemsFound => "there is none in PEM form".to_owned(),
        other => other.to_string(),
    }
}

/// Any name. With roots: signed by one of them, valid now, meant for servers. Without: any certificate, by the operator's
/// will; the peer must still hold its key.
#[derive(Debug)]
struct Nameless {
    roots: Option<Arc<RootCertStore>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Nameless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, self.algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What an error of the connection means, in the operator's words.
pub(crate) fn explain<'a>(error: &io::Error, settings: impl Into<Trust<'a>>, host: &str) -> String {
    let Trust { section, ca, plain, .. } = settings.into();
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => format!("nothing listens on {host}: is the collector running, and is the port right?"),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => format!("{host} closed the connection"),
            io::ErrorKind::UnexpectedEof => {
                format!("{host} closed the connection in the middle: does it expect a client certificate, or no encryption ({plain})?")
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                format!("no route to {host}: check the network and {section}.hosts")
            }
            io::ErrorKind::TimedOut => format!("{host} does not answer: check {section}.hosts and the firewalls in between"),
            _ => format!("{host}: {error}"),
        };
    };
    let ca = ca.unwrap_or(Path::new("")).display();
    match tls {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            format!("the certificate of {host} is not signed by the CA in {ca}: check {section}.ca")
        }
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            format!(
                "the certificate of {host} has expired ({}; this sensor's clock says {}): renew it, or set the clock right",
                day(*not_after),
                day(*time)
            )
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired) => {
            format!("the certificate of {host} has expired: renew it, or check this sensor's clock")
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            format!(
                "the certificate of {host} is not valid yet (from {} on; this sensor's clock says {}): set the clock right",
                day(*not_before),
                day(*time)
            )
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet) => {
            format!("the certificate of {host} is not valid yet: check this sensor's clock")
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            format!("the certificate of {host} does not name it: set {section}.verify = \"chain\" if it is Malcolm's, which has no name")
        }
        rustls::Error::InvalidCertificate(other) => format!("the certificate of {host} is refused ({other:?}): check {section}.ca"),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::NoCertificate) => {
            format!("{host} wants a client certificate: set {section}.certificate and {section}.key")
        }
        rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => format!("{host} refuses this sensor's certificate: check {section}.certificate and {section}.key"),
        rustls::Error::InvalidMessage(_) => format!("{host} does not speak TLS: set {plain}, or turn TLS on at the collector"),
        other => format!("TLS with {host} failed: {other}"),
    }
}

fn day(time: UnixTime) -> String {
    let second = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second)
        .map_or_else(|_| "an unknown day".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
