//! A place between the syncer and the emulator that counts what is asked, and fails as it is told.

use std::sync::{Arc, Mutex};

use crate::client::{Client, Request};
use crate::emulator::Emulator;
use crate::origin::{Origin, Received, Reply};

type Fault = Box<dyn Fn(&Received) -> Option<Reply> + Send>;
type After = Box<dyn Fn(&Received) + Send>;

/// Stands in front of the emulator that tests share.
pub struct Front {
    origin: Origin,
    calls: Arc<Mutex<Vec<String>>>,
    fault: Arc<Mutex<Option<Fault>>>,
    after: Arc<Mutex<Option<After>>>,
}

impl Default for Front {
    fn default() -> Self {
        Self::new()
    }
}

impl Front {
    /// Passes everything on.
    pub fn new() -> Self {
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let after: Arc<Mutex<Option<After>>> = Arc::default();
        let (log, failing, afterwards) = (Arc::clone(&calls), Arc::clone(&fault), Arc::clone(&after));
        let emulator = Emulator::shared().address();
        let origin = Origin::start(move |request| {
            let operation = request.header("x-amz-target").map(|target| target.rsplit('.').next().unwrap());
            log.lock().unwrap().push(operation.unwrap_or(&request.method).to_owned());
            if let Some(reply) = failing.lock().unwrap().as_ref().and_then(|fault| fault(request)) {
                return reply;
            }
            let mut asked = Request::to_host(&request.method, "emulator", &request.target);
            for (name, value) in &request.headers {
                if !["host", "content-length", "connection"].contains(&&*name.to_ascii_lowercase()) {
                    asked = asked.header(name, value);
                }
            }
            let asked = if request.body.is_empty() { asked } else { asked.body(request.body.clone()) };
            let answer = Client::connect(emulator).send(&asked);
            if answer.status == 304 {
                log.lock().unwrap().push("304".to_owned());
            }
            if let Some(after) = afterwards.lock().unwrap().as_ref() {
                after(request);
            }
            let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
            for (name, value) in &answer.headers {
                if !["content-length", "transfer-encoding", "connection"].contains(&&**name) {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
            }
            head.push_str(&format!("content-length: {}\r\n\r\n", answer.body.len()));
            Reply::Raw([head.into_bytes(), answer.body].concat())
        });
        Self { origin, calls, fault, after }
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.origin.port())
    }

    /// How often that was asked: an operation of DynamoDB, or a method of S3.
    pub fn calls(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|one| *one == operation).count()
    }

    /// Answers itself whenever `fault` has an answer.
    pub fn fail(&self, fault: impl Fn(&Received) -> Option<Reply> + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// Passes everything on again.
    pub fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// Runs behind each call that went through, before it is answered.
    pub fn after(&self, after: impl Fn(&Received) + Send + 'static) {
        *self.after.lock().unwrap() = Some(Box::new(after));
    }
}

/// Whether a request asks for that operation of DynamoDB.
pub fn is_call(request: &Received, operation: &str) -> bool {
    request.header("x-amz-target").is_some_and(|target| target.ends_with(&format!(".{operation}")))
}

/// An error as DynamoDB answers it.
pub fn aws_error(status: u16, kind: &str) -> Reply {
    let body = format!("{{\"__type\": \"com.amazonaws.dynamodb.v20120810#{kind}\", \"message\": \"as told\"}}");
    let head = "content-type: application/x-amz-json-1.0\r\n";
    Reply::Raw(format!("HTTP/1.1 {status} x\r\n{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}
