//! Whoever started this process and wants to hear from it: systemd, by the protocol of `sd_notify(3)`.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A supervisor that listens, or none.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The node serves; also after a reload.
    Ready,
    /// It reads its files again.
    Reloading,
    /// It leaves.
    Stopping,
    /// It is alive.
    Alive,
}

impl Supervisor {
    /// The one that the environment names; an error if it cannot be spoken to.
    pub fn from_environment() -> io::Result<Self> {
        let variable = |name| std::env::var_os(name);
        Self::named(variable("NOTIFY_SOCKET"), variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"))
    }

    fn named(
        socket: Option<OsString>,
        watchdog_usec: Option<OsString>,
        watchdog_pid: Option<OsString>,
    ) -> io::Result<Self> {
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Self { socket: None, watchdog: None });
        };
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        let text = |value: Option<OsString>| value.and_then(|value| value.into_string().ok());
        let for_this = text(watchdog_pid).is_none_or(|pid| pid == std::process::id().to_string());
        let usec =
            text(watchdog_usec).and_then(|usec| usec.parse().ok()).filter(|usec| *usec > 0 && for_this);
        let socket = UnixDatagram::unbound()?;
        // Whoever does not read must not hold up the node.
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some((socket, address)), watchdog: usec.map(Duration::from_micros) })
    }

    /// How often it wants to hear that the node is alive; half of the time after which it kills it.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Says something, if anybody listens.
    pub fn say(&self, notice: Notice) -> io::Result<()> {
        let Some((socket, address)) = &self.socket else { return Ok(()) };
        socket.send_to_addr(notice.text().as_bytes(), address).map(drop)
    }
}

impl Notice {
    fn text(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
                format!("RELOADING=1\nMONOTONIC_USEC={micros}")
            }
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::Alive => "WATCHDOG=1".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(socket: &str, usec: Option<&str>, pid: Option<&str>) -> Supervisor {
        let text = |value: Option<&str>| value.map(OsString::from);
        Supervisor::named(Some(socket.into()), text(usec), text(pid)).unwrap()
    }

    fn heard(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = listener.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn what_is_said_is_heard_at_a_path_and_at_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        named(path.to_str().unwrap(), None, None).say(Notice::Ready).unwrap();
        assert_eq!(heard(&at_path), "READY=1");

        let name = format!("graticule-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let abstract_one = UnixDatagram::bind_addr(&address).unwrap();
        let supervisor = named(&format!("@{name}"), None, None);
        supervisor.say(Notice::Reloading).unwrap();
        let text = heard(&abstract_one);
        let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0, "{text}");
        supervisor.say(Notice::Alive).unwrap();
        assert_eq!(heard(&abstract_one), "WATCHDOG=1");
    }

    #[test]
    fn half_of_the_watchdogs_time_is_the_interval_if_it_is_meant_for_this_process() {
        let own = std::process::id().to_string();
        let interval = |usec, pid| named("/run/notify", usec, pid).watchdog_interval();
        assert_eq!(interval(Some("3000000"), None), Some(Duration::from_millis(1_500)));
        assert_eq!(interval(Some("3000000"), Some(&own)), Some(Duration::from_millis(1_500)));
        for (usec, pid) in [(None, None), (Some("0"), None), (Some("x"), None), (Some("3000000"), Some("1"))]
        {
            assert_eq!(interval(usec, pid), None, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn without_a_supervisor_nothing_is_said_and_with_one_that_is_gone_an_error_says_so() {
        let nobody = Supervisor::named(None, Some("1".into()), None).unwrap();
        assert_eq!(nobody.watchdog_interval(), None);
        nobody.say(Notice::Ready).unwrap();
        assert!(named("/nowhere/at/all", None, None).say(Notice::Ready).is_err());
    }
}
