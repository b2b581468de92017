//! stub
use crate::cli::RouteCommand;
use crate::output::Failure;
pub(crate) async fn run(_command: RouteCommand) -> Result<(), Failure> {
    Err(Failure::usage("not yet"))
}
