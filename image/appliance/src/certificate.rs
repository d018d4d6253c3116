//! The web UI's certificate: made on first boot, self-signed, told by its fingerprint on the console.
//!
//! It stays what it is as long as it can, since browsers and people remember it: it is made anew only when it is missing, or
//! when it was made here and lacks a name or address that the settings give this machine. One that the operator brought is
//! never touched.

use std::fs;
use std::net::IpAddr;

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::attached;
use crate::places::Places;

/// Organisation in the certificates that are made here.
const OURS: &str = "Tenrec appliance";

/// Makes it if it is missing or, made here, lacks an address, or a name that was chosen (`named`) and not only given for want of
/// one; whether it was made.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn ensure(places: &Places, host_name: &str, named: bool, addresses: &[IpAddr]) -> anyhow::Result<bool> {
    let present = places.etc().join("web.key").exists().then(|| leaf(places)).flatten();
    if present.is_some_and(|der| serves(&der, named.then_some(host_name), addresses)) {
        return Ok(false);
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
    let certificate = parameters(host_name, addresses)?.self_signed(&key).context("cannot make a certificate")?;
    attached::write(places, "web.key", &key.serialize_pem()).context("cannot write the web UI's key")?;
    attached::write(places, "web.crt", &certificate.pem()).context("cannot write the web UI's certificate")?;
    Ok(true)
}

/// SHA-256 of the certificate as browsers show it; empty if there is none.
pub(crate) fn fingerprint(places: &Places) -> String {
    let Some(der) = leaf(places) else { return String::new() };
    Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn parameters(host_name: &str, addresses: &[IpAddr]) -> anyhow::Result<CertificateParams> {
    let mut parameters =
        CertificateParams::new(vec![host_name.to_owned(), "localhost".to_owned()]).context("the host name fits no certificate")?;
    parameters.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, OURS);
    name.push(DnType::CommonName, host_name);
    parameters.distinguished_name = name;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // The clock of a machine that was never set may be years behind.
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2056, 1, 1);
    Ok(parameters)
}

fn leaf(places: &Places) -> Option<CertificateDer<'static>> {
    let pem = fs::read(places.etc().join("web.crt")).ok()?;
    CertificateDer::from_pem_slice(&pem).ok()
}

/// Whether it may stay: it is the operator's, or it has all the names.
fn serves(der: &[u8], host_name: Option<&str>, addresses: &[IpAddr]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let is_ours = certificate.issuer().iter_organization().any(|name| name.as_str() == Ok(OURS));
    let names = certificate.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
    let has = |wanted: &dyn Fn(&GeneralName<'_>) -> bool| names.is_some_and(|names| names.iter().any(wanted));
    let octets = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let has_all = host_name.is_none_or(|host_name| has(&|name| matches!(name, GeneralName::DNSName(dns) if *dns == host_name)))
        && addresses.iter().all(|address| has(&|name| matches!(name, GeneralName::IPAddress(bytes) if *bytes == octets(address))));
    !is_ours || has_all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_stays_until_it_lacks_a_name() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let address = ["192.0.2.7".parse().unwrap()];
        assert_eq!(fingerprint(&places), "");
        assert!(ensure(&places, "sensor", true, &[]).unwrap());
        let first = fingerprint(&places);
        assert_eq!((first.len(), first.matches(':').count()), (95, 31));
        assert!(!ensure(&places, "sensor", true, &[]).unwrap());
        assert!(ensure(&places, "sensor", true, &address).unwrap());
        assert_ne!(fingerprint(&places), first);
        assert!(!ensure(&places, "sensor", true, &[]).unwrap());
        assert!(!ensure(&places, "another", false, &address).unwrap());
        assert!(ensure(&places, "another", true, &address).unwrap());
    }

    #[test]
    fn the_operator_s_own_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["own.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        attached::write(&places, "web.crt", &own.pem()).unwrap();
        attached::write(&places, "web.key", &key.serialize_pem()).unwrap();
        assert!(!ensure(&places, "sensor", true, &["192.0.2.7".parse().unwrap()]).unwrap());
        assert_eq!(attached::read(&places, "web.crt").unwrap(), own.pem());
    }
}
