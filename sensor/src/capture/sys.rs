//! The system calls that have no safe wrapper in the libraries: loading a program made of bytes, ethtool's switches, and the
//! options of packet sockets. Each function is safe to call and says what the kernel answered.

#![expect(unsafe_code, reason = "system calls that neither aya nor rustix wrap; each block states what it relies on")]

use std::{
    ffi::c_int,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr::null_mut,
};

use crate::capture::translate::Word;

const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_TYPE_XDP: u32 = 6;

/// The beginning of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// BPF_XDP of `enum bpf_attach_type`: what aya gives to the programs that this one jumps between.
const BPF_XDP: u32 = 37;

/// The beginning of `union bpf_attr` for BPF_MAP_UPDATE_ELEM.
#[repr(C)]
struct MapUpdate {
    map: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The beginning of `union bpf_attr` for BPF_PROG_TEST_RUN.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    rest: [u64; 5],
}

/// Loads an XDP program. Needs CAP_BPF and CAP_NET_ADMIN.
///
/// # Errors
/// The kernel's, with the end of the verifier's log where it has one.
pub fn load_xdp(name: &str, program: &[Word]) -> io::Result<OwnedFd> {
    let mut log = vec![0_u8; 64 * 1024];
    let mut attributes = ProgLoad {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        expected_attach_type: BPF_XDP,
        ..Default::default()
    };
    // The kernel wants a NUL at the end of at most 16 bytes.
    for (to, from) in attributes.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: `attributes` is the layout that BPF_PROG_LOAD reads; program and licence outlive the call.
    match unsafe { bpf(BPF_PROG_LOAD, &mut attributes) } {
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(error),
        Err(_) => {}
    }
    // Once more with the verifier's log: asking for it at once would cost every start.
    attributes.log_level = 1;
    attributes.log_size = log.len() as u32;
    attributes.log_buf = log.as_mut_ptr() as u64;
    // SAFETY: as above, and the log buffer is as long as it says.
    match unsafe { bpf(BPF_PROG_LOAD, &mut attributes) } {
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(error) => Err(io::Error::new(error.kind(), format!("{error}: {}", last_lines(&log)))),
    }
}

fn last_lines(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<_> = text.trim_end_matches('\0').lines().rev().take(6).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// Puts a program into an entry of a program array.
///
/// # Errors
/// The kernel's: EINVAL if the program does not fit to those that are there.
pub fn set_program(array: BorrowedFd<'_>, index: u32, program: BorrowedFd<'_>) -> io::Result<()> {
    let value = program.as_raw_fd();
    let mut attributes = MapUpdate {
        map: array.as_raw_fd() as u32,
        reserved: 0,
        key: (&raw const index) as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    // SAFETY: the layout of BPF_MAP_UPDATE_ELEM; key and value are the four bytes each that a program array has.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
}

/// Runs an XDP program once over a frame of at least 14 bytes and returns its verdict. For tests.
///
/// # Errors
/// The kernel's.
pub fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    let mut attributes = TestRun {
        program: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_in: frame.as_ptr() as u64,
        repeat: 1,
        ..Default::default()
    };
    // SAFETY: the layout of BPF_PROG_TEST_RUN; the frame outlives the call, no output is asked for.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.map(|_| attributes.retval)
}

/// # Safety
/// `attributes` must be laid out as `command` reads it, and what it points to must be valid for as long as it says.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: passed on to the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, (attributes as *mut T).cast::<libc::c_void>(), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}

/// `struct ifreq` with a pointer, as SIOCETHTOOL takes it.
#[repr(C)]
struct EthtoolRequest {
    name: [u8; libc::IFNAMSIZ],
    data: *mut EthtoolValue,
    rest: [u64; 2],
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// One of ethtool's commands that carry a number: asks with `data` 0, or sets it. Setting needs CAP_NET_ADMIN.
///
/// # Errors
/// The driver's: EOPNOTSUPP where it does not have the switch, EINVAL for a name longer than 15 bytes.
pub fn ethtool(socket: BorrowedFd<'_>, interface: &str, command: u32, data: u32) -> io::Result<u32> {
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    let mut name = [0; libc::IFNAMSIZ];
    if interface.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in name.iter_mut().zip(interface.bytes()) {
        *to = from;
    }
    let mut value = EthtoolValue { command, data };
    let mut request = EthtoolRequest { name, data: &raw mut value, rest: [0; 2] };
    // SAFETY: SIOCETHTOOL reads a `struct ifreq` whose pointer leads to a `struct ethtool_value` for these commands.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}

/// A socket for ioctls on interfaces: nothing is ever sent over it.
///
/// # Errors
/// The kernel's.
pub fn control_socket() -> io::Result<OwnedFd> {
    socket(libc::AF_INET, libc::SOCK_DGRAM, 0)
}

/// A packet socket that gets nothing until it is bound. Needs CAP_NET_RAW.
///
/// # Errors
/// The kernel's: EPERM without the capability.
pub fn packet_socket() -> io::Result<OwnedFd> {
    socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
}

fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds a packet socket to an interface and a protocol (0: nothing yet; ETH_P_ALL: every frame).
///
/// # Errors
/// The kernel's.
pub fn bind_packet(socket: &OwnedFd, ifindex: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: ifindex as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is as long as it says.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends one whole frame over a bound packet socket. For tests and benchmarks.
///
/// # Errors
/// The kernel's: ENOBUFS when the interface's queue is full.
pub fn send_frame(socket: &OwnedFd, frame: &[u8]) -> io::Result<()> {
    // SAFETY: the frame is as long as it says.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes this process ignore a signal.
///
/// # Errors
/// The kernel's, for a number that is no signal.
pub fn ignore(signal: c_int) -> io::Result<()> {
    // SAFETY: SIG_IGN installs no handler, so nothing of ours runs in one.
    let result = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if result == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A value that may be handed to the kernel as a socket option: plain, without pointers.
///
/// # Safety
/// Every byte of the value is initialised.
pub unsafe trait Plain: Copy {}
// SAFETY: integers have no padding.
unsafe impl Plain for c_int {}
// SAFETY: seven words of 32 bits.
unsafe impl Plain for libc::tpacket_req3 {}
// SAFETY: 4 + 2 + 2 + 8 bytes, no padding.
unsafe impl Plain for libc::packet_mreq {}
// SAFETY: three words of 32 bits.
unsafe impl Plain for libc::tpacket_stats_v3 {}

/// Sets a socket option.
///
/// # Errors
/// The kernel's.
pub fn set_option<T: Plain>(socket: &OwnedFd, level: c_int, name: c_int, value: T) -> io::Result<()> {
    // SAFETY: the value is as long as it says and fully initialised.
    unsafe { set_raw(socket, level, name, &value) }
}

/// Reads a socket option.
///
/// # Errors
/// The kernel's.
pub fn option<T: Plain>(socket: &OwnedFd, level: c_int, name: c_int, mut value: T) -> io::Result<T> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes of a value that any bytes are valid for.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// Hands a classic BPF program to a socket: SO_ATTACH_FILTER or PACKET_FANOUT_DATA.
///
/// # Errors
/// The kernel's: EINVAL for a program that its checker refuses.
pub fn set_program_option(socket: &OwnedFd, level: c_int, name: c_int, program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let value = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: `sock_fprog` points to as many instructions as it says; the kernel only reads them.
    unsafe { set_raw(socket, level, name, &value) }
}

/// # Safety
/// `value` must be what the option is documented to take, with valid pointers.
unsafe fn set_raw<T>(socket: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is `length` bytes long; the rest is the caller's promise.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (value as *const T).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Memory that is shared with the kernel: the ring of a packet socket.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: the memory belongs to the mapping, which has one owner at a time.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes of a descriptor for reading and writing, in memory from now on (no page faults later).
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(fd: &impl AsFd, length: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, fd.as_fd().as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start: start.cast(), length }) }
    }

    /// Its first byte.
    pub fn start(&self) -> *mut u8 {
        self.start
    }

    /// Bytes.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and nobody borrows from a mapping that is dropped.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
