//! What a case of the matrix is, how it is run, and the table of those that ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;

use crate::support::{Namespace, SOON};

/// What a case runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    OidcProvider,
    #[allow(dead_code, reason = "for what no real server has")]
    StandIn,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::OidcProvider => "oidc-provider",
            Server::StandIn => "stand-in",
        }
    }
}

/// One combination, as a credential that is to become Ready and to refresh.
#[derive(Clone, Debug)]
pub struct Case {
    /// As in `spec.grant`.
    pub grant: &'static str,
    /// As in `client.authentication`.
    pub authentication: &'static str,
    /// As in `tokenRequest.encoding`.
    pub encoding: &'static str,
    pub server: Server,
    /// The credential's name. Unlike any other case's.
    pub name: String,
    /// The credential, and whatever it needs.
    pub manifest: String,
}

/// Applies every case, and has each obtain two tokens. Panics with all that failed.
pub async fn run(namespace: &Namespace, cases: &[Case]) {
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "each case has a name of its own");
    for case in cases {
        namespace.apply(&case.manifest).await;
    }
    for case in cases {
        namespace.ready(&case.name).await;
        namespace.request_refresh(&case.name, &Timestamp::now().to_string()).await;
    }
    for case in cases {
        namespace.revision(&case.name, 2, SOON).await;
    }
}

/// A row a grant and client authentication, a column an encoding, in each cell what it ran against.
pub fn table(cases: &[Case]) -> String {
    let encodings: BTreeSet<&str> = cases.iter().map(|case| case.encoding).collect();
    let mut rows: BTreeMap<(&str, &str), BTreeMap<&str, BTreeSet<Server>>> = BTreeMap::new();
    for case in cases {
        let row = rows.entry((case.grant, case.authentication)).or_default();
        row.entry(case.encoding).or_default().insert(case.server);
    }
    let mut table = String::from("| grant | client authentication |");
    encodings.iter().for_each(|encoding| write!(table, " {encoding} |").unwrap());
    table.push_str("\n|---|---|");
    encodings.iter().for_each(|_| table.push_str("---|"));
    for ((grant, authentication), row) in rows {
        write!(table, "\n| {grant} | {authentication} |").unwrap();
        for encoding in &encodings {
            let servers: Vec<&str> = row.get(encoding).into_iter().flatten().map(|server| server.name()).collect();
            write!(table, " {} |", servers.join(", ")).unwrap();
        }
    }
    table + "\n"
}
