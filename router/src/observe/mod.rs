//! One record of each exchange, finished once, also when the client went away.
//!
//! The only writer of access logs and request metrics. Must never decide anything.

mod access_log;
mod audited;
mod breakers;
mod configuration;
mod decisions;
mod destinations;
#[cfg(test)]
mod documented;
mod exposition;
mod figures;
mod histogram;
mod line;
mod listeners;
mod log_format;
mod metrics;
mod process;
mod pushes;
mod recent;
mod registry;
mod routes;
mod shelf;
mod sparse;
mod traced;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::panicking;

use tokio::time::Instant;

pub(crate) use access_log::{FIELDS as ACCESS_LOG_FIELDS, LogBuffer, LogWriter};
pub(crate) use breakers::turned;
pub(crate) use destinations::DestinationSeries;
pub(crate) use exposition::Format;
pub(crate) use figures::{Buckets, Figure, Figures, Point};
pub(crate) use line::Line;
pub(crate) use listeners::{CertificateCells, Certificates, HandshakeFailure, ReloadResult};
pub(crate) use log_format::LogFormat;
pub(crate) use metrics::{CoreMetrics, Metrics, figures, render};
pub(crate) use process::started;
pub(crate) use pushes::{PushCells, PushResult};
pub(crate) use recent::Recent;
pub(crate) use registry::{Kind, Told};
pub(crate) use routes::RouteSeries;
pub(crate) use shelf::Index;

use postern_config::value::HostName;

use self::traced::Traced;
use crate::breaker::Pass;
use crate::http1::{RequestHead, ResponseHead, Version, text};
use crate::principal::Principal;
use crate::reject::{Reason, Rejection, grpc};
use crate::rights::Verdict;
use crate::services::Core;
use crate::snapshot::RoutePlan;
use crate::stage::identify::RequestId;
use crate::upstream::Phases;

/// One request and its answer, to the last byte.
pub(crate) struct Exchange {
    core: Rc<Core>,
    started: Instant,
    pub(crate) id: RequestId,
    pub(crate) record: Record,
    /// The leave of the breaker, until the destination has answered; whoever goes away before gives it back.
    pub(crate) pass: Option<Pass>,
    ended: Ended,
    /// What was asked; none when what came is no request.
    head: Option<Rc<RequestHead>>,
    bytes_in: Option<Rc<Cell<u64>>>,
    bytes_out: u64,
    /// None where traces are off.
    traced: Option<Traced>,
}

/// What the stages found out.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) generation: u64,
    pub(crate) host: Option<HostName>,
    pub(crate) client: Option<std::net::IpAddr>,
    /// `https` or `http`, as the client spoke.
    pub(crate) scheme: &'static str,
    pub(crate) route: Option<Arc<RoutePlan>>,
    pub(crate) destination: Option<Arc<str>>,
    /// The key of the destination that a tunnel was opened to.
    pub(crate) tunnel: Option<Arc<str>>,
    pub(crate) principal: Option<Principal>,
    /// What the route's demands said of the caller, as far as there is something to tell.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) detail: Box<str>,
    pub(crate) phases: Phases,
    /// What kind of error a destination of AWS says that its answer is.
    pub(crate) destination_error: Option<Box<str>>,
}

/// How it came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Not yet: when it is dropped like this, the client went away.
    Open,
    Complete,
    Failed,
}

impl Exchange {
    /// Opens the record of a request, or of what came in place of one.
    pub(crate) fn open(
        core: &Rc<Core>,
        head: Option<Rc<RequestHead>>,
        peer: std::net::IpAddr,
        id: RequestId,
    ) -> Box<Self> {
        core.metrics.begin();
        let traced = core.begin_trace(head.as_deref(), peer).map(Traced::new);
        Box::new(Self {
            core: Rc::clone(core),
            started: Instant::now(),
            id,
            record: Record { client: Some(peer), ..Record::default() },
            pass: None,
            ended: Ended::Open,
            head,
            bytes_in: None,
            bytes_out: 0,
            traced,
        })
    }

    /// When its head had come.
    pub(crate) fn began(&self) -> Instant {
        self.started
    }

    /// The counter of the request body's bytes.
    pub(crate) fn bytes_in(&mut self) -> Rc<Cell<u64>> {
        Rc::clone(self.bytes_in.get_or_insert_default())
    }

    /// Whether it is a call of gRPC, whose clients look for a status of its own.
    pub(crate) fn is_grpc(&self) -> bool {
        self.head.as_ref().is_some_and(|head| {
            head.version() == Version::Http2 && head.fields().get("content-type").is_some_and(grpc::is_grpc)
        })
    }

    /// The router answers by itself.
    pub(crate) fn rejected(&mut self, rejection: &Rejection) {
        self.record.status = rejection.reason.status().as_u16();
        self.record.reason = Some(rejection.reason);
        self.record.detail = rejection.detail.as_ref().into();
    }

    /// A destination answered.
    pub(crate) fn answered(&mut self, head: &ResponseHead) {
        self.record.status = head.status().as_u16();
        if let Some(traced) = &mut self.traced {
            traced.answered(self.started.elapsed());
        }
        // The body may repeat what the client sent, credentials too; this word does not.
        if self.record.status >= 400
            && let Some(kind) = head.fields().get("x-amzn-errortype").and_then(text)
        {
            self.record.destination_error = Some(kind.chars().take(100).collect());
        }
    }

    /// Whether the router failed over it: what was at work on it may be in no known state.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.record.reason == Some(Reason::Internal)
    }

    /// 32 random bits.
    #[allow(clippy::cast_possible_truncation, reason = "any 32 of the bits are as random as the others")]
    fn random(&self) -> u32 {
        self.core.random() as u32
    }

    /// So many bytes of the answer's body went to the client.
    pub(crate) fn answer_bytes(&mut self, bytes: u64) {
        #[cfg(test)]
        self.head.iter().for_each(|head| crate::faults::strike("answer", head.fields()));
        self.bytes_out += bytes;
    }

    /// The answer is whole, with so many more bytes.
    pub(crate) fn answer_complete(&mut self, bytes: u64) {
        self.bytes_out += bytes;
        self.ended = Ended::Complete;
    }

    /// The answer broke off.
    pub(crate) fn answer_failed(&mut self, reason: Reason) {
        self.failed(reason);
        self.ended = Ended::Failed;
    }
}

impl Exchange {
    fn failed(&mut self, reason: Reason) {
        self.record.reason = Some(reason);
        if reason == Reason::Internal {
            self.record.detail = "the router panicked over this answer".into();
        }
    }

    fn finish(&mut self) {
        if self.ended == Ended::Open && self.record.reason.is_none() {
            let reason = if panicking() { Reason::Internal } else { Reason::ClientClosed };
            self.failed(reason);
            if self.record.status == 0 {
                self.record.status = reason.status().as_u16();
            }
        }
        let took = self.started.elapsed();
        self.core.metrics.end(&self.core, self.head.as_deref().map(RequestHead::method), &self.record, took);
        let is_notable = recent::is_notable(&self.record, took);
        let wanted = self.record.route.as_ref().is_none_or(|route| route.telemetry.access_log.hits(|| self.random()));
        self.core.log(is_notable, wanted, |out, agent| access_log::line(out, self, took, agent));
        if let Some(audit) = &self.core.shared.audit {
            audited::note(audit, self);
        }
        self.keep_trace(took);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A panic out of here would end the process where it meets another.
        let _ = catch_unwind(AssertUnwindSafe(|| self.finish()));
    }
}
