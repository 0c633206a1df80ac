//! Which grants, client authentications and encodings have run against a real server, and which against the stand-in alone:
//! each is a case, run through the real operator against the real API server, and the matrix of what ran is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "providers/authentication.rs"]
mod authentication;
#[path = "providers/matrix.rs"]
mod matrix;

use support::{Cluster, Operator, say};

/// Every case obtains a token, and then another one.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_matrix_obtains_tokens() {
    let namespace = Cluster::shared().await.namespace("matrix").await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let (_servers, cases) = authentication::cases().await;
    matrix::run(&namespace, &cases).await;
    say(&format!("grants, client authentications and encodings that ran\n{}", matrix::table(&cases)));
    drop(operator);
}
