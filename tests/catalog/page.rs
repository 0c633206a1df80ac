//! The table in `docs/catalog.md`, which is written from the files: `make generate`.

use std::{fmt::Write, fs, path::Path};

use crate::files::{self, File};

const BEGIN: &str = "<!-- Written by `make generate` from deploy/catalog. -->\n";
const END: &str = "<!-- End of what is written. -->";

#[test]
fn the_page_is_what_the_files_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalog.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page's mark");
    let (_, after) = rest.split_once(END).expect("the page's other mark");
    let written = format!("{before}{BEGIN}{}{END}{after}", tables(&files::all()));
    if std::env::var_os("GENERATE").is_some() {
        fs::write(&path, &written).unwrap();
    }
    assert!(written == fs::read_to_string(&path).unwrap(), "docs/catalog.md is stale: run `make generate`");
}

fn tables(files: &[File]) -> String {
    let (per_tenant, everyone): (Vec<&File>, Vec<&File>) = files.iter().partition(|file| file.per_tenant);
    let count = files.len();
    format!(
        "\n{count} providers.\n\n### The same for everyone\n\n{}\n### With a name of your own in the address\n\n{}\n",
        table("deploy/catalog", &everyone),
        table("deploy/catalog/per-tenant", &per_tenant)
    )
}

fn table(folder: &str, files: &[&File]) -> String {
    let mut table = "| file | provider | grants | access token | refresh token | rotation | grace | documented |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for file in files {
        let links = file.sources.iter().zip(1..).map(|(source, number)| format!("[{number}]({source})"));
        let cells = [
            format!("[{}](../{folder}/{}.yaml)", file.name, file.name),
            file.title.clone(),
            cell(&file.grants),
            cell(&file.access_token),
            cell(&file.refresh_token),
            cell(&file.rotation),
            cell(&file.grace),
            links.collect::<Vec<_>>().join(" "),
        ];
        writeln!(table, "| {} |", cells.join(" | ")).unwrap();
    }
    table
}

fn cell(text: &str) -> String {
    text.trim_end_matches('.').replace('|', "\\|")
}
