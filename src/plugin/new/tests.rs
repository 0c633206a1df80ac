use clap::Parser;

use super::*;
use crate::plugin::{
    catalog,
    flags::{Command, Flags},
};

fn asked(arguments: &str) -> New {
    let words = format!("kubectl-oauth new {arguments}");
    match Flags::try_parse_from(words.split_whitespace()).unwrap().command {
        Command::New(asked) => *asked,
        other => panic!("{other:?}"),
    }
}

fn written(arguments: &str) -> Result<String, String> {
    let wanted = wanted::gather(&asked(arguments), &mut Asker::without()).map_err(|failure| failure.to_string())?;
    manifests::write(&wanted, Some("team-a")).map_err(|failure| failure.to_string())
}

#[test]
fn a_provider_of_the_catalogue_comes_with_the_credential() {
    let text = written("mail --provider dropbox --grant refreshToken --client-id abc --scope files.read").unwrap();
    assert_eq!(
        text,
        "\
# Dropbox.
# Register a client: https://www.dropbox.com/developers/apps
# Replace each REPLACE-ME before you apply this, and keep the values out of Git.
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {name: dropbox, namespace: team-a}
spec:
  endpoints:
    authorization: https://www.dropbox.com/oauth2/authorize
    token: https://api.dropboxapi.com/oauth2/token
  client: {authentication: client_secret_post}
  authorizationRequest:
    parameters:
    - {name: token_access_type, value: offline}
  refreshTokens: {singleUse: false}
---
apiVersion: v1
kind: Secret
metadata:
  name: mail-client
  namespace: team-a
stringData:
  client_secret: REPLACE-ME
  refresh_token: REPLACE-ME
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata:
  name: mail
  namespace: team-a
spec:
  providerRef:
    kind: OAuthProvider
    name: dropbox
  client:
    id: abc
    secretRef:
      name: mail-client
      key: client_secret
  grant:
    refreshToken:
      secretRef:
        name: mail-client
        key: refresh_token
  scopes:
  - files.read
"
    );
}

#[test]
fn inline_the_way_of_authenticating_goes_to_the_credential() {
    let text = written("a --provider okta --tenant acme --grant clientCredentials --client-id b --inline").unwrap();
    assert!(text.contains("    authentication: client_secret_basic\n    basicEncoding: Raw\n"), "{text}");
    assert!(
        text.contains("https://acme.okta.com/") && !text.contains("YOUR-") && !text.contains("kind: OAuthProvider")
    );
}

#[test]
fn other_servers_and_existing_providers_are_referred_to() {
    let text = written("a --provider https://id.example.com --grant clientCredentials --client-id b").unwrap();
    assert!(text.contains("  provider:\n    issuer: https://id.example.com\n"), "{text}");
    let text =
        written("a --token-url https://id.example.com/token --grant password --client-id b --public-client").unwrap();
    assert!(text.contains("authentication: none") && text.contains("username: REPLACE-ME"), "{text}");
    assert!(!text.contains("client_secret"));
    let existing = "a --provider corp --existing-provider --cluster-provider --grant clientCredentials --client-id b";
    let text = written(existing).unwrap();
    assert!(text.contains("providerRef:\n    kind: ClusterOAuthProvider\n    name: corp\n"), "{text}");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_written() {
    for (arguments, sentence) in [
        ("", "NAME is missing"),
        ("Mail", "lowercase"),
        ("a --provider keycloack", "--list-providers"),
        ("a --provider shop", "shopify"),
        ("a --provider keycloak --tenant acme", "--tenant HOST=... --tenant REALM=..."),
        ("a --provider keycloak --tenant HOST=id.example.com", "--tenant REALM=... is missing"),
        ("a --provider okta --tenant a}b", "a part of an address"),
        ("a --provider google --tenant acme", "the same for everyone"),
        ("a --provider dropbox --grant clientCredentials", "this provider documents authorizationCode, refreshToken"),
        ("a --provider dropbox --grant refreshToken", "--client-id is missing"),
        ("a --token-url login.example.com --grant password", "a URL such as"),
        ("a --provider google --secret-name x-oauth-state", "the operator's own"),
    ] {
        let said = written(arguments).unwrap_err();
        assert!(said.contains(sentence), "{arguments}: {said}");
    }
}

#[test]
fn what_the_operator_refuses_is_not_written() {
    let said = written("a --token-url https://a.example/t --grant clientCredentials --client-id b --public-client");
    assert!(said.is_ok(), "{said:?}");
    // A tenant that makes an address of nothing.
    let said = written("a --provider gitea --tenant :x --grant refreshToken --client-id b").unwrap_err();
    assert!(said.contains("the operator would refuse this credential"), "{said}");
}

#[test]
fn answers_take_the_place_of_flags() {
    let mut answers =
        "Wrong!\nmail\nkeycloak\nid.example.com\nstaff\nrefreshToken\nabc\nopenid offline_access\n".as_bytes();
    let mut questions = Vec::new();
    let wanted = wanted::gather(&New::default(), &mut Asker::with(&mut answers, &mut questions)).unwrap();
    let text = manifests::write(&wanted, None).unwrap();
    assert!(text.contains("https://id.example.com/realms/staff/") && text.contains("- offline_access\n"), "{text}");
    let questions = String::from_utf8(questions).unwrap();
    assert!(questions.contains("lowercase") && questions.contains("Replace YOUR-HOST"), "{questions}");
    assert!(answers.is_empty());
}

#[test]
fn every_entry_can_be_written_in_every_form() {
    for entry in catalog::entries() {
        let tenants =
            entry.placeholders().into_iter().map(|key| format!("--tenant {key}=acme")).collect::<Vec<_>>().join(" ");
        for grant in entry.grants().into_iter().map(wanted::grant_name) {
            for form in ["", "--inline", "--cluster-provider"] {
                let said =
                    written(&format!("a --provider {} {tenants} --grant {grant} --client-id b {form}", entry.name));
                let text = said.unwrap_or_else(|said| panic!("{} {grant}: {said}", entry.name));
                assert!(!text.contains("YOUR-"), "{text}");
            }
        }
    }
}

#[test]
fn the_listing_has_every_provider() {
    let listing = listing();
    assert_eq!(listing.lines().count(), catalog::entries().len() + 1);
    assert!(listing.lines().any(|line| line.starts_with("keycloak ") && line.ends_with("HOST, REALM")));
}
