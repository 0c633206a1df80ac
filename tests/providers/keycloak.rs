//! What runs against Keycloak, in `make e2e`.

use crate::matrix::{Cell, Server};

/// The cases of tests/e2e/keycloak, which that test reads from the same list.
pub fn cells() -> Vec<Cell> {
    let cell = |line: &str| {
        let [_, grant, authentication, encoding] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("a line of tests/e2e/keycloak/cases: {line}")
        };
        (grant.to_owned(), authentication.to_owned(), encoding.to_owned(), Server::Keycloak)
    };
    include_str!("../e2e/keycloak/cases").lines().map(cell).collect()
}
