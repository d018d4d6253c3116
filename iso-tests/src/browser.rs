//! Headless Chromium, driven through chromedriver (W3C WebDriver).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::lab::{Lab, free_port};
use crate::wait::wait_for;

/// How long a page of an emulated machine may take.
const PAGE: Duration = Duration::from_secs(120);

/// Sizes of the window, width and height: a desk and a phone.
pub(crate) const DESKTOP: (u32, u32) = (1440, 900);
pub(crate) const PHONE: (u32, u32) = (390, 844);

/// A browser with one window.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    folder: PathBuf,
    /// Number of the next screenshot.
    shot: u32,
}

impl Browser {
    /// Starts it. Screenshots go into the lab's folder, numbered. Without JavaScript if so wished.
    pub(crate) fn start(lab: &Lab, with_script: bool) -> anyhow::Result<Self> {
        let port = free_port()?;
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver cannot be started: install chromium-driver")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut browser = Self { runtime, client: None, driver, folder: lab.folder.clone(), shot: 0 };
        let profile = lab.scratch.path().join("profile");
        let mut options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                format!("--user-data-dir={}", profile.display()), format!("--window-size={},{}", DESKTOP.0, DESKTOP.1),
            ],
        });
        if !with_script {
            // 2: blocked.
            if let Some(options) = options.as_object_mut() {
                options.insert("prefs".to_owned(), json!({"profile.managed_default_content_settings.javascript": 2}));
            }
        }
        let capabilities = json!({"browserName": "chrome", "acceptInsecureCerts": true, "goog:chromeOptions": options});
        let capabilities = capabilities.as_object().cloned().unwrap_or_default();
        let address = format!("http://127.0.0.1:{port}");
        let client = wait_for("the browser", Duration::from_secs(90), || {
            let connecting = async { ClientBuilder::new(HttpConnector::new()).capabilities(capabilities.clone()).connect(&address).await };
            Ok(Some(browser.runtime.block_on(connecting)?))
        })?;
        browser.client = Some(client);
        Ok(browser)
    }

    /// Goes to a page.
    pub(crate) fn open(&self, url: &str) -> anyhow::Result<()> {
        self.act(async |client| client.goto(url).await).with_context(|| format!("cannot open {url}"))
    }

    /// Where it is.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        Ok(self.act(async |client| client.current_url().await)?.to_string())
    }

    /// What is to be read on the page.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        self.act(async |client| client.find(Locator::Css("body")).await?.text().await)
    }

    /// Types into the field of this name, in place of what is there.
    pub(crate) fn fill(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let field = self.field(name)?;
        self.act(async |_| field.clear().await).with_context(|| format!("field {name}"))?;
        self.act(async |_| field.send_keys(text).await).with_context(|| format!("field {name}"))
    }

    /// Chooses a file in the field of this name.
    pub(crate) fn choose_file(&self, name: &str, file: &Path) -> anyhow::Result<()> {
        let field = self.field(name)?;
        let path = file.canonicalize()?.to_string_lossy().into_owned();
        self.act(async |_| field.send_keys(&path).await).with_context(|| format!("field {name}"))
    }

    /// Clicks what this CSS selector finds first.
    pub(crate) fn click(&self, selector: &str) -> anyhow::Result<()> {
        self.act(async |client| client.find(Locator::Css(selector)).await?.click().await)
            .with_context(|| format!("cannot click {selector} on {}", self.url().unwrap_or_default()))
    }

    /// Ticks the box of this name and value, if it is not.
    pub(crate) fn tick(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let selector = format!("input[name='{name}'][value='{value}']");
        let tick = self.act(async |client| client.find(Locator::Css(&selector)).await);
        let tick = tick.with_context(|| format!("there is no {selector} on {}", self.url().unwrap_or_default()))?;
        if self.act(async |_| tick.is_selected().await)? {
            return Ok(());
        }
        self.act(async |_| tick.click().await)
    }

    /// Chooses an option of the list of this name by its value.
    pub(crate) fn select(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let field = self.field(name)?;
        self.act(async |_| field.select_by_value(value).await).with_context(|| format!("field {name}"))
    }

    /// Waits until the page has `words`; reloads where the page does not by itself.
    pub(crate) fn wait_for_text(&self, words: &str, deadline: Duration) -> anyhow::Result<()> {
        let found = wait_for(&format!("{words:?} on the page"), deadline, || Ok(self.text()?.contains(words).then_some(())));
        found.with_context(|| format!("the page {} says: {}", self.url().unwrap_or_default(), self.text().unwrap_or_default()))
    }

    /// Waits until the path of the page begins so.
    pub(crate) fn wait_for_path(&self, path: &str, deadline: Duration) -> anyhow::Result<()> {
        let arrived = wait_for(&format!("the page {path}"), deadline, || {
            let url = self.url()?;
            Ok(url
                .split_once("://")
                .and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)))
                .filter(|at| at.starts_with(path))
                .map(drop))
        });
        arrived.with_context(|| format!("the page {} says: {}", self.url().unwrap_or_default(), self.text().unwrap_or_default()))
    }

    /// Keeps what the page looks like, in both sizes.
    pub(crate) fn screenshot(&mut self, name: &str) -> anyhow::Result<()> {
        self.shot += 1;
        for (kind, (width, height)) in [("phone", PHONE), ("desktop", DESKTOP)] {
            self.act(async |client| client.set_window_size(width, height).await)?;
            let png = self.act(async |client| client.screenshot().await)?;
            std::fs::write(self.folder.join(format!("page-{:02}-{name}-{kind}.png", self.shot)), png)?;
        }
        Ok(())
    }

    fn field(&self, name: &str) -> anyhow::Result<Element> {
        let selector = format!("[name='{name}']");
        self.act(async |client| client.find(Locator::Css(&selector)).await)
            .with_context(|| format!("there is no field {name} on {}", self.url().unwrap_or_default()))
    }

    fn act<T, E: std::error::Error + Send + Sync + 'static>(&self, act: impl AsyncFnOnce(&Client) -> Result<T, E>) -> anyhow::Result<T> {
        let Some(client) = &self.client else { bail!("the browser is not there") };
        let acted = self.runtime.block_on(async { tokio::time::timeout(PAGE, act(client)).await });
        Ok(acted.context("the browser does not answer")??)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // It may be gone already.
            let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), client.close()).await });
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
