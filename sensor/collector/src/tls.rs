//! The collector's side of TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use settings::ClientCertificates;
use tokio_rustls::TlsAcceptor;

use crate::{Error, Tls};

/// Takes connections as `tls` wants it, and offers HTTP/1.1 where the client asks.
///
/// # Errors
/// When certificate or key cannot be read, or do not go together.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Error> {
    server_config(tls).map(|config| TlsAcceptor::from(Arc::new(config)))
}

fn server_config(tls: &Tls) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|_| Error::Pem { what: "private key", path: tls.key.clone() })?;
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(Error::Tls)?;
    let with_clients = match tls.clients {
        ClientCertificates::None => versions.with_no_client_auth(),
        ClientCertificates::Optional | ClientCertificates::Required => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(&tls.ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if tls.clients == ClientCertificates::Optional { verifier.allow_unauthenticated() } else { verifier };
            versions.with_client_cert_verifier(verifier.build().map_err(|source| Error::ClientCa { path: tls.ca.clone(), source })?)
        }
    };
    with_clients.with_single_cert(chain, key).map_err(Error::Tls)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = std::fs::read(path).map_err(Error::file("read", path))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(Error::Pem { what: "certificate", path: path.to_owned() }) } else { Ok(found) }
}
