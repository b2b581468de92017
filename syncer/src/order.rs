//! What people tell a running syncer: to make routes stay, and to let go what is held.
//!
//! Must never decide whether that may be: the syncer does.

use postern_config::merged::Pinned;

use crate::cli::AdminArgs;
use crate::commands::settle;
use crate::output::{Failure, print};
use crate::{ask, limits};

/// `release`: what the shrink guard holds, and what is pinned.
pub(crate) async fn release(args: &AdminArgs) -> Result<(), Failure> {
    let Some(said) = tell(args, "/release", 202).await? else { return Ok(()) };
    let (released, unpinned) = (said["released"].as_u64().unwrap_or(0), said["unpinned"].as_u64());
    if let Some(generation) = unpinned {
        print(&format!("released: generation {generation} is not pinned any more"));
    }
    match released {
        0 if unpinned.is_none() => print("nothing was held"),
        0 => {}
        count => print(&format!("released: {count} routes go")),
    }
    Ok(())
}

/// `pin`: the routes that stand stay.
pub(crate) async fn pin(args: &AdminArgs) -> Result<(), Failure> {
    let Some(said) = tell(args, "/pin", 200).await? else { return Ok(()) };
    print(&format!("pinned, said in generation {}; postern-syncer release lets it go", said["generation"]));
    Ok(())
}

/// `rollback`: the routes of an earlier generation again.
pub(crate) async fn rollback(generation: u64, args: &AdminArgs) -> Result<(), Failure> {
    let Some(said) = tell(args, &format!("/rollback?generation={generation}"), 200).await? else { return Ok(()) };
    print(&format!(
        "generation {} has the routes of {generation} and stays; postern-syncer release lets it go",
        said["generation"]
    ));
    Ok(())
}

/// What a plan says of a pin, since nothing of it goes live before.
pub(crate) fn warning(pinned: &Pinned) -> String {
    format!(
        "generation {} is pinned since {}: no registration goes live before postern-syncer release",
        pinned.generation, pinned.since
    )
}

async fn tell(args: &AdminArgs, target: &str, expected: u16) -> Result<Option<serde_json::Value>, Failure> {
    let Some(settings) = settle(&args.settings, args.flags())? else { return Ok(None) };
    let answer = ask::post(&settings.admin.to_string(), target, limits::ORDER_TIME).await.map_err(Failure::found)?;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != expected {
        let why = said["detail"].as_str().unwrap_or("something else than a syncer").to_owned();
        return Err(Failure::found(format!("{} answered {}: {why}", settings.admin, answer.status)));
    }
    Ok(Some(said))
}
