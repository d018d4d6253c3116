//! Gives privileges up, before the first packet is parsed.
//!
//! What is open stays open: sockets, eBPF maps, files. From then on the thread that calls [`enter`], and every thread that
//! it starts, has
//!
//! * no capabilities, none that an `exec` could bring back, and `no_new_privs`;
//! * Landlock: it reads and writes only what its [`Policy`] names, and connects only to the ports named there;
//! * seccomp: no new programs, no packet sockets, no eBPF but look-ups in maps that are open, no mounts, no tracing, …
//!   The list says what is refused, not what is allowed: a new libc must not stop a sensor.
//!
//! Limits: the user stays the same, so a sensor started as root owns what root owns, as far as Landlock lets it; the
//! service unit starts it as a user of its own. On a kernel without Landlock the rest still holds, and a warning says so.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use caps::CapSet;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use thiserror::Error;

/// What a sandboxed process may still do.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Folders and files that it may read, besides those of [`SYSTEM`]. What does not exist is left out.
    pub read: Vec<PathBuf>,
    /// Folders that it may read and write in, which must exist.
    pub write: Vec<PathBuf>,
    /// TCP ports that it may connect to; nothing for any.
    pub connect: Option<Vec<u16>>,
}

/// What the C library reads to resolve names, tell the time and look at the machine.
pub const SYSTEM: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/usr/lib",
    "/run/systemd/resolve",
    "/proc/self",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/stat",
    "/sys/class/net",
    "/sys/devices",
    "/dev/null",
    "/dev/urandom",
];

/// Why privileges could not be given up. Nothing untrusted must be read then.
#[derive(Debug, Error)]
pub enum Error {
    /// The kernel does not let capabilities go.
    #[error("capabilities cannot be dropped")]
    Capabilities(#[source] caps::errors::CapsError),
    /// Setting `no_new_privs` failed.
    #[error("no_new_privs cannot be set")]
    NoNewPrivileges(#[source] io::Error),
    /// A folder that is to be written to is not there.
    #[error("the folder {folder} cannot be opened for the sandbox: create it, or change it in tenrec.toml")]
    Folder {
        /// Its path.
        folder: PathBuf,
        /// What the kernel said.
        source: landlock::PathFdError,
    },
    /// Landlock refuses the rules.
    #[error("Landlock does not take the rules")]
    Landlock(#[from] landlock::RulesetError),
    /// seccomp refuses the filter.
    #[error("seccomp does not take the filter: {0}")]
    Seccomp(String),
}

/// How much of the sandbox the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// All of it.
    Full,
    /// Landlock is older than this program: files are confined, but ports and devices may not be.
    Partial,
    /// There is no Landlock: files are protected by their modes alone.
    WithoutLandlock,
}

/// Gives up everything that `policy` does not name, for good. Call it while the process has one thread.
///
/// # Errors
/// [`Error`]: then the process must not go on.
pub fn enter(policy: &Policy) -> Result<Strength, Error> {
    rustix::thread::set_no_new_privs(true).map_err(|error| Error::NoNewPrivileges(error.into()))?;
    let strength = restrict_files(policy)?;
    drop_capabilities()?;
    restrict_calls()?;
    Ok(strength)
}

/// Threads that the process has: the sandbox holds those that start after it.
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

fn drop_capabilities() -> Result<(), Error> {
    // The bounding set first: it takes a capability to give it up. Without that one there is nothing an exec could gain,
    // since no_new_privs is set.
    if caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding).map_err(Error::Capabilities)?;
    }
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(Error::Capabilities)?;
    }
    Ok(())
}

fn restrict_files(policy: &Policy) -> Result<Strength, Error> {
    // The newest rights that are in the kernels we know (6.7: network; 6.10: ioctl on devices).
    let abi = ABI::V5;
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(abi))?;
    if policy.connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut rules = ruleset.create()?;
    let read = AccessFs::from_read(abi) & !AccessFs::Execute;
    for path in SYSTEM.iter().map(Path::new).chain(policy.read.iter().map(PathBuf::as_path)) {
        if let Ok(open) = PathFd::new(path) {
            let access = if path.is_dir() { read } else { AccessFs::ReadFile.into() };
            rules = rules.add_rule(PathBeneath::new(open, access))?;
        }
    }
    let write = AccessFs::from_all(abi) & !AccessFs::Execute & !AccessFs::IoctlDev & !AccessFs::MakeBlock & !AccessFs::MakeChar;
    for folder in &policy.write {
        let open = PathFd::new(folder).map_err(|source| Error::Folder { folder: folder.clone(), source })?;
        rules = rules.add_rule(PathBeneath::new(open, write))?;
    }
    for port in policy.connect.iter().flatten() {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let status = rules.restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Strength::Full,
        RulesetStatus::PartiallyEnforced => Strength::Partial,
        RulesetStatus::NotEnforced => Strength::WithoutLandlock,
    })
}

/// Calls that nothing in the sensor makes after its start.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_personality,
    libc::SYS_io_uring_setup,
];

fn restrict_calls() -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Seccomp(error.to_string());
    let compare = |argument, op, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value).map_err(|error| failed(&error));
    let rule = |conditions| SeccompRule::new(conditions).map_err(|error| failed(&error));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // Sockets of other families than these. AF_NETLINK: the C library asks the kernel for addresses.
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let mut others = Vec::new();
    for family in families {
        others.push(compare(0, SeccompCmpOp::Ne, family as u64)?);
    }
    let raw = compare(1, SeccompCmpOp::MaskedEq(0xf), libc::SOCK_RAW as u64)?;
    let not_netlink = compare(0, SeccompCmpOp::Ne, libc::AF_NETLINK as u64)?;
    rules.insert(libc::SYS_socket, vec![rule(others)?, rule(vec![raw, not_netlink])?]);
    // eBPF: look up (1), update (2), delete (3), go on (4) in maps that are open; of larger numbers none.
    rules.insert(libc::SYS_bpf, vec![rule(vec![compare(0, SeccompCmpOp::Gt, 4)?])?, rule(vec![compare(0, SeccompCmpOp::Eq, 0)?])?]);
    // A new user namespace would bring all capabilities back, in it.
    let namespaces = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET) as u64;
    let mut cloning = Vec::new();
    for bit in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET] {
        cloning.push(rule(vec![compare(0, SeccompCmpOp::MaskedEq(bit as u64 & namespaces), bit as u64)?])?);
    }
    rules.insert(libc::SYS_clone, cloning);
    install(rules, libc::EPERM)?;
    // The arguments of clone3 lie in memory, where a filter cannot look: without it the C library takes clone.
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

fn install(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Seccomp(error.to_string());
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| failed(&error))?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), architecture)
        .map_err(|error| failed(&error))?;
    let program: seccompiler::BpfProgram = filter.try_into().map_err(|error: seccompiler::BackendError| failed(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
        thread,
    };

    use super::*;
    use crate::capture::sys;

    /// Runs in a thread of its own: the sandbox is for good, and holds the thread that enters it.
    fn inside<T: Send + 'static>(policy: Policy, act: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(move || {
            let strength = enter(&policy).unwrap();
            if strength == Strength::WithoutLandlock {
                let _ = writeln!(io::stderr(), "SKIPPED: part of a sandbox test: this kernel has no Landlock");
            }
            act()
        })
        .join()
        .unwrap()
    }

    fn refused<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn secrets_cannot_be_read_and_nothing_written_elsewhere() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = other.path().join("file");
        fs::write(&file, "secret").unwrap();
        let policy = Policy { write: vec![data.path().to_owned()], ..Policy::default() };
        inside(policy, move || {
            assert!(refused(fs::read("/etc/shadow")));
            assert!(refused(fs::read(&file)));
            assert!(refused(fs::write(other.path().join("new"), "x")));
            assert!(refused(fs::write("/etc/tenrec-test", "x")));
            fs::write(data.path().join("new"), "x").unwrap();
            fs::rename(data.path().join("new"), data.path().join("newer")).unwrap();
            assert_eq!(fs::read(data.path().join("newer")).unwrap(), b"x");
            fs::remove_file(data.path().join("newer")).unwrap();
        });
    }

    #[test]
    fn no_raw_socket_no_program_and_no_capability_is_left_also_for_threads_started_later() {
        let check = || {
            assert!(refused(sys::packet_socket()));
            assert!(refused(sys::load_xdp("none", &[[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]])));
            assert!(refused(std::process::Command::new("/bin/true").status()));
            for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Bounding, CapSet::Ambient] {
                // Without CAP_SETPCAP the bounding set stays, which no_new_privs makes harmless.
                let left = caps::read(None, set).unwrap();
                let harmless = matches!(set, CapSet::Bounding) && !rustix::process::getuid().is_root();
                assert!(left.is_empty() || harmless, "{set:?}");
            }
        };
        inside(Policy::default(), move || {
            check();
            thread::spawn(check).join().unwrap();
        });
    }

    #[test]
    fn only_the_collectors_port_can_be_connected_to() {
        let (collector, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (port, elsewhere) = (collector.local_addr().unwrap().port(), other.local_addr().unwrap());
        let policy = Policy { connect: Some(vec![port]), ..Policy::default() };
        let refusing = inside(policy.clone(), move || refused(TcpStream::connect(elsewhere)));
        assert!(refusing || thread::spawn(move || enter(&policy).unwrap()).join().unwrap() != Strength::Full);
        let address = collector.local_addr().unwrap();
        let policy = Policy { connect: Some(vec![port]), ..Policy::default() };
        inside(policy, move || drop(TcpStream::connect(address).unwrap()));
    }

    #[test]
    fn what_was_open_stays_usable() {
        let file = tempfile::tempfile().unwrap();
        let socket = sys::control_socket().unwrap();
        inside(Policy::default(), move || {
            file.set_len(10).unwrap();
            assert!(rustix::net::netdevice::name_to_index(socket.as_fd(), "lo").is_ok());
        });
    }

    #[test]
    fn a_missing_folder_is_named() {
        let policy = Policy { write: vec!["/no/such/folder".into()], ..Policy::default() };
        let message = thread::spawn(move || enter(&policy).unwrap_err().to_string()).join().unwrap();
        assert!(message.contains("/no/such/folder") && message.contains("tenrec.toml"), "{message}");
    }
}
