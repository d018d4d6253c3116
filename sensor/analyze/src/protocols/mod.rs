//! The protocols: one folder each, one row each in [`PROTOCOLS`].

pub mod dce_rpc;
pub(crate) mod der;
pub mod dhcp;
pub mod dnp3;
pub mod dns;
pub mod ftp;
pub mod http;
pub mod imap;
pub mod irc;
pub mod kerberos;
pub mod ldap;
pub mod modbus;
pub mod mqtt;
pub mod mysql;
pub mod ntlm;
pub mod ntp;
pub mod ocsp;
pub mod pe;
pub mod pop3;
pub mod postgresql;
pub mod quic;
pub mod radius;
pub mod rdp;
pub mod redis;
pub mod rfb;
pub mod sip;
pub mod smb;
pub mod smtp;
pub mod snmp;
pub mod socks;
pub mod ssh;
pub mod syslog;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod websocket;
pub mod x509;
pub mod xmpp;

use crate::Protocol;

/// Every protocol that the engine can identify. The table drives identification, documentation and settings.
#[rustfmt::skip]
pub static PROTOCOLS: &[&Protocol] = &[
    &dns::DNS,
    &http::HTTP,
    &tls::TLS,
    &tls::DTLS,
    &ssh::SSH,
    &smtp::SMTP,
    &mysql::MYSQL,
    &redis::REDIS,
    &ldap::LDAP_TCP,
    &ldap::LDAP_UDP,
    &quic::QUIC,
    &smb::SMB,
    &dce_rpc::DCE_RPC,
    &xmpp::XMPP,
    &imap::IMAP,
    &pop3::POP3,
    &sip::SIP,
    &snmp::SNMP,
    &postgresql::POSTGRESQL,
    &rdp::RDP,
    &rdp::RDPEUDP,
    &rfb::RFB,
    &socks::SOCKS,
    &radius::RADIUS,
    &modbus::MODBUS,
    &irc::IRC,
    &mqtt::MQTT,
    &kerberos::KERBEROS_TCP,
    &kerberos::KERBEROS_UDP,
    &ftp::FTP,
    &dhcp::DHCP,
    &syslog::SYSLOG_TCP,
    &syslog::SYSLOG_UDP,
    &ntp::NTP,
    &dnp3::DNP3_UDP,
    &dnp3::DNP3_TCP,
];

/// What an HTTP connection becomes after `101 Switching Protocols`, by the token of its `Upgrade` field.
pub(crate) fn upgrade(token: &[u8]) -> Option<&'static Protocol> {
    (token == b"websocket").then_some(&websocket::WEBSOCKET)
}
