//! placeholder
/// placeholder
pub(crate) enum Way {}
