//! The catalogue of providers (deploy/catalog), as it was when this was built. What a file's first lines say is documented in
//! docs/catalog.md, and tests/catalog holds the files to it.

use std::collections::BTreeSet;

use include_dir::{Dir, include_dir};

use super::flags::GrantName;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/deploy/catalog");

/// What every placeholder begins with.
const PLACEHOLDER: &str = "YOUR-";

/// One file of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The file's name, and the object's.
    pub name: &'static str,
    pub text: &'static str,
}

/// Every entry, by name.
pub fn entries() -> Vec<Entry> {
    let files = FILES.files().chain(FILES.dirs().flat_map(Dir::files));
    let mut entries: Vec<Entry> = files
        .filter_map(|file| {
            let name = file.path().file_name()?.to_str()?.strip_suffix(".yaml")?;
            Some(Entry { name, text: file.contents_utf8()? })
        })
        .collect();
    entries.sort_by_key(|entry| entry.name);
    entries
}

/// The entry of this name.
pub fn find(name: &str) -> Option<Entry> {
    entries().into_iter().find(|entry| entry.name == name)
}

/// The names that a person may have meant by `name`: those that contain it, or that it contains.
pub fn similar(name: &str) -> Vec<&'static str> {
    let name = name.to_lowercase();
    let is_similar = |entry: &Entry| entry.name.contains(&name) || name.contains(entry.name);
    entries().into_iter().filter(is_similar).map(|entry| entry.name).collect()
}

impl Entry {
    /// Whose server it is.
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', ' ']).trim_end_matches('.')
    }

    /// What is to be known before it is used.
    pub fn notes(&self) -> Vec<&'static str> {
        let comments = self.text.lines().skip(1).map_while(|line| line.strip_prefix("# "));
        comments.take_while(|line| !line.starts_with("Grants:")).collect()
    }

    /// Where a client is registered.
    pub fn registration(&self) -> Option<&'static str> {
        self.text.lines().find_map(|line| line.strip_prefix("# Register a client: "))
    }

    /// The grants that the provider documents, and `new` can write.
    pub fn grants(&self) -> Vec<GrantName> {
        let named = self.text.lines().find_map(|line| line.strip_prefix("# Grants: ")).unwrap_or_default();
        let grant = |words: &str| match words {
            "refresh token" => Some(GrantName::RefreshToken),
            "client credentials" => Some(GrantName::ClientCredentials),
            "authorization code" => Some(GrantName::AuthorizationCode),
            "device code" => Some(GrantName::DeviceCode),
            _ => None,
        };
        named.trim_end_matches('.').split(", ").filter_map(grant).collect()
    }

    /// What is different for everyone, without YOUR-, in alphabetical order.
    pub fn placeholders(&self) -> BTreeSet<&'static str> {
        placeholders(self.manifest())
    }

    /// The object, without the lines before it.
    fn manifest(&self) -> &'static str {
        self.text.find("apiVersion:").map_or(self.text, |start| &self.text[start..])
    }

    /// The object with each placeholder replaced by what it stands for.
    pub fn filled(&self, values: &[(String, String)]) -> String {
        // The longest first: one name may begin with another.
        let mut values: Vec<_> = values.iter().collect();
        values.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        values
            .into_iter()
            .fold(self.manifest().to_owned(), |text, (key, value)| text.replace(&format!("{PLACEHOLDER}{key}"), value))
    }
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.match_indices(PLACEHOLDER)
        .map(|(at, _)| {
            let rest = &text[at + PLACEHOLDER.len()..];
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c == '-')).unwrap_or(rest.len());
            rest[..end].trim_end_matches('-')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_carried_along_and_understood() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/catalog");
        let files =
            |folder: &str| std::fs::read_dir(folder).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count();
        assert_eq!(entries().len(), files(folder) + files(&format!("{folder}/per-tenant")));
        for entry in entries() {
            assert!(!entry.title().is_empty() && !entry.grants().is_empty(), "{}", entry.name);
            assert!(entry.registration().is_some(), "{}", entry.name);
            assert!(entry.text.contains(&format!("metadata: {{name: {}}}", entry.name)), "{}", entry.name);
        }
    }

    #[test]
    fn placeholders_are_found_and_filled() {
        let keycloak = find("keycloak").unwrap();
        assert_eq!(keycloak.placeholders(), BTreeSet::from(["HOST", "REALM"]));
        let values = [("HOST".to_owned(), "id.example.com".to_owned()), ("REALM".to_owned(), "staff".to_owned())];
        let filled = keycloak.filled(&values);
        assert!(filled.contains("https://id.example.com/realms/staff/") && !filled.contains(PLACEHOLDER));
        assert!(find("google").unwrap().placeholders().is_empty());
    }

    #[test]
    fn a_name_that_is_not_there_brings_those_that_are_like_it() {
        assert!(find("keycloack").is_none() && similar("shop").contains(&"shopify"));
        assert!(similar("gitlab.com").contains(&"gitlab"));
    }
}
