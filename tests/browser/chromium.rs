//! Debian's Chromium, by its driver (WebDriver). It reaches this machine alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use base64::{Engine, engine::general_purpose::STANDARD};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::Url;

use crate::support::{SOON, until};

/// One browser, and the person's eyes: what each page showed, and at which address.
pub struct Chromium {
    client: Client,
    _driver: Driver,
    seen: Mutex<Vec<String>>,
}

impl Chromium {
    /// Starts one. `hosts` are names and ports for which another port of this machine stands in.
    pub async fn start(hosts: &[(&str, u16)]) -> Self {
        let (driver, port) = Driver::start().await;
        let mut rules: Vec<String> = hosts.iter().map(|(host, port)| format!("MAP {host} 127.0.0.1:{port}")).collect();
        rules.push("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned());
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(), // it is run as root
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            "--window-size=1280,1024".to_owned(),
            "--no-proxy-server".to_owned(),
            format!("--host-resolver-rules={}", rules.join(", ")),
        ];
        let capabilities = json!({"acceptInsecureCerts": true, "goog:chromeOptions": {"args": arguments}});
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self { client, _driver: driver, seen: Mutex::default() }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
        self.look().await;
    }

    /// Where it is.
    pub async fn address(&self) -> Url {
        self.client.current_url().await.unwrap()
    }

    /// The element, if the page has it.
    pub async fn find(&self, css: &str) -> Option<Element> {
        self.client.find(Locator::Css(css)).await.ok()
    }

    /// The element, once the page has it.
    pub async fn awaits(&self, css: &str) -> Element {
        let found = until(css, SOON, async || self.find(css).await).await;
        self.look().await;
        found
    }

    /// Waits for a page with this heading, which holds these words.
    pub async fn reads(&self, heading: &str, words: &str) {
        let what = format!("a page {heading:?} with {words:?}");
        until(&what, SOON, async || {
            let text = self.find("main").await?.text().await.ok()?;
            let found = self.find("h1").await?.text().await.ok()? == heading && text.contains(words);
            found.then_some(())
        })
        .await;
        self.look().await;
    }

    pub async fn types(&self, css: &str, text: &str) {
        self.awaits(css).await.send_keys(text).await.unwrap();
    }

    /// Clicks, and waits until the page is another.
    pub async fn follows(&self, css: &str) {
        let clicked = self.awaits(css).await;
        clicked.click().await.unwrap();
        until("another page", SOON, async || clicked.tag_name().await.is_err().then_some(())).await;
    }

    async fn look(&self) {
        let (address, source) = (self.address().await, self.client.source().await.unwrap());
        self.seen.lock().unwrap().push(format!("{address}\n{source}"));
    }

    /// Panics where a page or an address showed this.
    pub fn never_saw(&self, secret: &str) {
        assert!(!secret.is_empty());
        let seen = self.seen.lock().unwrap();
        assert!(!seen.is_empty());
        for page in seen.iter() {
            assert!(!page.contains(secret), "a secret is in {}", page.lines().next().unwrap());
        }
    }

    /// The addresses that the back button leads to.
    pub async fn history(&self) -> Vec<String> {
        let history = self.devtools("Page.getNavigationHistory", json!({})).await;
        let entries = history["entries"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Pictures of the page as it is: on a screen, light and dark, and on a phone.
    pub async fn photographs(&self, name: &str) {
        for (suffix, scheme, width, height, mobile) in
            [("light", "light", 720, 780, false), ("dark", "dark", 720, 780, false), ("phone", "light", 390, 780, true)]
        {
            let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
            self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
            let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
            self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
            // Nothing is to be scrolled sideways.
            let overflow = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(self.client.execute(overflow, Vec::new()).await.unwrap(), json!(false), "{name} {suffix}");
            let shot = self.devtools("Page.captureScreenshot", json!({"format": "png"})).await;
            let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
            let path = directory().join(format!("consent-{name}-{suffix}.png"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, png).unwrap();
        }
        self.devtools("Emulation.setEmulatedMedia", json!({"features": []})).await;
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    async fn devtools(&self, method: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools { method, parameters }).await.unwrap()
    }

    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

/// The driver's process. The browser ends with it.
struct Driver {
    child: Child,
    port: Option<u16>,
}

impl Driver {
    /// Starts one; gives the port where it listens.
    async fn start() -> (Self, u16) {
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--allowed-ips=127.0.0.1"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = Self { child: command.spawn().expect("chromedriver is installed"), port: None };
        let mut lines = BufReader::new(driver.child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (sender, port) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let said =
                lines.find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok());
            if let Some(port) = said {
                let _: Result<(), u16> = sender.send(port);
            }
            // Read to its end: the driver would die of a closed pipe.
            lines.for_each(drop);
        });
        let port = port.await.expect("the driver says its port");
        driver.port = Some(port);
        (driver, port)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A signal would leave the browser behind.
        let asked =
            self.port.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()).is_some_and(|mut stream| {
                let request = b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
                stream.write_all(request).and_then(|()| stream.read_to_end(&mut Vec::new())).is_ok()
            });
        if !asked {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// Where pictures go.
fn directory() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join(std::env::var_os("SCREENSHOTS").map_or_else(|| "target/browser".into(), PathBuf::from))
}

/// A command of the DevTools protocol, as chromedriver passes it on.
#[derive(Debug)]
struct DevTools {
    method: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, url::ParseError> {
        base_url.join(&format!("session/{}/goog/cdp/execute", session_id.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.method, "params": self.parameters}).to_string()))
    }
}
