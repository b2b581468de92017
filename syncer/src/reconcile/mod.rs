//! Reconciling: observe → translate → guard → publish → report, over and over.
//!
//! Here is what is known and what one pass makes of it; [`watch`] drives it. A store that failed leaves what was
//! known in force, also across a restart: then what stands in the file is known.
//! Must never know the format of either store.

mod keys;
pub mod pin;
mod secrets;
pub mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use postern_config::Boundary;
use postern_config::merged::{Content, Sources};
use postern_config::secrets::{SecretText, Wanted, names_in};
use postern_config::value::{Name, Timestamp};

use self::pin::Pin;
use crate::guard::Hold;
use crate::issuers::discovery::Published as PublishedKeys;
use crate::issuers::http::Http;
use crate::issuers::known::{Known, Seen};
use crate::issuers::watch::Looked;
use crate::pass::{self, Situation};
use crate::posted::Mark;
use crate::publish::{PublishError, Published, Publisher};
use crate::secrets::known::Known as KnownSecrets;
use crate::settings::Settings;
use crate::source::boundary::BoundaryReading;
use crate::source::registrations::RegistrationsReading;
use crate::source::secret::SecretSource;
use crate::source::{Observed, SourceError};
use crate::status::Status;
use crate::translate::Rules;

pub use watch::{Requests, Shared, Stores, note, run};

/// The one place that reads the clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// What is known, and the file that is made of it.
#[derive(Debug)]
pub struct Reconciler {
    publisher: Publisher,
    rules: Rules,
    shrink_grace: Duration,
    boundary: Option<BoundaryReading>,
    registrations: Option<RegistrationsReading>,
    registrations_seen: Option<Timestamp>,
    known: Known,
    secrets: KnownSecrets,
    /// What stands on the disk of when keys were seen.
    keys_remembered: Seen,
    due: Option<Timestamp>,
    /// After a file that could not be written: not before then.
    again_at: Option<Timestamp>,
    changed: bool,
    hold: Option<Hold>,
    beaten_at: Option<Timestamp>,
    pin: Option<Pin>,
    mark: Mark,
}

/// What a pass led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Neither store has been read and nothing stands, so there is nothing to do.
    Waiting,
    /// The file stands as it should.
    Current(Published),
}

impl Reconciler {
    /// Begins from what stands in the directory.
    pub fn new(publisher: Publisher, settings: &Settings) -> Self {
        let standing = publisher.standing().map_or(&[][..], |standing| &standing.content.keys);
        let keys_remembered = publisher.keys_seen();
        let known = Known::of_standing(standing, &keys_remembered, settings.issuers.keep.duration(), now());
        let pin = Pin::kept(&publisher);
        let named = publisher.standing().map(|standing| names_in(standing.content.boundary.document()));
        let secrets = KnownSecrets::of_standing(publisher.secrets(), &named.unwrap_or_default());
        Self {
            publisher,
            known,
            secrets,
            keys_remembered,
            rules: rules(settings),
            shrink_grace: settings.shrink_grace.duration(),
            boundary: None,
            registrations: None,
            registrations_seen: None,
            due: None,
            again_at: None,
            changed: true,
            hold: None,
            beaten_at: None,
            pin,
            mark: Mark::default(),
        }
    }

    /// The boundary was looked at.
    pub fn take_boundary(&mut self, observed: Observed<BoundaryReading>) -> Result<(), SourceError> {
        match observed {
            Observed::Unchanged => Ok(()),
            Observed::Changed(reading) => {
                self.secrets.follow(reading.taken.clone(), now());
                self.boundary = Some(reading);
                self.name_secrets();
                Ok(())
            }
            Observed::Failed(error) => Err(error),
        }
    }

    /// The registrations were looked at.
    pub fn take_registrations(
        &mut self,
        observed: Observed<RegistrationsReading>,
        now: Timestamp,
    ) -> Result<(), SourceError> {
        match observed {
            Observed::Failed(error) => return Err(error),
            Observed::Unchanged => {}
            Observed::Changed(reading) => {
                self.registrations = Some(reading);
                self.changed = true;
            }
        }
        self.registrations_seen = Some(now);
        Ok(())
    }

    /// A secret was looked at; `None` when it could not be read, which leaves what is known. Says whether it is another one.
    pub fn take_secret(&mut self, wanted: &Wanted, secret: Option<SecretText>) -> bool {
        let changed = self.secrets.take(wanted, secret);
        if changed {
            self.name_secrets();
        }
        changed
    }

    /// What the boundary refers to.
    pub fn secrets_wanted(&self) -> &[Wanted] {
        self.secrets.wanted()
    }

    fn name_secrets(&mut self) {
        self.secrets.name(|| fastrand::u64(..));
        if let Some(reading) = &mut self.boundary {
            reading.boundary.name_secrets(|place| self.secrets.name_of(place));
        }
        self.changed = true;
    }

    /// Takes secrets away that no generation names any more.
    pub fn forget_superseded(&mut self, now: Timestamp) {
        self.publisher.forget_superseded(now);
    }

    /// An issuer was looked at. A failure leaves what is known of its keys.
    pub fn take_keys(&mut self, looked: &Looked, now: Timestamp) -> Result<(), SourceError> {
        let PublishedKeys { sifted, .. } = looked.result.as_ref().map_err(Clone::clone)?;
        self.changed |= self.known.take(&looked.spec, sifted.keys.clone(), now);
        let seen = self.known.seen();
        if is_worth_remembering(&self.keys_remembered, &seen) {
            self.publisher.remember_keys_seen(&seen);
            self.keys_remembered = seen;
        }
        Ok(())
    }

    /// Until when the keys of an issuer hold, and how many they are.
    pub fn keys_hold(&self, name: &Name) -> Option<(usize, Timestamp)> {
        self.known.holds(name)
    }

    /// What is allowed, as far as anything is known of it.
    pub fn boundary(&self) -> Option<&Boundary> {
        let standing = || self.publisher.standing().map(|standing| &standing.content.boundary);
        self.boundary.as_ref().map(|reading| &reading.boundary).or_else(standing)
    }

    /// The generation that stands.
    pub fn generation(&self) -> u64 {
        self.publisher.standing().map_or(0, |standing| standing.header.generation)
    }

    /// Whether a pass could change anything.
    pub fn is_due(&self, now: Timestamp) -> bool {
        if self.again_at.is_some_and(|again_at| now < again_at) {
            return false;
        }
        if self.secrets.is_waiting(now) {
            return false;
        }
        self.changed || self.due.is_some_and(|due| due <= now) || !self.publisher.is_intact()
    }

    /// Makes the file what it should be.
    ///
    /// # Errors
    /// When it cannot be written. What stood before still stands, and the next pass tries again.
    pub fn pass(&mut self, now: Timestamp, released: bool, status: &Status) -> Result<Outcome, PublishError> {
        let standing = self.publisher.standing();
        let previous = standing.map(|standing| &*standing.content);
        let known = self.boundary.as_ref().map(|reading| &reading.boundary);
        let Some(boundary) = known.or_else(|| previous.map(|content| &content.boundary)) else {
            return Ok(Outcome::Waiting);
        };
        let keys = self.known.for_boundary(boundary, now);
        let began = Instant::now();
        let made = pass::next(&Situation {
            boundary,
            items: self.registrations.as_ref().map(|reading| reading.items.as_slice()).filter(|_| self.pin.is_none()),
            observed_at: self.registrations_seen.unwrap_or(now),
            keys: &keys,
            previous: self.pin.as_ref().map(|pin| &*pin.content).or(previous),
            generation: self.publisher.next_generation(),
            now,
            rules: &self.rules,
            shrink_grace: self.shrink_grace,
            released,
        });
        let Some((content, hold)) = made else { return Ok(Outcome::Waiting) };
        status.metrics.phase("translate", began.elapsed());
        let due = pass::due(&content, hold.as_ref(), &self.rules, self.shrink_grace, now);
        let due = due.into_iter().chain(self.known.due(now)).min();
        let began = Instant::now();
        let secrets = match &self.boundary {
            Some(_) => self.secrets.named().clone(),
            None => self.publisher.in_force().clone(),
        };
        // A full disk is not asked again at every tick.
        self.again_at = Some(Timestamp::from_unix(now.unix() + 5));
        let published = self.publisher.publish(content, self.sources(), &secrets, now)?;
        self.again_at = None;
        status.metrics.phase("publish", began.elapsed());
        self.due = due;
        self.changed = false;
        self.hold = hold;
        self.mark = self.made_from();
        self.report(now, status);
        Ok(Outcome::Current(published))
    }

    /// What the file says of its sources: of one that was not read since the start, what it said before.
    fn sources(&self) -> Sources {
        let before = self.publisher.standing().map(|standing| standing.header.sources.clone()).unwrap_or_default();
        Sources {
            boundary: self.boundary.as_ref().map_or(before.boundary, |reading| reading.source.clone()),
            registrations: self.registrations.as_ref().map_or(before.registrations, |reading| reading.source.clone()),
            pinned: self.pin.as_ref().map(|pin| pin.told),
        }
    }

    /// What a content is made from that a pass makes now. While routes stay, no registration is followed.
    fn made_from(&self) -> Mark {
        let standing = || {
            let sources = &self.publisher.standing()?.header.sources;
            sources.registrations.version.filter(|_| sources.pinned.is_none())
        };
        let clock = self.registrations.as_ref().map_or_else(standing, |reading| reading.clock);
        Mark {
            clock: clock.filter(|_| self.pin.is_none()),
            boundary: self.boundary.as_ref().map(|reading| reading.digest.to_string()),
        }
    }

    fn report(&self, now: Timestamp, status: &Status) {
        self.show(status);
        status.update(|view| {
            view.hold.clone_from(&self.hold);
            view.last_pass = Some(now);
            view.pass_error = None;
        });
    }

    /// Shows what stands.
    pub fn show(&self, status: &Status) {
        status.update(|view| {
            view.pinned = self.pin.as_ref().map(|pin| pin.told);
            view.mark.clone_from(&self.mark);
            if let Some(standing) = self.publisher.standing() {
                if view.digest != Some(standing.digest) {
                    view.content = Some(Arc::clone(&standing.content));
                }
                view.generation = standing.header.generation;
                view.digest = Some(standing.digest);
                view.written_at = Some(standing.header.written_at);
            }
        });
    }

    /// What the shrink guard keeps.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// What stands.
    pub fn content(&self) -> Option<&Content> {
        self.publisher.standing().map(|standing| &*standing.content)
    }
}

/// What the settings tell the translation.
pub fn rules(settings: &Settings) -> Rules {
    Rules {
        max_stale_route: settings.max_stale_route.duration(),
        allow_loopback_destinations: settings.allow_loopback_destinations,
    }
}

/// Whether when keys were seen is written anew: each writing waits for the disk, and a minute of a day matters to nobody.
fn is_worth_remembering(remembered: &Seen, seen: &Seen) -> bool {
    let late = |(name, last): (&Name, &Timestamp)| {
        remembered.get(name).is_none_or(|before| last.unix().saturating_sub(before.unix()) >= 60)
    };
    seen.iter().any(late)
}

/// How issuers are asked.
pub fn issuer_http(settings: &Settings) -> Http {
    Http { allow_loopback: settings.allow_loopback_destinations, time: settings.issuers.timeout.duration() }
}

/// How secrets are read.
pub fn secret_source(settings: &Settings) -> SecretSource {
    SecretSource::new(settings.operation_timeout.duration())
}

impl Reconciler {
    /// Once an interval, while both stores can be read and what stands is what they say.
    fn beat(&mut self, interval: Duration, now: Timestamp, status: &Status) {
        let view = status.view();
        let agreed =
            [&view.boundary, &view.registrations].iter().all(|one| one.last_success.is_some() && one.failing.is_none());
        let elapsed = self.beaten_at.map_or(i64::MAX, |beaten_at| now.unix() - beaten_at.unix());
        if agreed && view.pass_error.is_none() && elapsed >= i64::try_from(interval.as_secs()).unwrap_or(0).max(1) {
            self.publisher.beat(now);
            self.beaten_at = Some(now);
        }
    }

    fn report_idle(&self, status: &Status) {
        if status.view().pass_error.is_none() && self.publisher.standing().is_some() {
            status.update(|view| view.last_pass = Some(now()));
        }
    }
}
