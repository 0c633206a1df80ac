//! The operator: reads its flags, sets up what is around the work, and works until it is asked to end.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use kube::{Api, Config};
use oauth_operator::{
    consent,
    controller::{Controller, Settings, run::Parts},
    credential::{fingerprint, record::Holder, validate::Limits},
    oauth::{
        egress::{EgressRule, EgressRules},
        transport::{Transport, TransportConfig},
    },
    operate::{
        certificate::Certificate,
        core_dumps,
        events::Events,
        flags::{AddressRule, Command, Flags},
        health::{self, Protection, Readiness},
        leader::{self, Leadership, LeaseConfig},
        metrics::Metrics,
        open_files,
        requests::{self, UnderWay},
        shutdown::Shutdown,
        telemetry,
        traces::Traces,
        uninstall,
    },
    secrets::input::RequiredLabel,
};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

/// Of the processor time of a refresh, the C library's takes a quarter, this one a tenth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = Flags::parse();
    requests::install_crypto_provider();
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("oauth-operator can't go on: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<(), Failure> {
    let traces = traces(&flags);
    // What is wrong with them is told in the log.
    telemetry::init(flags.log_format, &flags.log_level, traces.as_ref().ok().and_then(Option::as_ref))?;
    let traces = traces?;
    // Nothing secret was read yet.
    if let Err(error) = core_dumps::forbid() {
        tracing::warn!(%error, "core dumps can't be forbidden: one would hold tokens");
    }
    if let Err(error) = open_files::raise_limit() {
        tracing::warn!(%error, "the limit on open files can't be raised: many servers that hang may use it up");
    }
    // One thread: what is done for a refresh takes half a millisecond, and with a second thread a tenth more, for the answers that
    // one wakes the other for. The API server is the limit long before.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(operate(flags));
    if let Some(traces) = traces {
        traces.end();
    }
    ended
}

async fn operate(flags: Flags) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signal()?;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let config = Config::infer().await?;
    let operator_namespace = flags.resolve_operator_namespace(&config);
    let mut api_audiences = requests::own_audiences(&config);
    api_audiences.extend(flags.api_server_audiences.iter().cloned());
    let under_way = UnderWay::default();
    let client = requests::client(config, metrics.clone(), under_way.clone())?;
    if let Some(Command::RemoveFinalizers) = flags.command {
        let leases = Api::namespaced(client.clone(), &operator_namespace);
        let removed = uninstall::remove_finalizers(client, &flags.namespaces, &leases).await?;
        tracing::info!(removed, "the finalizer is off every credential");
        return Ok(());
    }
    let readiness = Readiness::awaiting([
        (
            "watches",
            "the credentials and providers are not yet listed; are the CRDs and the RBAC rules installed?".to_owned(),
        ),
        ("secrets", "the Secrets are not yet listed; are the RBAC rules installed?".to_owned()),
    ]);
    let listener = TcpListener::bind(flags.metrics_listen).await?;
    tracing::info!(address = %listener.local_addr()?, version = env!("CARGO_PKG_VERSION"), "serving /metrics, /healthz and /readyz");
    let (end, ended) = Shutdown::by_hand();
    let served = health::serve(listener, protection(&flags)?, readiness.clone(), metrics.clone(), ended);

    let identity = leader::identity();
    let transport = transport(&flags)?;
    let (leadership, election) = if flags.leader_election {
        let lease = LeaseConfig {
            namespace: operator_namespace.clone(),
            name: LeaseConfig::NAME.to_owned(),
            identity: identity.clone(),
            duration: flags.lease_duration,
        };
        let (leadership, task) = leader::lead(client.clone(), lease, shutdown.clone(), metrics.clone());
        (leadership, Some(task))
    } else {
        metrics.leader(true);
        (Leadership::always(), None)
    };
    let (events, _publishing) = Events::start(client.clone(), identity.clone(), under_way, metrics.clone());

    let controller = Controller::new(Parts {
        client: client.clone(),
        transport,
        leadership: leadership.clone(),
        metrics,
        events,
        settings: settings(&flags, operator_namespace, &identity, api_audiences),
        max_concurrent_refreshes: flags.max_concurrent_refreshes.into(),
    });
    let pages = match &flags.public_url {
        Some(public) => {
            let listener = TcpListener::bind(flags.listen).await?;
            tracing::info!(address = %listener.local_addr()?, url = %public, "serving the pages on which people consent");
            Some(consent::serve(listener, controller.clone(), public.clone(), shutdown.clone()))
        }
        None => None,
    };
    Arc::clone(&controller).run(client, flags.namespaces, readiness, shutdown).await;

    if let Some(pages) = pages {
        pages.await?;
    }
    leadership.release();
    if let Some(election) = election {
        election.await?;
    }
    end.request();
    served.await?;
    tracing::info!("ended");
    Ok(())
}

fn traces(flags: &Flags) -> Result<Option<Traces>, Failure> {
    let Some(endpoint) = &flags.otlp_endpoint else { return Ok(None) };
    Ok(Some(Traces::to(endpoint, &ca_files(flags)?)?))
}

fn protection(flags: &Flags) -> Result<Protection, Failure> {
    let files = flags.metrics_cert_file.clone().zip(flags.metrics_key_file.clone());
    let certificate = files.map(|(chain, key)| Certificate::read(chain, key)).transpose()?.map(Arc::new);
    Ok(Protection { certificate, token_file: flags.metrics_token_file.clone() })
}

fn ca_files(flags: &Flags) -> std::io::Result<Vec<Vec<u8>>> {
    flags.ca_file.iter().map(std::fs::read).collect()
}

fn transport(flags: &Flags) -> Result<Transport, Failure> {
    let rule = |rule: &AddressRule| match rule {
        AddressRule::Cidr(range) => EgressRule::Cidr(*range),
        AddressRule::Host(name) => EgressRule::Host(name.clone()),
    };
    Ok(Transport::new(TransportConfig {
        egress: EgressRules {
            allow: flags.allow_egress.iter().map(rule).collect(),
            deny: flags.deny_egress.iter().map(rule).collect(),
            allow_insecure_http: flags.allow_insecure_http,
        },
        ca_files: ca_files(flags)?,
        proxy: flags.egress_proxy.clone(),
        request_timeout: flags.request_timeout,
        ..TransportConfig::default()
    })?)
}

fn settings(flags: &Flags, operator_namespace: String, identity: &str, api_audiences: Vec<String>) -> Settings {
    let egress = format!(
        "{:?} {:?} {} {:?}",
        flags.allow_egress, flags.deny_egress, flags.allow_insecure_http, flags.egress_proxy
    );
    let pod = std::env::var("POD_UID").ok().or_else(|| hostname::get().ok()?.into_string().ok()).unwrap_or_default();
    Settings {
        limits: Limits {
            request_timeout: flags.request_timeout,
            secret_types: flags.allow_secret_types.clone(),
            api_audiences,
            callback: flags
                .public_url
                .as_ref()
                .map(|public| format!("{}/oauth/callback", public.as_str().trim_end_matches('/'))),
        },
        operator_namespace,
        public_url: flags.public_url.clone(),
        required_label: flags
            .require_input_label
            .clone()
            .map(|label| RequiredLabel { key: label.key, value: label.value }),
        credential_metrics: flags.credential_metrics,
        settings_hash: fingerprint::hash(&egress),
        holder: Holder { pod, boot: identity.to_owned() },
        seed_key: rand::random(),
    }
}
