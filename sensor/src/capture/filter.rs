//! The capture filter: tcpdump syntax in, classic BPF out.
//!
//! libpcap compiles the text, so that it means here exactly what it means to tcpdump. Nothing is filtered in this module:
//! the kernel does that, either as classic BPF on an AF_PACKET socket or as eBPF in front of the rings (`translate`).

use std::fmt;

use packets::filter::{program, reason};
use thiserror::Error;

/// One instruction of classic BPF, as in `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jt: u8,
    /// Instructions to skip if not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A filter that compiled. Its empty form, everything is wanted, does not exist: that is `None`.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    text: String,
    instructions: Vec<Instruction>,
}

/// The text is not a filter.
#[derive(Debug, Error)]
#[error("the capture filter {text:?} is not in tcpdump syntax: {reason}; see pcap-filter(7), or try it with `tcpdump -d`")]
pub struct Invalid {
    text: String,
    reason: String,
}

impl Filter {
    /// Compiles a filter for Ethernet frames; nothing for an empty text or one of blanks.
    ///
    /// # Errors
    /// [`Invalid`] with libpcap's reason.
    pub fn compile(text: &str) -> Result<Option<Self>, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let program = program(text).map_err(|reason| Invalid { text: text.to_owned(), reason })?;
        Self::read(text, &program).map(Some)
    }

    /// Compiles a filter for a socket on `interface`, where the kernel has taken the outer VLAN tag out of the frame:
    /// libpcap then writes `vlan` as a question to the kernel. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// [`Invalid`] with libpcap's reason, which may be that the interface cannot be opened.
    pub fn compile_for_socket(&self, interface: &str) -> Result<Self, Invalid> {
        let invalid = |error: pcap::Error| Invalid { text: self.text.clone(), reason: reason(error) };
        let handle = pcap::Capture::from_device(interface).and_then(pcap::Capture::open).map_err(invalid)?;
        let program = handle.compile(&self.text, true).map_err(invalid)?;
        Self::read(&self.text, &program)
    }

    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The program: never empty, and its last instruction returns.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The library shows an instruction only as text, `code jt jf k`: the format of `tcpdump -ddd`.
    fn read(text: &str, program: &pcap::BpfProgram) -> Result<Self, Invalid> {
        let unreadable = || Invalid { text: text.to_owned(), reason: "libpcap's program could not be read".to_owned() };
        let instructions: Option<Vec<_>> = program.get_instructions().iter().map(|instruction| parse(&instruction.to_string())).collect();
        let instructions = instructions.filter(|all| !all.is_empty()).ok_or_else(unreadable)?;
        Ok(Self { text: text.to_owned(), instructions })
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?}, {} instructions)", self.text, self.instructions.len())
    }
}

fn parse(line: &str) -> Option<Instruction> {
    let mut fields = line.split(' ');
    let instruction = Instruction {
        code: fields.next()?.parse().ok()?,
        jt: fields.next()?.parse().ok()?,
        jf: fields.next()?.parse().ok()?,
        k: fields.next()?.parse().ok()?,
    };
    fields.next().is_none().then_some(instruction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_is_no_filter() {
        assert_eq!(Filter::compile("").unwrap(), None);
        assert_eq!(Filter::compile(" \n").unwrap(), None);
    }

    #[test]
    fn the_program_is_libpcaps() {
        let filter = Filter::compile("ip").unwrap().unwrap();
        // tcpdump -ddd ip: load the ethertype, compare it, return.
        let codes: Vec<u16> = filter.instructions().iter().map(|instruction| instruction.code).collect();
        assert_eq!(codes, [0x28, 0x15, 0x06, 0x06]);
        assert_eq!(filter.instructions()[1].k, 0x0800);
    }

    #[test]
    fn a_typo_says_what_is_wrong_and_where_to_look() {
        let message = Filter::compile("tcp prot 80").unwrap_err().to_string();
        assert!(message.contains("tcp prot 80") && message.contains("syntax") && message.contains("pcap-filter"), "{message}");
    }
}
