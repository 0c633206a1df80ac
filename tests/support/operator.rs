//! The operator's real binary, as a child process under its own ServiceAccount.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::proxy::Proxy;
use super::{Namespace, SOON, get, until};

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A running operator. It is killed when this is dropped; when that is for a panic, its log is shown.
pub struct Operator {
    kubeconfig: PathBuf,
    namespace: String,
    flags: Vec<String>,
    environment: Vec<(&'static str, String)>,
    child: Child,
    log: Log,
    address: SocketAddr,
}

/// Where an operator runs; the default is a pod named after its namespace, with nothing between it and the world.
#[derive(Default)]
pub struct Place<'a> {
    /// Two replicas are two pods, a container that restarts stays in one.
    pub pod: Option<&'a str>,
    /// Stands between it and the API server.
    pub proxy: Option<&'a Proxy>,
    /// Its wall clock.
    pub clock: Option<&'a Clock>,
}

type Log = Arc<Mutex<String>>;

impl Operator {
    /// Serves `namespace` alone, whose Lease it holds. Returns when it is ready.
    pub async fn start(namespace: &Namespace, flags: &[&str]) -> Self {
        Self::in_pod(namespace, &namespace.name, flags).await
    }

    /// The same in a pod of this name.
    pub async fn in_pod(namespace: &Namespace, pod: &str, flags: &[&str]) -> Self {
        Self::placed(namespace, Place { pod: Some(pod), ..Place::default() }, flags).await
    }

    /// Serves `namespace` as `start` does, with a proxy between it and the API server.
    pub async fn behind(proxy: &Proxy, namespace: &Namespace, flags: &[&str]) -> Self {
        Self::placed(namespace, Place { proxy: Some(proxy), ..Place::default() }, flags).await
    }

    /// Serves `namespace` as `start` does, at such a place.
    pub async fn placed(namespace: &Namespace, place: Place<'_>, flags: &[&str]) -> Self {
        let content = namespace.operator_kubeconfig(place.proxy.map(Proxy::url).as_deref()).await;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let kubeconfig = namespace.dir.join(format!("{}-operator-{serial}.kubeconfig", namespace.name));
        std::fs::write(&kubeconfig, content).unwrap();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect::<Vec<_>>();
        let pod = place.pod.unwrap_or(&namespace.name);
        let mut environment = vec![("POD_NAME", pod.to_owned()), ("POD_UID", pod.to_owned())];
        environment.extend(place.clock.into_iter().flat_map(Clock::environment));
        let log = Log::default();
        let child = spawn(&kubeconfig, &namespace.name, &environment, &flags, &log);
        let mut operator = Self {
            kubeconfig,
            namespace: namespace.name.clone(),
            flags,
            environment,
            child,
            log,
            address: ([127, 0, 0, 1], 0).into(),
        };
        operator.await_readiness().await;
        operator
    }

    async fn await_readiness(&mut self) {
        let log = self.log.clone();
        self.address = until("the operator serves /metrics", SOON, async || address(&locked(&log))).await;
        let url = self.url("/readyz");
        until("the operator is ready", SOON, async || get(&url).await.filter(|(status, _)| *status == 200)).await;
    }

    /// Another process of the same program, with the same rights in the same namespace.
    pub fn run(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oauth-operator"));
        command.env("KUBECONFIG", &self.kubeconfig);
        command.args(["--namespace", &self.namespace, "--operator-namespace", &self.namespace]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    /// SIGKILL, and a new process with the same flags in the same pod. The log goes on.
    pub async fn restart(&mut self) {
        self.kill();
        self.resume().await;
    }

    /// A new process where the former one has ended.
    pub async fn resume(&mut self) {
        // The address in the log is to be the new one.
        let former = std::mem::take(&mut *locked(&self.log));
        self.child = spawn(&self.kubeconfig, &self.namespace, &self.environment, &self.flags, &self.log);
        self.await_readiness().await;
        locked(&self.log).insert_str(0, &former);
    }

    /// The flags of the processes to come.
    pub fn replace_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// A new process where the former one has ended: in this pod, with these flags. Returns at once.
    pub fn relaunch(&mut self, pod: &str, flags: &[&str]) {
        self.environment.retain(|(name, _)| !["POD_NAME", "POD_UID"].contains(name));
        self.environment.extend([("POD_NAME", pod.to_owned()), ("POD_UID", pod.to_owned())]);
        self.replace_flags(flags);
        self.child = spawn(&self.kubeconfig, &self.namespace, &self.environment, &self.flags, &self.log);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        self.child.wait().unwrap();
        Clock::clean_up(self.child.id());
    }

    /// The present process ends by itself, and well.
    pub async fn leave(&mut self) {
        self.terminate();
        assert!(self.end(SOON * 2).await.success());
    }

    /// The present process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM; returns at once.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGSTOP: it stands still, as under a hypervisor that gives it no time.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn wake(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the process to end.
    pub async fn end(&mut self, within: Duration) -> ExitStatus {
        until("the operator ends", within, async || self.child.try_wait().unwrap()).await
    }

    /// Everything it has logged, over all its runs.
    pub fn log(&self) -> String {
        locked(&self.log).clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn metrics(&self) -> String {
        get(&self.url("/metrics")).await.unwrap().1
    }

    /// The sum over all series of this name that bear every one of `labels` (each as `name="value"`).
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let metrics = self.metrics().await;
        let series = metrics.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        Clock::clean_up(self.child.id());
        if std::thread::panicking() {
            let log = locked(&self.log);
            let lines: Vec<_> = log.lines().collect();
            let last = lines.len().saturating_sub(80);
            eprintln!("the log of the operator of {}:\n{}", self.namespace, lines[last..].join("\n"));
        }
    }
}

fn spawn(kubeconfig: &PathBuf, namespace: &str, environment: &[(&str, String)], flags: &[String], log: &Log) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oauth-operator"));
    command.env("KUBECONFIG", kubeconfig).envs(environment.iter().cloned());
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.args(["--namespace", namespace, "--operator-namespace", namespace]);
    command.args(["--metrics-listen", "127.0.0.1:0", "--allow-egress", "127.0.0.0/8"]).args(flags);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (stderr, log) = (child.stderr.take().unwrap(), log.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = locked(&log);
            log.push_str(&line);
            log.push('\n');
        }
    });
    child
}

/// From the line that says what is served where; as text or as JSON.
fn address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("serving /metrics"))?;
    let rest = line.split_once("address")?.1.trim_start_matches(['"', ':', '=']);
    rest.split(['"', ' ', ',']).next()?.parse().ok()
}

fn locked(log: &Log) -> std::sync::MutexGuard<'_, String> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
