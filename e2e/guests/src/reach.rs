//! The modes that look around: what is in reach, inside and outside.

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::output::{Lines, Outcome};

/// Tries every way out, prints what came of each and lists in `/output/socket.txt` those that were open.
#[cfg(unix)]
pub(crate) fn sockets(out: &mut Lines) -> Outcome<()> {
    use std::io;
    use std::net::{SocketAddr, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(3);
    let tcp = |address: [u8; 4], port| {
        TcpStream::connect_timeout(&SocketAddr::from((address, port)), PATIENCE).map(drop)
    };
    // Whether anybody answers does not matter: that it could be sent is enough.
    let udp = || UdpSocket::bind("0.0.0.0:0")?.send_to(b"hello", "1.1.1.1:53").map(drop);

    let attempts: [(&str, io::Result<()>); 7] = [
        ("tcp 1.1.1.1:80", tcp([1, 1, 1, 1], 80)),
        // Where clouds tell a machine its credentials.
        ("tcp 169.254.169.254:80", tcp([169, 254, 169, 254], 80)),
        ("udp 1.1.1.1:53", udp()),
        ("raw socket", raw::socket(raw::AF_INET, raw::SOCK_RAW, raw::IPPROTO_ICMP)),
        ("packet socket", raw::socket(raw::AF_PACKET, raw::SOCK_RAW, raw::ETH_P_ALL)),
        (
            "docker engine /var/run/docker.sock",
            UnixStream::connect("/var/run/docker.sock").map(drop),
        ),
        ("docker engine /run/docker.sock", UnixStream::connect("/run/docker.sock").map(drop)),
    ];
    let mut reached = String::new();
    for (name, outcome) in attempts {
        match outcome {
            Ok(()) => {
                out.line(format_args!("{name}: OPEN"))?;
                reached += &format!("{name}\n");
            }
            Err(error) => out.line(format_args!("{name}: refused: {error}"))?,
        }
    }
    fs::write("/output/socket.txt", &reached)?;
    if reached.is_empty() { Ok(()) } else { Err(Failure::Reached) }
}

#[cfg(not(unix))]
pub(crate) fn sockets(_: &mut Lines) -> Outcome<()> {
    Err(Failure::Unsupported)
}

/// The kinds of sockets that the standard library does not make.
#[cfg(unix)]
mod raw {
    use std::io;
    use std::os::fd::{FromRawFd, OwnedFd};

    pub(super) const AF_INET: i32 = 2;
    pub(super) const AF_PACKET: i32 = 17;
    pub(super) const SOCK_RAW: i32 = 3;
    pub(super) const IPPROTO_ICMP: i32 = 1;
    /// In network byte order.
    pub(super) const ETH_P_ALL: i32 = 0x0300;

    pub(super) fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<()> {
        #[expect(
            unsafe_code,
            reason = "the standard library, whose C library this is, has no call for it"
        )]
        unsafe extern "C" {
            fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
        }
        #[expect(
            unsafe_code,
            reason = "three integers go in, a descriptor that nobody else has comes out"
        )]
        let descriptor = unsafe { socket(domain, kind, protocol) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        #[expect(unsafe_code, reason = "the descriptor is new and is closed here")]
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        Ok(())
    }
}

/// Lists what was given: `SIZE PATH` in the order of the paths, links without following them.
pub(crate) fn inputs(out: &mut Lines) -> Outcome<()> {
    list(Path::new("/input"), out)
}

fn list(folder: &Path, out: &mut Lines) -> Outcome<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            list(&path, out)?;
        } else {
            out.line(format_args!("{} {}", metadata.len(), path.display()))?;
        }
    }
    Ok(())
}
