//! What the scanner gives up. Claims and limits:
//!
//! * keeper and worker, when started by root: user and group nobody, a network namespace with nothing in it;
//! * worker, always: no file can be opened (Landlock), no program started, no socket but a Unix one made (seccomp), no core
//!   written, no file grown, memory bounded.
//!
//! On a kernel without Landlock (before 5.13) the worker's user is all that keeps files from it; it says so when it starts.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus};
use rustix::fs::{Gid, Uid};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{UnshareFlags, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// User and group `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65_534;

/// Why the scanner does not run: it scans in its sandbox or not at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot become an unprivileged user")]
    User(#[source] io::Error),
    #[error("cannot leave the network")]
    Network(#[source] io::Error),
    #[error("cannot set a resource limit")]
    Limit(#[source] io::Error),
    #[error("cannot close the file system off")]
    Files(#[source] landlock::RulesetError),
    #[error("cannot restrict system calls")]
    Calls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Root becomes nobody in a network namespace of its own; anyone else stays who they are. Before the first thread is started.
pub(crate) fn become_nobody() -> Result<(), Error> {
    set_no_new_privs(true).map_err(|errno| Error::User(errno.into()))?;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    #[expect(deprecated, reason = "what makes unshare unsafe are shared file descriptor tables, which NEWNET does not touch")]
    let left = rustix::thread::unshare(UnshareFlags::NEWNET);
    match left {
        // A container may forbid it; the worker's seccomp filter still does.
        Ok(()) | Err(rustix::io::Errno::PERM) => {}
        Err(errno) => return Err(Error::Network(errno.into())),
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(Some(group), Some(group), Some(group)))
        .and_then(|()| set_thread_res_uid(Some(user), Some(user), Some(user)))
        .map_err(|errno| Error::User(errno.into()))
}

/// Bounds of memory and files; before rules are compiled.
pub(crate) fn bound(memory_megabytes: u64) -> Result<(), Error> {
    let limits = [(Resource::As, memory_megabytes << 20), (Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nofile, 64)];
    for (resource, most) in limits {
        let most = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(|errno| Error::Limit(errno.into()))?;
    }
    Ok(())
}

/// Lets the process use `more` CPU time from now on; beyond, the kernel kills it. For each file anew.
pub(crate) fn allow_cpu(more: Duration) -> Result<(), Error> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let until = u64::try_from(used.tv_sec).unwrap_or(0) + more.as_secs() + 1;
    let hard = getrlimit(Resource::Cpu).maximum;
    let until = hard.map_or(until, |hard| hard.min(until));
    setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum: hard }).map_err(|errno| Error::Limit(errno.into()))
}

/// The point of no return: rules are loaded, files come. Returns whether the file system is closed off as well.
pub(crate) fn seal() -> Result<bool, Error> {
    let abi = ABI::V5;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(Error::Files)?;
    restrict_calls().map_err(Error::Calls)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

fn restrict_calls() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let unix_only = |argument| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::AF_UNIX as u64);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![unix_only(0)?])?]);
    for call in [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_bind,
        libc::SYS_listen,
    ] {
        rules.insert(call, Vec::new());
    }
    let denied = SeccompAction::Errno(u32::try_from(libc::EPERM)?);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, TargetArch::try_from(std::env::consts::ARCH)?)?;
    apply_filter(&BpfProgram::try_from(filter)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::{fs, net, thread};

    use super::*;

    #[test]
    fn a_sealed_thread_opens_no_file_starts_no_program_and_reaches_no_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let sealed = thread::spawn(move || {
            if !seal().unwrap() {
                println!("SKIPPED: this kernel has no Landlock, so files are not checked");
                return;
            }
            assert_eq!(fs::read(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(fs::read_dir(folder.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(net::UdpSocket::bind("127.0.0.1:0").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(net::TcpStream::connect("127.0.0.1:1").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert!(std::process::Command::new("/bin/true").status().is_err());
            // clamd's socket is a Unix one: making it is allowed, and it is not there.
            assert_eq!(UnixStream::connect("/nonexistent/clamd").unwrap_err().kind(), io::ErrorKind::NotFound);
        });
        sealed.join().unwrap();
    }
}
