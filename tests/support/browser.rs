//! A person's browser, as far as the operator's pages need one: it keeps cookies, fills in forms, and follows nothing by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use oauth_operator::operate::requests::install_crypto_provider;
use serde_json::Value;

/// One browser. Another one has none of its cookies.
pub struct Browser {
    http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A page that it was shown.
#[derive(Clone, Debug)]
pub struct Shown {
    pub status: u16,
    pub html: String,
}

impl Shown {
    /// Panics where the page doesn't say this.
    pub fn says(&self, status: u16, words: &str) {
        assert!(
            self.status == status && decoded(&self.html).contains(words),
            "{status} {words:?} in {}:\n{}",
            self.status,
            self.html
        );
    }

    /// Where the page sends the browser by itself.
    pub fn leaves_for(&self) -> String {
        let at = self.html.split("content=\"1;url=").nth(1).unwrap_or_else(|| panic!("it leaves: {}", self.html));
        decoded(at.split('"').next().unwrap())
    }
}

fn decoded(text: &str) -> String {
    [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

impl Browser {
    pub fn new() -> Self {
        install_crypto_provider();
        let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = builder.timeout(Duration::from_secs(60)).build().unwrap();
        Self { http, cookies: Mutex::default() }
    }

    pub async fn get(&self, url: &str) -> Shown {
        self.ask(self.http.get(url)).await
    }

    /// Sends a form, as a page of this very site.
    pub async fn post(&self, url: &str, form: &[(&str, &str)]) -> Shown {
        let origin = url::Url::parse(url).unwrap().origin().ascii_serialization();
        self.ask(self.http.post(url).header("origin", origin).form(form)).await
    }

    /// The same, as a page of another site.
    pub async fn post_from(&self, origin: &str, url: &str, form: &[(&str, &str)]) -> Shown {
        self.ask(self.http.post(url).header("origin", origin).form(form)).await
    }

    /// What it would send along.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.cookies.lock().unwrap().clone().into_iter().collect()
    }

    /// A browser that somebody gave these cookies.
    pub fn with_cookies(cookies: Vec<(String, String)>) -> Self {
        let browser = Self::new();
        browser.cookies.lock().unwrap().extend(cookies);
        browser
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Shown {
        let cookies: Vec<String> = self.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header("cookie", cookies.join("; ")).send().await.unwrap();
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            assert!(line.contains("; Path=/; Secure; HttpOnly; SameSite=Lax") && name.starts_with("__Host-"), "{line}");
            let mut cookies = self.cookies.lock().unwrap();
            match value {
                "" => drop(cookies.remove(name)),
                value => drop(cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        Shown { status: response.status().as_u16(), html: response.text().await.unwrap() }
    }
}

/// A person at oidc-provider's own pages: what `url` asks for is allowed by `login`, or not. Gives where the provider sends the browser.
pub async fn at_the_provider(url: &str, login: &str, allows: bool) -> Option<String> {
    at_the_provider_trusting(None, url, login, allows).await
}

/// The same in a browser that trusts the authority in this file, too.
pub async fn at_the_provider_trusting(ca: Option<PathBuf>, url: &str, login: &str, allows: bool) -> Option<String> {
    let (url, login) = (url.to_owned(), login.to_owned());
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("node");
        command.args(["seed.mjs", "--consent", &url, "--login", &login]);
        if !allows {
            command.arg("--deny");
        }
        if let Some(ca) = ca {
            command.env("NODE_EXTRA_CA_CERTS", ca);
        }
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc")).output().unwrap()
    });
    let output = ran.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    said["redirect"].as_str().map(str::to_owned)
}
