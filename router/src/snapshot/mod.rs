//! The compiled form of one generation: immutable, swapped whole.

mod destination;
mod plan;

pub(crate) use destination::{AddressRefused, Destination, TlsPlan};
pub(crate) use plan::{BODY_MAX, ClaimPath, PathPart, PathPlan, RoutePlan, Target, Timeouts};
