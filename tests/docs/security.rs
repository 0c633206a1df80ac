//! `docs/security.md`: each threat names what proves that it is met, and that is there.

use std::{fs, path::Path};

/// A link to a test: its name, and the file that it is in.
fn tests(line: &str) -> Vec<(&str, &str)> {
    let links = line.split('[').skip(1).filter_map(|link| link.split_once("](../"));
    let links = links.filter_map(|(name, rest)| Some((name.trim_matches('`'), rest.split_once(')')?.0)));
    links.filter(|(_, file)| file.ends_with(".rs")).collect()
}

/// Whether the source has a test of this name: a function with the attribute right before it.
fn has_test(source: &str, name: &str) -> bool {
    let found = source.find(&format!("fn {name}("));
    let before = found.map(|at| source[..at].trim_end_matches("async ").trim_end());
    before.is_some_and(|before| {
        let attribute = before.lines().last().unwrap_or_default().trim();
        attribute == "#[test]" || attribute.starts_with("#[tokio::test")
    })
}

#[test]
fn every_threat_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (mut rows, mut seen) = (0, 0);
    let mut within = false;
    for line in page.lines() {
        within = line.starts_with("| threat |") || within && line.starts_with('|');
        let named = tests(line);
        if within && !line.starts_with("| threat |") && !line.starts_with("|-") {
            assert!(!named.is_empty(), "nothing proves: {line}");
            rows += 1;
        }
        for (name, file) in named {
            let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(has_test(&source, name), "{file} has no test {name}");
            seen += 1;
        }
    }
    assert!(rows >= 30 && seen >= 60, "{rows} threats with {seen} tests: the page was not read");
}

#[test]
fn a_test_that_is_none_is_seen() {
    let source =
        "#[test]\nfn one() {}\n\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}\n\nfn three() {}\n";
    assert!(has_test(source, "one") && has_test(source, "two"));
    assert!(!has_test(source, "three") && !has_test(source, "four"));
    assert_eq!(
        tests("| a | b | [`one`](../tests/a.rs), [two](../src/b.rs), [c](c.md) |"),
        [("one", "tests/a.rs"), ("two", "src/b.rs")]
    );
}
