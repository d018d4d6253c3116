//! HTTPS: the certificate, read again when its files change, so that a new one needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, at most.
const PERIOD: Duration = Duration::from_secs(2);

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: web.certificate and web.key in the settings name certificate and key (PEM)", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The two are no pair, or of a kind that is not known.
    #[error("{} and {} do not go together", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Certificate and key by their files.
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    stamp: Stamp,
    looked: Instant,
}

/// By which a change is known.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Identity {
    /// Reads both.
    ///
    /// # Errors
    /// When one cannot be read, or they do not go together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let stamp = stamp(certificate, key);
        let current = Current { acceptor: acceptor(certificate, key)?, stamp, looked: Instant::now() };
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current: Mutex::new(current) })
    }

    /// For the next connection. New files that are no good are told of once, and the old ones stay.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= PERIOD {
            self.look(&mut current);
        }
        current.acceptor.clone()
    }

    fn look(&self, current: &mut Current) {
        current.looked = Instant::now();
        let stamp = stamp(&self.certificate, &self.key);
        if stamp == current.stamp {
            return;
        }
        current.stamp = stamp;
        match acceptor(&self.certificate, &self.key) {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                tracing::info!(certificate = %self.certificate.display(), "the new certificate is in use");
            }
            Err(error) => tracing::warn!(error = crate::history::explain(&error), "the new certificate is not taken, the old one stays"),
        }
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| std::fs::metadata(path).and_then(|known| Ok((known.modified()?, known.len()))).ok())
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(read(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
    let pair = |source| Error::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("web.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("web.key"), made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_new_pair_is_taken_and_a_broken_one_leaves_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("web.crt"), folder.path().join("web.key"));
        assert!(Identity::load(&certificate, &key).is_err_and(|error| error.to_string().contains("web.certificate")));
        write(folder.path());
        let identity = Identity::load(&certificate, &key).unwrap();
        let same = |left: &TlsAcceptor, right: &TlsAcceptor| Arc::ptr_eq(left.config(), right.config());
        let look = || {
            let mut current = identity.current.lock().unwrap();
            identity.look(&mut current);
            current.acceptor.clone()
        };
        let first = look();
        std::fs::write(&key, "broken, and of another length").unwrap();
        assert!(same(&first, &look()));
        write(folder.path());
        assert!(!same(&first, &look()));
    }
}
