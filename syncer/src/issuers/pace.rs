//! When an issuer is asked again.
//!
//! Pure: randomness is an argument. Spreads many syncers out, and asks an issuer that is down neither too often nor too
//! late.

use std::time::Duration;

/// Bounds of the time between two fetches.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At least, also when an issuer says less.
    pub least: Duration,
    /// At most, also when an issuer says more.
    pub most: Duration,
    /// Between two early fetches, which somebody asked for.
    pub early_every: Duration,
}

impl Pace {
    /// After keys came that hold for `max_age`: within the bounds, up to a tenth earlier. `random` is from 0 to 1.
    pub fn after_success(&self, max_age: Option<Duration>, random: f64) -> Duration {
        let wanted = max_age.unwrap_or(UNSAID).min(self.most).max(self.least);
        wanted.mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0))
    }

    /// After so many failures in a row: from a twelfth of the least time up to all of it, at random.
    pub fn after_failure(&self, failures: u32, random: f64) -> Duration {
        let longest = (self.least / 12).saturating_mul(1 << failures.min(8)).min(self.least);
        longest.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

/// For how long keys hold of which the issuer says nothing.
const UNSAID: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_within_their_bounds() {
        let seconds = Duration::from_secs;
        let pace = Pace { least: seconds(60), most: seconds(900), early_every: seconds(30) };
        assert_eq!(pace.after_success(None, 0.0), seconds(300));
        assert_eq!(pace.after_success(Some(seconds(0)), 0.0), seconds(60));
        assert_eq!(pace.after_success(Some(seconds(600)), 1.0), seconds(540));
        assert_eq!(pace.after_success(Some(Duration::MAX), 0.0), seconds(900));
        assert_eq!(pace.after_failure(1, 1.0), seconds(10));
        assert_eq!(pace.after_failure(1, 0.0), seconds(5));
        assert_eq!(pace.after_failure(u32::MAX, 1.0), seconds(60));
    }
}
