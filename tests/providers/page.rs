//! The matrix in `docs/providers.md`, which is written from the cases that ran: `make generate`.

use std::{fs, path::Path};

const BEGIN: &str = "<!-- Written by `make generate` from the cases of tests/providers. -->\n";
const END: &str = "<!-- End of what is written. -->";

/// Panics where the page has another table.
pub fn holds(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page's mark");
    let (_, after) = rest.split_once(END).expect("the page's other mark");
    let written = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    if std::env::var_os("GENERATE").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(written == found, "the matrix in docs/providers.md is not what ran: run `make generate`\n{table}");
}
