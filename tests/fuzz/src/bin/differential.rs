//! Makes connections from the grammar until there are as many as were asked for, and says what came of them:
//! `differential [COUNT] [SEED]`. Exits 1 when anything was found.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let (count, seed) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(1));
    let tally = postern_fuzz::differential(seed, count);
    println!("{} connections from seed {seed}, {} requests seen alike", tally.connections, tally.alike);
    for (difference, times) in &tally.differences {
        println!("{times:>10}  {difference}");
    }
    for bytes in &tally.findings {
        println!("FOUND {}", bytes.escape_ascii());
    }
    if tally.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
