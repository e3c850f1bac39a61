//! One node: a process of the real binary, its addresses, and its log.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_api::{self as api, Call};
use serde::de::DeserializeOwned;

use crate::{Ask, Broken, Certificate, Connection, graticule, ports};

/// A node of a test's fleet, running or not. Its process ends with it.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The region in its certificate, unless a test gave it another.
    pub region: &'static str,
    /// Where clients come in.
    pub http: SocketAddr,
    /// Where those come in that want TLS, if the plan has certificates.
    pub https: SocketAddr,
    /// Its control endpoint.
    pub mesh: SocketAddr,
    /// Its admin API.
    pub admin: SocketAddr,
    directory: PathBuf,
    /// What its command line says beside the configuration.
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

/// What a node is told about others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Neighbours {
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) dial: Vec<(String, SocketAddr)>,
    /// The directory of the certificates that clients see.
    pub(crate) clients_see: Option<PathBuf>,
}

impl Node {
    /// A node that is not running yet, with ports of its own.
    pub(crate) fn new(name: String, region: &'static str, directory: PathBuf) -> Self {
        let first = ports::consecutive(3 + MESH_PORTS);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        fs::create_dir_all(&directory).expect("a directory for a node");
        Self {
            name,
            region,
            http: local(first),
            https: local(first + 2 + MESH_PORTS),
            admin: local(first + 1),
            mesh: local(first + 2),
            directory,
            settings: Vec::new(),
            environment: Vec::new(),
            child: None,
        }
    }

    /// Writes its configuration.
    pub(crate) fn configure(&self, documents: &Path, certificate: &Certificate, neighbours: &Neighbours) {
        let seeds: Vec<_> = neighbours.seeds.iter().map(ToString::to_string).collect();
        let https = neighbours.clients_see.as_ref().map_or_else(String::new, |directory| {
            format!("https = \"{}\"\ncertificates = \"{}\"\n", self.https, directory.display())
        });
        let mut text = format!(
            r#"name = "{name}"
data = "data"
documents = "{documents}"
workers = {WORKERS}

[ingress]
http = "{http}"
trusted = ["127.0.0.0/8"]
client_address = "x-forwarded-for"
{https}
[mesh]
listen = "{mesh}"
seeds = {seeds:?}
certificate = "{certificate}"
key = "{key}"
authorities = "{authorities}"

[admin]
listen = "{admin}"

[log]
level = "info"

[mesh.dial]
"#,
            name = self.name,
            http = self.http,
            https = https,
            mesh = self.mesh,
            documents = documents.display(),
            certificate = certificate.certificate.display(),
            key = certificate.key.display(),
            authorities = certificate.authorities.display(),
            admin = self.admin,
        );
        for (peer, address) in &neighbours.dial {
            writeln!(text, "{peer} = \"{address}\"").expect("strings can be written to");
        }
        fs::write(self.configuration(), text).expect("the node's configuration is written");
    }

    /// Makes it dial a peer somewhere else from its next start on.
    pub fn redirect(&self, peer: &str, address: SocketAddr) {
        let mut text = fs::read_to_string(self.configuration()).expect("the node's configuration");
        assert!(!text.contains(&format!("\n{peer} = ")), "{} has a road to {peer} already", self.name);
        writeln!(text, "{peer} = \"{address}\"").expect("strings can be written to");
        fs::write(self.configuration(), text).expect("the node's configuration is written");
    }

    /// Adds tables to its configuration, from its next start on.
    pub fn configure_also(&self, tables: &str) {
        let mut text = fs::read_to_string(self.configuration()).expect("the node's configuration");
        writeln!(text, "{tables}").expect("strings can be written to");
        fs::write(self.configuration(), text).expect("the node's configuration is written");
    }

    /// Sets something by its command line, such as `drain.delay=1s`, from its next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings.extend(["--set".to_owned(), setting.to_owned()]);
    }

    /// Sets a variable of its environment from its next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where its configuration is.
    pub fn configuration(&self) -> PathBuf {
        self.directory.join("node.toml")
    }

    /// Starts its process; its log goes on where it was.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        self.start_logging_to(log);
    }

    /// Starts its process; its log goes there.
    pub fn start_logging_to(&mut self, log: impl Into<OwnedFd>) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = log.into();
        let errors = log.try_clone().expect("a log file");
        let mut command = Command::new(graticule());
        command
            .args(["node", "--until-input-closes", "--config"])
            .arg(self.configuration())
            .args(&self.settings);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // The process ends when its input closes: also when this test is killed.
        let child = command.stdin(Stdio::piped()).stdout(log).stderr(errors).spawn();
        self.child = Some(child.expect("the binary can be run"));
    }

    /// Ends its process as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a process can be killed");
            child.wait().expect("a killed process ends");
        }
    }

    /// Sends its process a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill can be run").success(), "cannot send {signal} to {}", self.name);
    }

    /// Waits until its process has ended by itself; fails the test if that takes longer than `limit`.
    pub async fn until_ended(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let status = crate::eventually(&what, limit, async || {
            let child = self.child.as_mut().ok_or("it is not running")?;
            child.try_wait().expect("a process can be asked").ok_or("it runs")
        })
        .await;
        self.child = None;
        status
    }

    /// Whether it says that it wants requests.
    pub async fn is_ready(&self) -> bool {
        self.call(&api::client::ready()).await.is_ok_and(|answer| answer.ready)
    }

    /// Whether its process should be there.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Fails the test if its process has ended by itself.
    pub(crate) fn assert_alive(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a process can be asked"));
        if let Some(status) = ended {
            self.child = None;
            panic!("node {} ended by itself: {status}", self.name);
        }
    }

    /// Its process's number.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or_else(|| panic!("{} is not running", self.name), Child::id)
    }

    /// What it keeps in memory now.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.pid())
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Makes one call of its admin API.
    pub async fn call<T: DeserializeOwned>(&self, call: &Call<T>) -> Result<T, Broken> {
        let method = match call.method() {
            api::Method::Get => http::Method::GET,
            api::Method::Post => http::Method::POST,
        };
        let ask = Ask::with(method, &self.admin.to_string(), call.path(), "");
        let asked = async { Connection::open(self.admin).await?.ask(&ask).await };
        let limited = tokio::time::timeout(CALL_LIMIT, asked).await;
        let answer = limited.map_err(|_| Broken(format!("{} does not answer", self.name)))??;
        let body: Bytes = answer.body;
        call.read(answer.status.as_u16(), &body).map_err(|error| Broken(error.to_string()))
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the last of the log of {}\n{}", self.name, last.join("\n"));
        }
    }
}

/// What a process keeps in memory now.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB");
    kibibytes * 1024
}

/// Workers of every node.
pub(crate) const WORKERS: u16 = 1;
/// Control, and the workers.
pub(crate) const MESH_PORTS: u16 = 1 + WORKERS;
const CALL_LIMIT: Duration = Duration::from_secs(5);
const LOG_LINES_SHOWN: usize = 60;
