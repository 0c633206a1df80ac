//! The catalogue of providers: the API server accepts every file as it is.

use std::{fs, path::Path};

use crate::{
    apply::create,
    support::{Cluster, namespace::documents},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_catalogue_applies() {
    let client = Cluster::shared().await.client().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalog");
    let mut applied = 0;
    for folder in [folder.clone(), folder.join("per-tenant")] {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let documents = documents(&fs::read_to_string(&path).unwrap());
            let [mut object]: [_; 1] = documents.try_into().expect("one object a file");
            assert_eq!(object["kind"], "ClusterOAuthProvider", "{}", path.display());
            // Other tests' objects of the whole cluster have other names.
            object["metadata"]["name"] = format!("catalog-{}", object["metadata"]["name"].as_str().unwrap()).into();
            create(&client, &object, true).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            applied += 1;
        }
    }
    assert!(applied > 0);
}
