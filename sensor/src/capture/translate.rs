//! Classic BPF to eBPF: the capture filter as a program of its own, which the kernel verifies and compiles.
//!
//! The filter stands between the two XDP programs: `enter` jumps to it, and it jumps on to `accepted` with the frames that
//! are wanted; of the others it keeps the count itself and lets them pass. It reads the frame directly, every load behind
//! a bounds check, so that it means what classic BPF means: a load beyond the frame rejects it.
//!
//! ```text
//! r0 accumulator A   r6 context   r7 start of the frame   r9 index register X   r1–r5 scratch
//! stack: fp−4 key of the counters   fp−8 length of the frame   fp−72…fp−12 the sixteen words of M
//! ```
//!
//! Not here: classic BPF's negative offsets (questions to the kernel), which libpcap does not write for a frame's own bytes.

use std::mem::offset_of;

use abi::{Counters, QUEUES, Tally};
use thiserror::Error;

use crate::capture::filter::Instruction;

/// One instruction of eBPF in the kernel's layout.
pub type Word = [u8; 8];

/// Where a filter ends.
#[derive(Clone, Copy, Debug)]
pub enum Endings {
    /// As part of the capture: count or jump on. Descriptors of the maps and the interface's slot.
    Capture {
        /// Map `NEXT`.
        next: i32,
        /// Map `COUNTERS`.
        counters: i32,
        /// Slot of the interface.
        slot: u32,
    },
    /// As a question: XDP_PASS for wanted, XDP_DROP for not wanted. Only for comparing it with libpcap.
    Verdict,
}

/// The filter has something that cannot be said in eBPF.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Untranslatable {
    /// An instruction that libpcap does not write for Ethernet frames.
    #[error("instruction {index} of the capture filter (code {code:#x}, operand {k:#x}) has no translation")]
    Instruction {
        /// Its place.
        index: usize,
        /// Its code.
        code: u16,
        /// Its operand.
        k: u32,
    },
    /// A jump of more than 32767 instructions.
    #[error("the capture filter is too long: use fewer hosts or ports, or networks instead of hosts")]
    TooLong,
}

const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;

/// Words of scratch memory of a classic program, and where word 0 lies on the stack.
const MEMORY_WORDS: u32 = 16;
const MEMORY: i16 = -72;
const KEY: i16 = -4;
const LENGTH: i16 = -8;

/// The farthest byte that is looked at: beyond it the verifier does not follow offsets into a frame.
const FARTHEST: i32 = 0xfff0;

/// Translates a whole program.
///
/// # Errors
/// [`Untranslatable`] if it has an instruction or a length that libpcap's programs for Ethernet do not have.
pub fn translate(program: &[Instruction], endings: Endings) -> Result<Vec<Word>, Untranslatable> {
    let mut assembler = Assembler::default();
    assembler.prologue();
    for (index, instruction) in program.iter().enumerate() {
        assembler.mark(Label::Instruction(index));
        assembler.instruction(index, *instruction)?;
    }
    // The verifier takes no code that nothing leads to, so each ending is there only if it is asked for.
    if program.last().is_none_or(|last| last.code & 0x07 != op::RET) {
        assembler.jump(Label::Reject);
    }
    if assembler.leads_to(Label::Accept) {
        assembler.mark(Label::Accept);
        assembler.accept(endings);
    }
    if assembler.leads_to(Label::Reject) {
        assembler.mark(Label::Reject);
        assembler.reject(endings);
    }
    assembler.finish()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Label {
    Instruction(usize),
    Accept,
    Reject,
    Out,
}

/// Classes, sizes, sources and operations, as both dialects number them (linux/bpf_common.h, linux/bpf.h).
mod op {
    pub(super) const LD: u16 = 0x00;
    pub(super) const LDX: u16 = 0x01;
    pub(super) const ST: u16 = 0x02;
    pub(super) const STX: u16 = 0x03;
    pub(super) const ALU: u16 = 0x04;
    pub(super) const JMP: u16 = 0x05;
    pub(super) const RET: u16 = 0x06;
    pub(super) const MISC: u16 = 0x07;
    pub(super) const JMP32: u8 = 0x06;
    pub(super) const ALU64: u8 = 0x07;

    pub(super) const W: u8 = 0x00;
    pub(super) const H: u8 = 0x08;
    pub(super) const B: u8 = 0x10;
    pub(super) const DW: u8 = 0x18;

    pub(super) const MEM: u8 = 0x60;

    pub(super) const X: u8 = 0x08;
    pub(super) const ADD: u8 = 0x00;
    pub(super) const AND: u8 = 0x50;
    pub(super) const LSH: u8 = 0x60;
    pub(super) const DIV: u8 = 0x30;
    pub(super) const MOD: u8 = 0x90;
    pub(super) const MOV: u8 = 0xb0;
    pub(super) const TO_BIG_ENDIAN: u8 = 0xd8;

    pub(super) const JEQ: u8 = 0x10;
    pub(super) const JGT: u8 = 0x20;
    pub(super) const CALL: u8 = 0x80;
    pub(super) const EXIT: u8 = 0x90;
}

const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const CONTEXT: u8 = 6;
const START: u8 = 7;
const A: u8 = R0;
const X: u8 = 9;
const FRAME_POINTER: u8 = 10;

const MAP_LOOKUP: i32 = 1;
const TAIL_CALL: i32 = 12;
const XDP_GET_BUFF_LEN: i32 = 188;

/// Offsets into `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const RX_QUEUE_INDEX: i16 = 16;

#[derive(Default)]
struct Assembler {
    code: Vec<(u8, u8, i16, i32)>,
    labels: Vec<(Label, usize)>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn prologue(&mut self) {
        self.alu64(op::MOV | op::X, CONTEXT, R1, 0);
        self.call(XDP_GET_BUFF_LEN);
        self.emit(op::STX as u8 | op::MEM | op::W, FRAME_POINTER, R0, LENGTH, 0);
        self.emit(op::LDX as u8 | op::MEM | op::W, START, CONTEXT, DATA, 0);
        self.alu64(op::MOV, A, 0, 0);
        self.alu64(op::MOV, X, 0, 0);
        for word in 0..MEMORY_WORDS {
            self.emit(op::STX as u8 | op::MEM | op::W, FRAME_POINTER, A, memory(word), 0);
        }
    }

    fn instruction(&mut self, index: usize, instruction: Instruction) -> Result<(), Untranslatable> {
        let Instruction { code, jt, jf, k } = instruction;
        let unknown = Err(Untranslatable::Instruction { index, code, k });
        let size = (code & 0x18) as u8;
        match code & 0x07 {
            op::LD | op::LDX => {
                let to = if code & 0x07 == op::LD { A } else { X };
                match code & 0xe0 {
                    // Immediate.
                    0x00 => self.alu32(op::MOV, to, 0, k as i32),
                    // Absolute.
                    0x20 if to == A => self.load_at(to, k, size),
                    // Behind X.
                    0x40 if to == A => self.load_behind_x(k, size),
                    0x60 if k < MEMORY_WORDS => self.emit(op::LDX as u8 | op::MEM | op::W, to, FRAME_POINTER, memory(k), 0),
                    0x80 => self.emit(op::LDX as u8 | op::MEM | op::W, to, FRAME_POINTER, LENGTH, 0),
                    // X = four times the low half of a byte: the length of an IPv4 header.
                    0xa0 if to == X => {
                        self.load_at(X, k, op::B);
                        self.alu32(op::AND, X, 0, 0x0f);
                        self.alu32(op::LSH, X, 0, 2);
                    }
                    _ => return unknown,
                }
            }
            class @ (op::ST | op::STX) if k < MEMORY_WORDS => {
                let from = if class == op::ST { A } else { X };
                self.emit(op::STX as u8 | op::MEM | op::W, FRAME_POINTER, from, memory(k), 0);
            }
            op::ALU => {
                let operation = (code & 0xf0) as u8;
                let by_x = code as u8 & op::X;
                if by_x != 0 && (operation == op::DIV || operation == op::MOD) {
                    self.jump_if(op::JMP32 | op::JEQ, X, 0, 0, Label::Reject);
                }
                match operation {
                    // add sub mul div or and lsh rsh neg mod xor: numbered alike in both dialects.
                    0x00..=0xa0 if (operation == op::DIV || operation == op::MOD) && by_x == 0 && k == 0 => return unknown,
                    0x80 => self.alu32(operation, A, 0, 0),
                    0x00..=0xa0 if by_x != 0 => self.alu32(operation | op::X, A, X, 0),
                    0x00..=0xa0 => self.alu32(operation, A, 0, k as i32),
                    _ => return unknown,
                }
            }
            op::JMP => {
                let operation = (code & 0xf0) as u8;
                let next = index.saturating_add(1);
                if operation == 0 {
                    self.jump(Label::Instruction(next.saturating_add(k as usize)));
                    return Ok(());
                }
                if operation > 0x40 {
                    return unknown;
                }
                let (holds, fails) = (Label::Instruction(next + jt as usize), Label::Instruction(next + jf as usize));
                let by_x = code as u8 & op::X;
                if by_x != 0 {
                    self.jump_if(op::JMP32 | operation | op::X, A, X, 0, holds);
                } else {
                    self.jump_if(op::JMP32 | operation, A, 0, k as i32, holds);
                }
                if jf != 0 {
                    self.jump(fails);
                }
            }
            op::RET => match code & 0x18 {
                0x00 if k == 0 => self.jump(Label::Reject),
                0x00 => self.jump(Label::Accept),
                0x10 => {
                    self.jump_if(op::JMP32 | op::JEQ, A, 0, 0, Label::Reject);
                    self.jump(Label::Accept);
                }
                _ => return unknown,
            },
            op::MISC if code & 0xf8 == 0x00 => self.alu32(op::MOV | op::X, X, A, 0),
            op::MISC if code & 0xf8 == 0x80 => self.alu32(op::MOV | op::X, A, X, 0),
            _ => return unknown,
        }
        Ok(())
    }

    /// Loads `size` bytes at a fixed place, in network byte order.
    fn load_at(&mut self, to: u8, k: u32, size: u8) {
        if k > FARTHEST as u32 {
            // As a condition, which always holds: what follows must not look unreachable.
            self.alu32(op::MOV, R3, 0, 0);
            self.jump_if(op::JMP as u8 | op::JEQ, R3, 0, 0, Label::Reject);
            return;
        }
        self.alu64(op::MOV | op::X, R2, START, 0);
        self.alu64(op::ADD, R2, 0, k as i32);
        self.load(to, R2, size);
    }

    /// Loads `size` bytes into A at X + `k`, a sum of 32 bits.
    fn load_behind_x(&mut self, k: u32, size: u8) {
        self.alu32(op::MOV | op::X, R3, X, 0);
        self.alu32(op::ADD, R3, 0, k as i32);
        self.jump_if(op::JMP as u8 | op::JGT, R3, 0, FARTHEST, Label::Reject);
        self.alu64(op::MOV | op::X, R2, START, 0);
        self.alu64(op::ADD | op::X, R2, R3, 0);
        self.load(A, R2, size);
    }

    /// Loads what `at` points to, if the frame reaches that far.
    fn load(&mut self, to: u8, at: u8, size: u8) {
        let bytes = match size {
            op::W => 4,
            op::H => 2,
            _ => 1,
        };
        self.alu64(op::MOV | op::X, R3, at, 0);
        self.alu64(op::ADD, R3, 0, bytes);
        self.emit(op::LDX as u8 | op::MEM | op::W, R4, CONTEXT, DATA_END, 0);
        self.jump_if(op::JMP as u8 | op::JGT | op::X, R3, R4, 0, Label::Reject);
        self.emit(op::LDX as u8 | op::MEM | size, to, at, 0, 0);
        if bytes > 1 {
            self.emit(op::ALU as u8 | op::TO_BIG_ENDIAN, to, 0, 0, bytes * 8);
        }
    }

    fn accept(&mut self, endings: Endings) {
        if let Endings::Capture { next, .. } = endings {
            self.alu64(op::MOV | op::X, R1, CONTEXT, 0);
            self.map(R2, next);
            self.alu64(op::MOV, R3, 0, 0);
            self.call(TAIL_CALL);
        }
        self.alu64(op::MOV, R0, 0, XDP_PASS);
        self.emit(op::JMP as u8 | op::EXIT, 0, 0, 0, 0);
    }

    fn reject(&mut self, endings: Endings) {
        let Endings::Capture { counters, slot, .. } = endings else {
            self.alu64(op::MOV, R0, 0, XDP_DROP);
            self.emit(op::JMP as u8 | op::EXIT, 0, 0, 0, 0);
            return;
        };
        let last_queue = QUEUES as i32 - 1;
        self.emit(op::LDX as u8 | op::MEM | op::W, R2, CONTEXT, RX_QUEUE_INDEX, 0);
        // if queue > last { queue = last }: skip one unless it is.
        self.emit(op::JMP as u8 | op::JGT, R2, 0, 1, last_queue);
        self.emit(op::JMP as u8, 0, 0, 1, 0);
        self.alu64(op::MOV, R2, 0, last_queue);
        self.alu64(op::ADD, R2, 0, slot.wrapping_mul(QUEUES) as i32);
        self.emit(op::STX as u8 | op::MEM | op::W, FRAME_POINTER, R2, KEY, 0);
        self.map(R1, counters);
        self.alu64(op::MOV | op::X, R2, FRAME_POINTER, 0);
        self.alu64(op::ADD, R2, 0, KEY.into());
        self.call(MAP_LOOKUP);
        self.jump_if(op::JMP as u8 | op::JEQ, R0, 0, 0, Label::Out);
        let frames = (offset_of!(Counters, filtered) + offset_of!(Tally, frames)) as i16;
        let bytes = (offset_of!(Counters, filtered) + offset_of!(Tally, bytes)) as i16;
        self.emit(op::LDX as u8 | op::MEM | op::DW, R1, R0, frames, 0);
        self.alu64(op::ADD, R1, 0, 1);
        self.emit(op::STX as u8 | op::MEM | op::DW, R0, R1, frames, 0);
        self.emit(op::LDX as u8 | op::MEM | op::DW, R1, R0, bytes, 0);
        self.emit(op::LDX as u8 | op::MEM | op::W, R2, FRAME_POINTER, LENGTH, 0);
        self.alu64(op::ADD | op::X, R1, R2, 0);
        self.emit(op::STX as u8 | op::MEM | op::DW, R0, R1, bytes, 0);
        self.mark(Label::Out);
        self.alu64(op::MOV, R0, 0, XDP_PASS);
        self.emit(op::JMP as u8 | op::EXIT, 0, 0, 0, 0);
    }

    fn emit(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        self.code.push((code, to | (from << 4), offset, immediate));
    }

    fn alu64(&mut self, operation: u8, to: u8, from: u8, immediate: i32) {
        self.emit(op::ALU64 | operation, to, from, 0, immediate);
    }

    fn alu32(&mut self, operation: u8, to: u8, from: u8, immediate: i32) {
        self.emit(op::ALU as u8 | operation, to, from, 0, immediate);
    }

    fn call(&mut self, helper: i32) {
        self.emit(op::JMP as u8 | op::CALL, 0, 0, 0, helper);
    }

    /// A 64-bit immediate that the kernel replaces by the map behind the descriptor.
    fn map(&mut self, to: u8, descriptor: i32) {
        const PSEUDO_MAP_FD: u8 = 1;
        self.emit(op::LD as u8 | op::DW, to, PSEUDO_MAP_FD, 0, descriptor);
        self.emit(0, 0, 0, 0, 0);
    }

    fn jump(&mut self, label: Label) {
        self.jump_if(op::JMP as u8, 0, 0, 0, label);
    }

    fn jump_if(&mut self, code: u8, a: u8, b: u8, immediate: i32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(code, a, b, 0, immediate);
    }

    fn leads_to(&self, label: Label) -> bool {
        self.jumps.iter().any(|(_, target)| *target == label)
    }

    fn mark(&mut self, label: Label) {
        self.labels.push((label, self.code.len()));
    }

    /// Puts the distances into the jumps.
    fn finish(mut self) -> Result<Vec<Word>, Untranslatable> {
        for (at, label) in &self.jumps {
            // A jump beyond the program's end wants nothing, as classic BPF's checker would not take it at all.
            let target = self.labels.iter().find(|(marked, _)| marked == label).or_else(|| self.labels.last());
            let target = target.map_or(0, |(_, target)| *target);
            let distance = i64::try_from(target).unwrap_or(i64::MAX) - i64::try_from(*at).unwrap_or(0) - 1;
            let distance = i16::try_from(distance).map_err(|_| Untranslatable::TooLong)?;
            if let Some((_, _, offset, _)) = self.code.get_mut(*at) {
                *offset = distance;
            }
        }
        Ok(self.code.into_iter().map(word).collect())
    }
}

/// `code | registers | offset | immediate` in the byte order of the machine.
fn word((code, registers, offset, immediate): (u8, u8, i16, i32)) -> Word {
    let [o0, o1] = offset.to_ne_bytes();
    let [i0, i1, i2, i3] = immediate.to_ne_bytes();
    [code, registers, o0, o1, i0, i1, i2, i3]
}

/// Where word `k` of the scratch memory lies.
fn memory(k: u32) -> i16 {
    MEMORY.saturating_add((k as i16).saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::filter::Filter;

    #[test]
    fn every_filter_of_the_manual_page_translates() {
        for text in [
            "host 192.0.2.1",
            "net 10.0.0.0/8 and not port 22",
            "tcp port 80 or udp portrange 5000-6000",
            "vlan 7 and ip6",
            "vlan and vlan 3 and tcp",
            "ip[2:2] > 576 and tcp[13] & 3 != 0",
            "ether host 02:00:00:00:00:01",
            "greater 100 and less 1000",
            "ip6 and icmp6 and ip6[40] == 128",
            "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
            "pppoes and ip",
            "mpls 7 and ip",
            "ip proto 47 or ip broadcast",
            "icmp[0] / 3 = 2",
        ] {
            let filter = Filter::compile(text).unwrap().unwrap();
            let words = translate(filter.instructions(), Endings::Verdict);
            assert!(words.is_ok_and(|words| words.len() > 20), "{text}");
        }
    }

    #[test]
    fn a_question_to_the_kernel_is_refused_or_reads_nothing() {
        // SKF_AD_OFF: far beyond any frame, so the load rejects.
        let load = Instruction { code: 0x20, jt: 0, jf: 0, k: 0xffff_f000 };
        assert!(translate(&[load], Endings::Verdict).is_ok());
        let unknown = Instruction { code: 0xffff, jt: 0, jf: 0, k: 0 };
        assert_eq!(translate(&[unknown], Endings::Verdict), Err(Untranslatable::Instruction { index: 0, code: 0xffff, k: 0 }));
    }

    #[test]
    fn a_filter_of_too_many_hosts_is_refused_and_not_cut() {
        let never = Instruction { code: 0x15, jt: 255, jf: 255, k: 1 };
        let load = Instruction { code: 0x20, jt: 0, jf: 0, k: 0 };
        let program: Vec<_> = [load, never].into_iter().cycle().take(40_000).collect();
        assert_eq!(translate(&program, Endings::Verdict), Err(Untranslatable::TooLong));
    }
}
