//! Writes what is generated from the types: the CRDs. `make generate` runs it.

#![forbid(unsafe_code)]

use std::{error::Error, fs, path::PathBuf};

use clap::Parser;
use oauth_operator::api::crd;

/// Writes the CRDs into a folder.
#[derive(Parser)]
struct Arguments {
    /// Folder to write to.
    #[arg(default_value = "crds")]
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Arguments::parse().folder;
    fs::create_dir_all(&folder)?;
    for (file, crd) in crd::all()? {
        fs::write(folder.join(file), crd::to_yaml(&crd)?)?;
    }
    Ok(())
}
