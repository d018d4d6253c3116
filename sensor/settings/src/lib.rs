//! The one model of tenrec.toml, and the messages of the control socket.
