use jiff::Timestamp;

use super::*;

#[test]
fn encodes_under_conventional_names() {
    let metrics = Metrics::new("1.2.3");
    metrics.refreshed(Outcome::Failure, Reason::InvalidGrant);
    metrics.exchanged(ProviderLabels::inline(), Duration::from_millis(20));
    metrics.fence_to_send(Duration::from_micros(20));
    metrics.reply_to_save(Duration::from_millis(3));
    metrics.api_request(Verb::Apply, Resource::Secrets);
    metrics.queue_depth(Queue::Exchange, 7);
    metrics.credentials(3, 2, 1);
    metrics.leader(true);
    metrics.lease_renew_failure();
    metrics.watch_begins(Resource::Namespaces);
    metrics.watch_restart(Resource::Secrets);
    metrics.reconcile_error("conflict");
    metrics.overdue_refreshes(4);
    metrics.expiring_refresh_tokens(5);
    metrics.waiting_consents(6);
    metrics.orphaned_states(7);
    metrics.event_dropped(Dropped::QueueFull);
    let text = metrics.encode();
    for line in [
        "oauth_operator_build_info{version=\"1.2.3\"} 1",
        "oauth_operator_refreshes_total{outcome=\"failure\",reason=\"InvalidGrant\"} 1",
        "oauth_operator_refreshes_total{outcome=\"success\",reason=\"Issued\"} 0",
        "oauth_operator_exchange_duration_seconds_bucket{le=\"0.025\",provider_kind=\"Inline\",provider_namespace=\"\",provider=\"\"} 1",
        "oauth_operator_fence_to_send_seconds_bucket{le=\"0.00001\"} 0",
        "oauth_operator_fence_to_send_seconds_bucket{le=\"0.000025\"} 1",
        "oauth_operator_reply_to_save_seconds_bucket{le=\"0.005\"} 1",
        "oauth_operator_api_requests_total{verb=\"apply\",resource=\"secrets\"} 1",
        "oauth_operator_queue_depth{queue=\"exchange\"} 7",
        "oauth_operator_queue_wait_seconds_count{queue=\"reconcile\"} 0",
        "oauth_operator_credentials{ready=\"true\"} 3",
        "oauth_operator_credentials{ready=\"false\"} 2",
        "oauth_operator_stalled_credentials 1",
        "oauth_operator_overdue_refreshes 4",
        "oauth_operator_expiring_refresh_tokens 5",
        "oauth_operator_waiting_consents 6",
        "oauth_operator_orphaned_states 7",
        "oauth_operator_leader 1",
        "oauth_operator_lease_renew_failures_total 1",
        "oauth_operator_watch_restarts_total{resource=\"namespaces\"} 0",
        "oauth_operator_watch_restarts_total{resource=\"secrets\"} 1",
        "oauth_operator_reconcile_errors_total{kind=\"panic\"} 0",
        "oauth_operator_reconcile_errors_total{kind=\"conflict\"} 1",
        "oauth_operator_events_dropped_total{reason=\"queue_full\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

fn provider(name: &str) -> ProviderLabels {
    ProviderLabels {
        provider_kind: "OAuthProvider",
        provider_namespace: "team-a".to_owned(),
        provider: name.to_owned(),
    }
}

#[test]
fn no_series_outlives_its_provider() {
    let metrics = Metrics::new("0");
    for name in ["google", "github"] {
        metrics.exchanged(provider(name), Duration::from_millis(20));
    }
    metrics.exchanged(ProviderLabels::inline(), Duration::from_millis(20));
    metrics.retain_providers(|labels| labels.provider == "github");
    let text = metrics.encode();
    assert!(text.contains("provider=\"github\"") && text.contains("provider_kind=\"Inline\""));
    assert!(!text.contains("google"), "{text}");
    // It comes back, from zero.
    metrics.exchanged(provider("google"), Duration::from_millis(20));
    let line = "oauth_operator_exchange_duration_seconds_count{provider_kind=\"OAuthProvider\",provider_namespace=\"team-a\",provider=\"google\"} 1";
    assert!(metrics.encode().lines().any(|l| l == line));
}

#[test]
fn a_scrape_tells_of_the_credentials_that_there_are() {
    let metrics = Metrics::new("0");
    assert!(!metrics.encode().contains("oauth_operator_credential_"), "none, where nobody has been asked");
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let known = CredentialSeries {
        namespace: "team-a".into(),
        name: "calendar".into(),
        ready: true,
        expires: at(1_000),
        next_refresh: at(900),
        refresh_token_expires: None,
    };
    metrics.tell_of_credentials(move || vec![known.clone()]);
    let text = metrics.encode();
    let labels = "{credential_namespace=\"team-a\",credential=\"calendar\"}";
    for line in [
        format!("oauth_operator_credential_ready{labels} 1"),
        format!("oauth_operator_credential_expiration_timestamp_seconds{labels} 1000"),
        format!("oauth_operator_credential_next_refresh_timestamp_seconds{labels} 900"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("credential_refresh_token_expiration_timestamp_seconds{"), "what isn't known isn't told");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_metric_is_documented_and_on_the_dashboard() {
    let metrics = Metrics::new("0");
    metrics.tell_of_credentials(Vec::new);
    metrics.api_request(Verb::Get, Resource::Secrets);
    metrics.watch_begins(Resource::Secrets);
    let text = metrics.encode();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE oauth_operator_")?.split(' ').next());
    let families: Vec<_> = families.collect();
    assert!(families.len() > 20, "{families:?}");
    for family in families {
        let documented = include_str!("../../../docs/operate.md").contains(&format!("| `{family}"));
        assert!(documented, "docs/operate.md doesn't name {family}");
        let shown =
            include_str!("../../../deploy/chart/files/dashboard.json").contains(&format!("oauth_operator_{family}"));
        assert!(shown, "the dashboard doesn't show {family}");
    }
}
