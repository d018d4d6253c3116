//! NTLM within other protocols: who authenticates where, in `ntlm.log`; SPNEGO around it is unwrapped.
//!
//! Not a protocol of its own on the wire: SMB and DCE-RPC show their tokens to [`Tokens`]. Non-goals: responses to
//! challenges, and Kerberos within SPNEGO beyond its name.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use crate::Output;
use wire::Message;

pub use record::{LOG, Ntlm};
pub(crate) use wire::utf16;

/// The tokens of one flow.
#[derive(Default)]
pub(crate) struct Tokens {
    row: Option<Box<Ntlm>>,
    done: bool,
}

impl Tokens {
    /// Takes a token of GSS-API, or of NTLM itself.
    pub(crate) fn token(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let token = wire::token(bytes);
        if token.is_gssapi {
            out.service("gssapi");
        }
        if token.is_kerberos {
            out.service("krb");
        }
        if let Some(message) = token.inner.and_then(Message::read) {
            out.service("ntlm");
            self.message(message, out);
        }
        // What is unfinished says nothing.
        if let Some(state) = token.result.filter(|&state| state != 1)
            && let Some(row) = self.row.take().filter(|_| !self.done)
        {
            self.done = true;
            out.record(Ntlm { success: Some(state == 0), ..*row });
        }
    }

    fn message(&mut self, message: Message, out: &Output<'_>) {
        if self.done {
            return;
        }
        let row = self.row.get_or_insert_with(|| {
            Box::new(Ntlm {
                at: out.at,
                id: out.id,
                username: None,
                hostname: None,
                domainname: None,
                server_nb_computer_name: None,
                server_dns_computer_name: None,
                server_tree_name: None,
                success: None,
            })
        });
        match message {
            Message::Negotiate => {}
            Message::Challenge(server) => {
                row.server_nb_computer_name = server.netbios_name.or(row.server_nb_computer_name.take());
                row.server_dns_computer_name = server.dns_name.or(row.server_dns_computer_name.take());
                row.server_tree_name = server.tree.or(row.server_tree_name.take());
            }
            Message::Authenticate { domain, user, host } => {
                row.domainname = domain.or(row.domainname.take());
                row.username = user.or(row.username.take());
                row.hostname = host.or(row.hostname.take());
            }
        }
    }

    /// The flow is over.
    pub(crate) fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }
}
