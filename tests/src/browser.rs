//! A real browser without a window: a headless Chromium, driven over its DevTools protocol, with everything that a page
//! asks for, says and complains about.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::wait::eventually_within;

const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page in it. Ends when dropped.
pub struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: String,
    last: u64,
    events: VecDeque<Value>,
    seen: Seen,
}

/// What the page did so far.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Errors of scripts, of the console, and what the browser forbade.
    pub complaints: Vec<String>,
    /// Addresses that were asked for.
    pub requests: Vec<String>,
}

impl Browser {
    /// Opens a page of that size at an address.
    pub fn open(url: &str, (width, height): (u32, u32)) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .process_group(0)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-component-update", "--no-first-run"])
            .args(["--remote-debugging-port=0", "--force-device-scale-factor=1", "--lang=en"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let socket = connect(&endpoint(&mut child));
        let session = String::new();
        let (events, seen) = (VecDeque::new(), Seen::default());
        let mut browser = Self { child, _profile: profile, socket, session, last: 0, events, seen };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", &target)["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", &size);
        browser.prefer("light");
        browser.go(url);
        browser
    }

    /// Goes to an address; the page is loaded when this returns.
    pub fn go(&mut self, url: &str) {
        self.events.clear();
        let gone = self.call("Page.navigate", &json!({"url": url}));
        assert!(gone.get("errorText").is_none(), "{url}: {gone}");
        // Within one document nothing is loaded anew.
        if gone.get("loaderId").is_some() {
            self.await_event("Page.loadEventFired");
        }
    }

    /// Loads the page anew.
    pub fn reload(&mut self) {
        self.events.clear();
        self.call("Page.reload", &json!({}));
        self.await_event("Page.loadEventFired");
    }

    /// What a line of script comes to; promises are awaited.
    pub fn eval(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let said = self.call("Runtime.evaluate", &asked);
        assert!(said.get("exceptionDetails").is_none(), "{script}: {}", said["exceptionDetails"]);
        said["result"]["value"].clone()
    }

    /// Waits until a line of script comes to something true, and returns that.
    pub fn until(&mut self, script: &str) -> Value {
        let wanted = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value != &json!("");
        let mut last = Value::Null;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            last = self.eval(script);
            if wanted(&last) {
                return last;
            }
            // The page draws between two looks.
            self.eval("new Promise((done) => requestAnimationFrame(() => done()))");
        }
        panic!("waited {PATIENCE:?} for {script}, which is {last}; the page says {:?}", self.seen().complaints);
    }

    /// The text that a person sees at a selector.
    pub fn text(&mut self, selector: &str) -> String {
        let script = format!("document.querySelector({})?.innerText ?? ''", json!(selector));
        self.eval(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Clicks into the middle of what a selector names, as a mouse does.
    pub fn click(&mut self, selector: &str) {
        let script = format!(
            "(() => {{ const one = document.querySelector({}); one?.scrollIntoView({{block: 'nearest'}}); \
             const at = one?.getBoundingClientRect(); return at && {{x: at.x + at.width / 2, y: at.y + at.height / 2}}; }})()",
            json!(selector)
        );
        let at = self.until(&script);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses a key, by its name (`Enter`) or what it writes (`/`).
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            "End" => 35,
            "Home" => 36,
            _ => 0,
        };
        let text = match key {
            "Enter" => Some("\r"),
            key if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let mut event = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// Writes into what has the focus, as a keyboard does.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Lets the system prefer `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// What is in sight, as a PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png", "optimizeForSpeed": false}));
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// What the page did so far.
    pub fn seen(&mut self) -> Seen {
        // Whatever came before the answer to this has been read.
        self.call("Runtime.evaluate", &json!({"expression": "0"}));
        self.seen.clone()
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let said = self.read();
            if said["id"] == id {
                assert!(said.get("error").is_none(), "{method}: {}", said["error"]);
                return said["result"].clone();
            }
            self.note(said);
        }
    }

    fn await_event(&mut self, method: &str) {
        while !self.events.iter().any(|event| event["method"] == method) {
            let said = self.read();
            self.note(said);
        }
    }

    fn read(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(_) => panic!("the browser went away"),
                _ => {}
            }
        }
    }

    fn note(&mut self, event: Value) {
        let told = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.seen.complaints.push(told["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if told["type"] == "error" || told["type"] == "warning" => {
                self.seen.complaints.push(told["args"].to_string());
            }
            "Log.entryAdded" if told["entry"]["level"] == "error" || told["entry"]["source"] == "security" => {
                self.seen.complaints.push(told["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                self.seen.requests.push(told["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
        self.events.push_back(event);
        self.events.truncate(1_000);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What was started may be a script, and the browser its child's: all of them are in one group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// Where the browser is: named, installed, or unpacked by `make chromium`.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("POSTERN_TEST_CHROMIUM") {
        return named.into();
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
    let installed = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    installed
        .chain([crate::checkout().join(".tools/chromium/chromium")])
        .find(|path| path.is_file())
        .expect("there is no Chromium: make chromium")
}

/// The address of the browser's DevTools, which it tells when it has begun.
fn endpoint(child: &mut Child) -> String {
    let (found, told) = std::sync::mpsc::channel();
    let errors = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        // Read to its end: a browser whose pipe is full stands still.
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("DevTools listening on ") {
                let _ = found.send(address.to_owned());
            }
        }
    });
    eventually_within(PATIENCE, "the browser to begin", || told.try_recv().ok())
}

fn connect(address: &str) -> WebSocket<MaybeTlsStream<TcpStream>> {
    let large = WebSocketConfig::default().max_message_size(Some(256 << 20)).max_frame_size(Some(256 << 20));
    let (socket, _) = tungstenite::client::connect_with_config(address, Some(large), 0).unwrap();
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    socket
}

/// Writes a picture into `docs/screenshots` when golden files are to be written anew (`POSTERN_UPDATE_GOLDEN=1`).
pub fn keep_screenshot(name: &str, picture: &[u8]) {
    assert!(picture.len() <= 200 << 10, "{name}: {} KiB are too many for the repository", picture.len() >> 10);
    if std::env::var_os("POSTERN_UPDATE_GOLDEN").is_some() {
        let folder: &Path = &crate::checkout().join("docs/screenshots");
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(name), picture).unwrap();
    }
}
