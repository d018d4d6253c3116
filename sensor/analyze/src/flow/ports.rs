//! Ports on which servers listen: a flow of which the beginning was missed is turned round by them.

use crate::Transport;

/// Zeek's `likely_server_ports`: the union of the ports that its stock analyzers register, sorted.
const TCP: &[u16] = &[
    21, 22, 25, 53, 80, 81, 88, 102, 110, 139, 143, 389, 443, 445, 502, 563, 585, 587, 614, 631, 636, 989, 990, 992, 993, 995, 1080, 1434,
    1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223, 5269, 5432, 6379, 8000, 8080, 8888, 20000,
];
const UDP: &[u16] =
    &[53, 67, 88, 123, 137, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3389, 3544, 4789, 5060, 5072, 5353, 5355, 6081, 20000];

/// Whether a server is likely to be behind `port`.
pub(crate) fn is_server(transport: Transport, port: u16) -> bool {
    match transport {
        Transport::Tcp => TCP.binary_search(&port).is_ok(),
        Transport::Udp => UDP.binary_search(&port).is_ok(),
        Transport::Icmp | Transport::Other(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(TCP.is_sorted() && UDP.is_sorted());
        assert!(is_server(Transport::Udp, 514));
    }
}
