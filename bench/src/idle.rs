//! Connections that asked once and then say nothing: what they cost a proxy is read from outside while they are held.

use std::io::{Read, Write};

use clap::Args;

use crate::client::{self, Door};
use crate::{Outcome, Target, http};

/// What an opener is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// Opens them one after the other, says so in a line of its own, and ends with standard input.
pub(crate) fn run(options: &Options) -> Outcome {
    let door = Door::new(&options.target)?;
    let requests = http::requests(&options.target)?;
    crate::on_one_thread(async {
        let mut buffer = client::buffer();
        let mut held = Vec::with_capacity(options.connections);
        let mut failure = None;
        for turn in 0..options.connections {
            let asked = async {
                let mut connection = door.connect().await?;
                let answer = connection.exchange(&requests[turn % requests.len()], &mut buffer).await?;
                if answer.status == 200 { Ok(connection) } else { Err(std::io::Error::other("not answered")) }
            };
            match asked.await {
                Ok(connection) => held.push(connection),
                Err(error) => {
                    failure = Some(error.to_string());
                    break;
                }
            }
        }
        println!("{}", serde_json::json!({ "open": held.len(), "failure": failure }));
        std::io::stdout().flush()?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(serde_json::json!({ "closed": held.len() }))
    })
}
