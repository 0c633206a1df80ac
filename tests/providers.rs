//! Which grants, client authentications and encodings have run against a real server, and which against the stand-in alone:
//! each is a case, run through the real operator against the real API server, and the matrix of what ran is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "providers/clients.rs"]
mod clients;
#[path = "providers/credential.rs"]
mod credential;
#[path = "providers/keycloak.rs"]
mod keycloak;
#[path = "providers/matrix.rs"]
mod matrix;
#[path = "providers/oidc.rs"]
mod oidc;
#[path = "providers/page.rs"]
mod page;
#[path = "providers/person.rs"]
mod person;
#[path = "providers/shapes.rs"]
mod shapes;

use matrix::Case;
use support::{Cluster, Operator, free_port, say};

/// Every case obtains a token, and then another one; docs/providers.md has the table of them.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_matrix_obtains_tokens() {
    let namespace = Cluster::shared().await.namespace("matrix").await;
    let address = format!("127.0.0.1:{}", free_port());
    let (listen, public) = (format!("--listen={address}"), format!("--public-url=http://{address}"));
    let operator = Operator::start(&namespace, &["--allow-insecure-http", &listen, &public]).await;
    let (_servers, real) = oidc::cases(&format!("http://{address}/oauth/callback")).await;
    let (standins, shaped) = shapes::cases().await;
    let cases = [real, shaped].concat();
    matrix::run(&namespace, &cases).await;
    for standin in standins {
        let refused: Vec<_> = standin.requests().into_iter().filter_map(|request| request.refused).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
    let table = matrix::table(cases.iter().map(Case::cell).chain(keycloak::cells()));
    say(&format!("grants, client authentications and encodings that ran (Keycloak in make e2e)\n{table}"));
    page::holds(&table);
    drop(operator);
}
