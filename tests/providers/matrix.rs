//! What a case of the matrix is, how it is run, and the table of those that ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::person;
use crate::support::{Namespace, SOON};

/// The columns. GET has no body, whatever the encoding.
const ENCODINGS: [&str; 5] = ["Form", "JSON", "Multipart", "Query", "GET"];

/// What a case runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    Keycloak,
    OidcProvider,
    /// What Keycloak refuses.
    NotKeycloak,
    StandIn,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Keycloak => "Keycloak",
            Server::OidcProvider => "oidc-provider",
            Server::NotKeycloak => "not Keycloak",
            Server::StandIn => "(stand-in)",
        }
    }
}

/// What a person has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Code,
    Device,
}

/// One combination, as a credential that is to become Ready and to refresh.
#[derive(Clone, Debug)]
pub struct Case {
    /// As in `spec.grant`.
    pub grant: &'static str,
    /// As in `client.authentication`, and the `basicEncoding` where it isn't the default.
    pub authentication: String,
    /// One of `ENCODINGS`.
    pub encoding: &'static str,
    pub server: Server,
    /// The credential's name. Unlike any other case's.
    pub name: String,
    /// The credential, and whatever it needs.
    pub manifest: String,
    pub consent: Option<Consent>,
    /// File with the authority that the server's certificate is from, if that isn't one of the system's.
    pub ca: Option<PathBuf>,
}

/// A cell of the table: grant, client authentication, encoding, server.
pub type Cell = (String, String, String, Server);

impl Case {
    pub fn cell(&self) -> Cell {
        (self.grant.to_owned(), self.authentication.clone(), self.encoding.to_owned(), self.server)
    }
}

/// Applies every case, and has each obtain two tokens. Panics with the first that failed.
pub async fn run(namespace: &Namespace, cases: &[Case]) {
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "each case has a name of its own");
    for case in cases {
        namespace.apply(&case.manifest).await;
    }
    for case in cases {
        match case.consent {
            None => {}
            Some(Consent::Code) => person::consents(namespace, &case.name, case.ca.clone()).await,
            Some(Consent::Device) => person::confirms(namespace, &case.name, case.ca.clone()).await,
        }
    }
    for case in cases {
        namespace.ready(&case.name).await;
        namespace.request_refresh(&case.name, &Timestamp::now().to_string()).await;
    }
    for case in cases {
        namespace.revision(&case.name, 2, SOON).await;
    }
}

/// A row a grant and client authentication, a column an encoding, in each cell what it ran against. The stand-in is named where nothing
/// else is.
pub fn table(cells: impl IntoIterator<Item = Cell>) -> String {
    let mut rows: BTreeMap<(String, String), BTreeMap<String, BTreeSet<Server>>> = BTreeMap::new();
    for (grant, authentication, encoding, server) in cells {
        assert!(ENCODINGS.contains(&encoding.as_str()), "{encoding}");
        rows.entry((grant, authentication)).or_default().entry(encoding).or_default().insert(server);
    }
    let mut table = format!("| grant | client authentication | {} |\n|---|---|", ENCODINGS.join(" | "));
    table.push_str(&"---|".repeat(ENCODINGS.len()));
    for ((grant, authentication), row) in rows {
        write!(table, "\n| {grant} | {authentication} |").unwrap();
        for encoding in ENCODINGS {
            let servers: Vec<Server> = row.get(encoding).into_iter().flatten().copied().collect();
            let real: Vec<&str> = servers.iter().filter(|it| **it != Server::StandIn).map(|it| it.name()).collect();
            let cell = match (&real[..], &servers[..]) {
                ([], []) => "–".to_owned(),
                ([], _) => Server::StandIn.name().to_owned(),
                (real, _) => real.join(", "),
            };
            write!(table, " {cell} |").unwrap();
        }
    }
    table + "\n"
}
