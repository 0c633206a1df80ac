//! Opens an address in the person's browser. A process's arguments are everybody's to read, and the address has a ticket in it: so the
//! browser gets a file that only this person can read, and that sends it on.

use std::{fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::PathBuf};

use tempfile::{Builder, TempDir};

/// The file, for as long as this lasts.
pub struct Opened {
    _dir: TempDir,
}

/// None: there is no browser, or none could be started.
pub fn open(address: &str) -> Option<Opened> {
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !(has("DISPLAY") || has("WAYLAND_DISPLAY")) {
        return None;
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let dir = Builder::new()
        .prefix("kubectl-oauth-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(runtime.unwrap_or_else(std::env::temp_dir))
        .ok()?;
    let path = dir.path().join("consent.html");
    let mut file = std::fs::File::create_new(&path).ok()?;
    file.write_all(page(address).as_bytes()).ok()?;
    open::that_detached(&path).ok()?;
    Some(Opened { _dir: dir })
}

fn page(address: &str) -> String {
    let escaped = address.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<meta http-equiv=\"refresh\" content=\"0;url={escaped}\">\n<title>kubectl oauth authorize</title>\n<p><a href=\"{escaped}\">Go on to consent</a>\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_stays_in_its_attribute() {
        let page = super::page("https://a.example/?x=\"><script>&y=1#t");
        assert!(page.contains("content=\"0;url=https://a.example/?x=&quot;&gt;&lt;script&gt;&amp;y=1#t\""), "{page}");
    }
}
