//! `key`: makes keys for consumers, and says how one is taken back.
//!
//! The boundary is a document that people write and review, so nothing is written into it: what goes in is printed. A key
//! is shown once and kept nowhere; of it the document gets a digest under the realm's pepper. Must never log a key.

use postern_config::api_key::{self, Pepper, RANDOM};
use postern_config::document::{ApiKeyRealm, KeyDigest, Mode};
use postern_config::limits::CONSUMER_KEYS;
use postern_config::value::{Period, Timestamp};
use serde_json::json;

use crate::cli::{BoundaryArgs, KeyCommand};
use crate::commands::{location, required, settle};
use crate::output::{Failure, Format, print};
use crate::reconcile::now;
use crate::secrets::watch::look;
use crate::source::boundary::{BoundaryReading, BoundarySource};
use crate::source::secret::SecretSource;
use crate::source::{Clients, Location, Observed};

/// Runs one of the commands.
pub(crate) async fn run(command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::New { realm, consumer, expires, boundary: args } => {
            let expires = expires.as_deref().map(until).transpose()?;
            let Some((reading, secrets)) = read(&args).await? else { return Ok(()) };
            let random = random()?;
            let pepper = pepper_of(&reading, &realm, &secrets).await?;
            let made = make(&reading, &realm, &pepper, &consumer, expires, &random)?;
            print(&made.shown(args.output));
            Ok(())
        }
        KeyCommand::Revoke { id, boundary: args } => {
            let Some((reading, _)) = read(&args).await? else { return Ok(()) };
            print(&revoke(&reading, &id, args.output)?);
            Ok(())
        }
    }
}

async fn read(args: &BoundaryArgs) -> Result<Option<(BoundaryReading, SecretSource)>, Failure> {
    let Some(settings) = settle(&args.settings, args.flags())? else { return Ok(None) };
    let place = location(required(settings.boundary.as_deref(), "boundary", "--boundary URI")?, "boundary")?;
    let time = settings.operation_timeout.duration();
    let clients = Clients::load(!matches!(place, Location::Path(_)), time).await.map_err(Failure::usage)?;
    let mut source = BoundarySource::open(&place, &clients, time).map_err(Failure::usage)?;
    match source.observe(now()).await {
        Observed::Changed(reading) => Ok(Some((reading, SecretSource::new(time)))),
        Observed::Failed(error) => Err(Failure::found(format!("boundary: {error}"))),
        Observed::Unchanged => Err(Failure::found("boundary: nothing was read")),
    }
}

fn until(text: &str) -> Result<Timestamp, Failure> {
    let period: Period =
        text.parse().map_err(|error| Failure::usage(format!("--expires: {error} (write 90d, or leave it out)")))?;
    let seconds = i64::try_from(period.duration().as_secs()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_unix(now().unix().saturating_add(seconds)))
}

fn random() -> Result<[u8; RANDOM], Failure> {
    let mut bytes = [0; RANDOM];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| Failure::found("this machine gives no random numbers"))?;
    Ok(bytes)
}

/// A key that was made, and what becomes of it. Has no `Debug`.
struct Made {
    key: String,
    realm: String,
    consumer: String,
    is_new_consumer: bool,
    entry: KeyDigest,
}

fn make(
    reading: &BoundaryReading,
    realm: &str,
    pepper: &Pepper,
    consumer: &str,
    expires: Option<Timestamp>,
    random: &[u8; RANDOM],
) -> Result<Made, Failure> {
    let realm = realm_named(reading, realm)?;
    let known = realm.consumers.iter().find(|one| one.name.as_str() == consumer);
    if known.is_some_and(|one| one.keys.len() >= CONSUMER_KEYS) {
        return Err(Failure::found(format!(
            "{consumer} has {CONSUMER_KEYS} keys already; take the one out that is not used any more"
        )));
    }
    let name: postern_config::value::Name =
        consumer.parse().map_err(|error| Failure::usage(format!("--consumer: {error}")))?;
    let key = api_key::of_random(random);
    let id = api_key::id_of(&key).unwrap_or_default().to_owned();
    let entry = KeyDigest { id, digest: pepper.digest(&key).to_hex(), expires };
    Ok(Made { key, realm: realm.name.to_string(), consumer: name.to_string(), is_new_consumer: known.is_none(), entry })
}

fn realm_named<'r>(reading: &'r BoundaryReading, name: &str) -> Result<&'r ApiKeyRealm, Failure> {
    let realms = &reading.boundary.document().identity.api_key;
    realms.iter().find(|one| one.name.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = realms.iter().map(|one| one.name.as_str()).collect();
        Failure::found(match known.as_slice() {
            [] => "the boundary has no realm of keys: write one into identity.api_key".to_owned(),
            known => format!("the boundary has no realm of keys {name:?}; known: {}", known.join(", ")),
        })
    })
}

async fn pepper_of(reading: &BoundaryReading, realm: &str, source: &SecretSource) -> Result<Pepper, Failure> {
    let place = format!("api_key/{}", realm_named(reading, realm)?.name);
    let wanted = reading.taken.wanted.iter().find(|one| one.place == place);
    let secret = match (reading.taken.written.get(&place), wanted) {
        (Some(written), _) => written.clone(),
        (None, Some(wanted)) => {
            let looked = look(source, wanted.clone()).await;
            looked.result.map_err(|error| Failure::found(format!("the realm's pepper: {error}")))?
        }
        (None, None) => return Err(Failure::found("the realm's pepper is not in the boundary")),
    };
    Pepper::parse(secret.expose()).map_err(|why| Failure::found(format!("the realm's pepper {why}")))
}

impl Made {
    fn shown(&self, format: Format) -> String {
        let entry = serde_json::to_value(&self.entry).unwrap_or_default();
        if matches!(format, Format::Json) {
            let made = json!({ "key": self.key, "realm": self.realm, "consumer": self.consumer, "entry": entry });
            return format!("{made:#}");
        }
        let (place, line) = match self.is_new_consumer {
            true => ("consumers", format!("- {{name: {}, keys: [{entry}], scopes: []}}", self.consumer)),
            false => ("consumer's keys", format!("- {entry}")),
        };
        format!(
            "{}\n\nThis is the key of {}, shown once and kept nowhere. It works as soon as the boundary has, in realm {}, \
             under the {place}:\n\n{line}\n",
            self.key, self.consumer, self.realm
        )
    }
}

fn revoke(reading: &BoundaryReading, id: &str, format: Format) -> Result<String, Failure> {
    // People paste what they have.
    let id = api_key::id_of(id).unwrap_or(id);
    let realms = &reading.boundary.document().identity.api_key;
    let found = realms.iter().find_map(|realm| {
        let consumer = realm.consumers.iter().find(|one| one.keys.iter().any(|key| key.id == id))?;
        Some((realm, consumer))
    });
    let (realm, consumer) =
        found.ok_or_else(|| Failure::found("no consumer of the boundary has a key with that id"))?;
    let is_revoked = realm.revoked.iter().any(|one| one == id);
    if matches!(format, Format::Json) {
        let told = json!({
            "id": id, "realm": realm.name, "consumer": consumer.name, "revoked": is_revoked,
            "revoked_mode": realm.revoked_mode,
        });
        return Ok(format!("{told:#}"));
    }
    Ok(match (is_revoked, realm.revoked_mode) {
        (true, Mode::Enforce) => format!("the key {id} of {} is revoked", consumer.name),
        (true, Mode::Shadow | Mode::Off) => format!(
            "the key {id} of {} is under revoked, and passes until realm {} has revoked_mode: enforce",
            consumer.name, realm.name
        ),
        (false, _) => format!(
            "{id} is a key of {}. It is refused as soon as the boundary has, in realm {}, under revoked:\n\n- \"{id}\"\n",
            consumer.name, realm.name
        ),
    })
}
