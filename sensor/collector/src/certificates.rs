//! Certificates as Malcolm makes them: a CA of its own, a server certificate without any name, a pair for the sensor.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    RsaKeySize,
};

use crate::Error;

/// Kind of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// ECDSA on P-256: made at once.
    Ecdsa,
    /// RSA with 4096 bits as Malcolm has them: takes seconds to make.
    Rsa4096,
}

/// The files of a folder of certificates, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Certificate of the CA, which the sensor gets.
    pub ca: PathBuf,
    /// The collector's certificate, without a name in it.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// A certificate for the sensor.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Files {
    /// The files by their names in `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.crt"),
            server: folder.join("server.crt"),
            server_key: folder.join("server.key"),
            client: folder.join("client.crt"),
            client_key: folder.join("client.key"),
        }
    }
}

/// The certificates in `folder`; makes a CA, a server and a client certificate where there is no server certificate yet.
///
/// The CA's key is not kept: a site that wants more certificates brings its own CA.
///
/// # Errors
/// When the folder cannot be written.
pub fn ensure(folder: &Path, keys: Keys) -> Result<Files, Error> {
    let files = Files::of(folder);
    if files.server.exists() && files.server_key.exists() {
        return Ok(files);
    }
    make(folder, keys, false)
}

/// As [`ensure`], but the server's certificate has expired: to see what a sensor says to that.
///
/// # Errors
/// When the folder cannot be written.
pub fn expired(folder: &Path, keys: Keys) -> Result<Files, Error> {
    make(folder, keys, true)
}

fn make(folder: &Path, keys: Keys, expired: bool) -> Result<Files, Error> {
    let files = Files::of(folder);
    fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))?;
    let ca_key = key(keys)?;
    let ca = parameters("ca", None);
    let ca_certificate = ca.self_signed(&ca_key).map_err(Error::Make)?;
    let issuer = Issuer::from_params(&ca, &ca_key);
    write(&files.ca, &ca_certificate.pem(), 0o644)?;
    for (unit, certificate, private) in [("client", &files.client, &files.client_key), ("server", &files.server, &files.server_key)] {
        let pair = key(keys)?;
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let mut asked = parameters(unit, Some(usages));
        if expired && unit == "server" {
            asked.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let signed = asked.signed_by(&pair, &issuer).map_err(Error::Make)?;
        write(private, &pair.serialize_pem(), 0o600)?;
        write(certificate, &signed.pem(), 0o644)?;
    }
    Ok(files)
}

fn key(keys: Keys) -> Result<KeyPair, Error> {
    match keys {
        Keys::Ecdsa => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        Keys::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
    }
    .map_err(Error::Make)
}

/// No subject alternative name and no common name, as in Malcolm's certificates; without `usages`, a CA.
fn parameters(unit: &str, usages: Option<[ExtendedKeyUsagePurpose; 2]>) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "tenrec");
    name.push(DnType::OrganizationalUnitName, unit);
    parameters.distinguished_name = name;
    match usages {
        Some(usages) => parameters.extended_key_usages.extend(usages),
        None => {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
    }
    parameters
}

fn write(path: &Path, pem: &str, mode: u32) -> Result<(), Error> {
    let mut file =
        fs::OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(path).map_err(Error::file("write", path))?;
    file.write_all(pem.as_bytes()).map_err(Error::file("write", path))
}
