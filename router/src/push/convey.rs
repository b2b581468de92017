//! The way of a message to the collector, over either protocol, and what its answer says.
//!
//! Must never know what is in a message.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use crate::trace::{Collector, OneShot, Protocol};

/// Below an address that names no path (OTLP 1.x, "OTLP/HTTP Request").
const PATH: &str = "/v1/metrics";

/// What sends.
pub(super) enum Conveyor {
    Grpc { client: MetricsServiceClient<Channel>, metadata: MetadataMap },
    Http { client: OneShot, url: String },
}

impl Conveyor {
    /// Connects when there is something to send; to be called within a runtime.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(super) fn to(collector: &Collector) -> Result<Self, String> {
        Ok(match collector.protocol {
            Protocol::Grpc => Self::Grpc {
                client: MetricsServiceClient::new(collector.channel()?),
                metadata: MetadataMap::from_headers(collector.headers.clone()),
            },
            Protocol::Http => Self::Http { client: collector.one_shot()?, url: collector.url(PATH) },
        })
    }

    /// Sends a message; says how many of its figures were not taken.
    ///
    /// # Errors
    /// Why the collector did not take it.
    pub(super) async fn send(&mut self, message: ExportMetricsServiceRequest) -> Result<i64, String> {
        let answer = match self {
            Self::Grpc { client, metadata } => {
                let request = tonic::Request::from_parts(metadata.clone(), tonic::Extensions::default(), message);
                let answer = client.export(request).await;
                answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?.into_inner()
            }
            Self::Http { client, url } => {
                let request = Request::builder().method(Method::POST).uri(url.as_str());
                let request = request.header(CONTENT_TYPE, "application/x-protobuf");
                let request = request.body(Bytes::from(message.encode_to_vec())).map_err(|error| error.to_string())?;
                let answer = client.send(request).await.map_err(|error| error.to_string())?;
                if !answer.status().is_success() {
                    return Err(format!("answered {}", answer.status()));
                }
                // Some say in other words that they took it.
                ExportMetricsServiceResponse::decode(answer.into_body()).unwrap_or_default()
            }
        };
        // With none refused it is a warning (OTLP 1.x, "Partial Success").
        Ok(answer.partial_success.map_or(0, |partial| partial.rejected_data_points.max(0)))
    }
}
