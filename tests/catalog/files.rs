//! The files of the catalogue: what their header comments say, and the provider in each.

use std::{collections::BTreeSet, fs, path::Path};

use oauth_operator::api::{ClusterOAuthProvider, RefreshTokenPolicy};

/// A file of the catalogue.
pub struct File {
    /// Without its extension.
    pub name: String,
    /// A tenant's or a shop's name stands in its addresses.
    pub per_tenant: bool,
    /// The first line.
    pub title: String,
    pub grants: String,
    pub sources: Vec<String>,
    pub access_token: String,
    pub refresh_token: String,
    pub rotation: String,
    pub grace: String,
    pub provider: ClusterOAuthProvider,
}

impl File {
    pub fn policy(&self) -> RefreshTokenPolicy {
        self.provider.spec.refresh_tokens.clone().unwrap_or_default()
    }
}

/// All of them, by name.
pub fn all() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalog");
    let mut files: Vec<File> = [(folder.clone(), false), (folder.join("per-tenant"), true)]
        .into_iter()
        .flat_map(|(folder, per_tenant)| read(&folder, per_tenant))
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn read(folder: &Path, per_tenant: bool) -> Vec<File> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let file = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.strip_suffix(".yaml").unwrap_or_else(|| panic!("{name} is no .yaml file"));
        parse(name, per_tenant, &fs::read_to_string(&path).unwrap())
    };
    paths.map(file).collect()
}

fn parse(name: &str, per_tenant: bool, text: &str) -> File {
    let comments: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
    let said = |label: &str| -> Vec<String> {
        let start = format!("{label}: ");
        comments.iter().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
    };
    let once = |label: &str| match said(label).as_slice() {
        [one] => one.clone(),
        other => panic!("{name}: the header has {} lines `# {label}: …`, where one is due", other.len()),
    };
    let title = comments.first().unwrap_or_else(|| panic!("{name}: no header")).trim_end_matches('.').to_owned();
    assert!(!title.contains(": "), "{name}: the first line is the provider's name in plain words");
    assert!(once("Register a client").starts_with("https://"), "{name}: Register a client takes an address");
    let sources = said("Source");
    assert!(!sources.is_empty() && sources.iter().all(|source| source.starts_with("https://")), "{name}: {sources:?}");
    let provider: ClusterOAuthProvider =
        serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    File {
        name: name.to_owned(),
        per_tenant,
        title,
        grants: once("Grants"),
        sources,
        access_token: once("Access token"),
        refresh_token: once("Refresh token"),
        rotation: once("Rotation"),
        grace: once("Grace"),
        provider,
    }
}

#[test]
fn names_agree_and_are_there_once() {
    let mut names = BTreeSet::new();
    for file in all() {
        assert_eq!(file.provider.metadata.name.as_deref(), Some(file.name.as_str()), "the file's name");
        assert!(names.insert(file.name.clone()), "{} stands in both folders", file.name);
    }
    assert!(names.len() >= 130, "the folders were not read whole: {}", names.len());
}

#[test]
fn a_file_serves_everyone() {
    for file in all() {
        let spec = &file.provider.spec;
        assert!(!spec.client.as_ref().is_some_and(|client| client.has_material()), "{}: client material", file.name);
        assert!(spec.allowed_namespaces.is_none() && spec.tls.is_none(), "{}: a cluster's own choice", file.name);
        let text = serde_json::to_string(spec).unwrap();
        assert!(!text.contains("ecretRef"), "{}: names a Secret", file.name);
        assert_eq!(
            text.contains("YOUR-"),
            file.per_tenant,
            "{}: what a person must replace begins with YOUR-",
            file.name
        );
    }
}

/// The careful assumption holds unless documentation says otherwise, and the file says which it is.
#[test]
fn rotation_and_grace_are_as_the_header_says() {
    for file in all() {
        let (name, policy) = (&file.name, file.policy());
        let reusable = file.rotation.starts_with("none");
        assert_eq!(!policy.single_use, reusable, "{name}: singleUse false means `# Rotation: none …`, and only that");
        let grace = !["none", "not documented"].iter().any(|no| file.grace.starts_with(no));
        assert_eq!(policy.reuse_grace_period.is_some(), grace, "{name}: reuseGracePeriod and `# Grace: …`");
    }
}
