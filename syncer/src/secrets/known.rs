//! What is known of the secrets of a boundary, and what each is called.
//!
//! Pure: time and randomness are arguments. A secret that cannot be read any more is the one that was read last, also after a
//! restart, when those that stand beside the merged file are what is known. Must never know how secrets are read.

use std::collections::{BTreeMap, BTreeSet};

use postern_config::secrets::{Reference, SecretText, Secrets, Taken, Wanted, came_from, new_name, place_of};
use postern_config::value::Timestamp;

use crate::limits;

/// The secrets of the boundary that is followed.
#[derive(Debug, Default)]
pub struct Known {
    taken: Taken,
    /// By place; each is the one of the present boundary's reference.
    read: BTreeMap<String, SecretText>,
    /// Places whose reference was read, well or badly.
    tried: BTreeSet<String>,
    /// Until when others are waited for.
    patience: Option<Timestamp>,
    /// By name: what the generation in force names.
    named: Secrets,
    /// By name: what stood besides when all this began.
    stood: Secrets,
}

impl Known {
    /// Begins from the secrets that stand, of which those of `in_force` are the ones that the standing generation names.
    pub fn of_standing(stood: &Secrets, in_force: &BTreeSet<String>) -> Self {
        Self { named: stood.only(in_force), stood: stood.clone(), ..Self::default() }
    }

    /// Follows another boundary. What is known of a reference is known wherever it stands.
    pub fn follow(&mut self, taken: Taken, now: Timestamp) {
        let before = std::mem::take(&mut self.read);
        let of_before = |wanted: &Wanted| {
            let same = self.taken.wanted.iter().filter(|one| one.reference == wanted.reference);
            same.filter_map(|one| before.get(&one.place)).find(|secret| wanted.purpose.check(secret).is_ok())
        };
        let known = |wanted: &Wanted| of_before(wanted).or_else(|| self.standing(wanted)).cloned();
        self.read = taken.wanted.iter().filter_map(|wanted| Some((wanted.place.clone(), known(wanted)?))).collect();
        let stays =
            |place: &String| taken.wanted.iter().any(|one| one.place == *place && self.taken.wanted.contains(one));
        self.tried.retain(stays);
        self.patience = Some(Timestamp::from_unix(now.unix().saturating_add(limits::SECRET_PATIENCE)));
        self.taken = taken;
    }

    /// What stands of a reference, those first that are in force.
    fn standing(&self, wanted: &Wanted) -> Option<&SecretText> {
        let of = |secrets: &Secrets| {
            let names = secrets.names().filter(|name| came_from(name, Some(&wanted.reference)));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let named = of(&self.named).into_iter().filter_map(|name| self.named.get(&name));
        let mut stood = of(&self.stood).into_iter().filter_map(|name| self.stood.get(&name));
        let fits = |secret: &&SecretText| wanted.purpose.check(secret).is_ok();
        named.chain(stood.by_ref()).find(fits)
    }

    /// What the boundary refers to.
    pub fn wanted(&self) -> &[Wanted] {
        &self.taken.wanted
    }

    /// Whether the secret of that place is known.
    pub fn has(&self, place: &str) -> bool {
        self.read.contains_key(place)
    }

    /// Takes in what was read; says whether it is another secret than before. `None`: it could not be read, and what is
    /// known stays.
    pub fn take(&mut self, wanted: &Wanted, secret: Option<SecretText>) -> bool {
        if !self.taken.wanted.contains(wanted) {
            return false;
        }
        // That nothing is there is news only for whoever waits.
        let first = self.tried.insert(wanted.place.clone()) && !self.has(&wanted.place);
        let Some(secret) = secret else { return first };
        let before = self.read.insert(wanted.place.clone(), secret);
        before.as_ref() != self.read.get(&wanted.place)
    }

    /// Whether some secret is about to be known for the first time: what is published before that would be without it.
    pub fn is_waiting(&self, now: Timestamp) -> bool {
        let is_awaited = |wanted: &Wanted| !self.has(&wanted.place) && !self.tried.contains(&wanted.place);
        self.patience.is_some_and(|end| now < end) && self.taken.wanted.iter().any(is_awaited)
    }

    /// Gives every secret its name: the one that it had, or a new one.
    pub fn name(&mut self, mut random: impl FnMut() -> u64) {
        let mut named = Secrets::default();
        let written =
            self.taken.written.names().filter_map(|place| Some((place, None, self.taken.written.get(place)?)));
        let read =
            self.taken.wanted.iter().filter_map(|wanted| {
                Some((wanted.place.as_str(), Some(&wanted.reference), self.read.get(&wanted.place)?))
            });
        for (place, reference, secret) in written.chain(read) {
            let had = self.name_for(place, reference, secret);
            named.insert(had.unwrap_or_else(|| new_name(place, reference, random())), secret.clone());
        }
        self.named = named;
    }

    fn name_for(&self, place: &str, reference: Option<&Reference>, secret: &SecretText) -> Option<String> {
        let fits = |secrets: &Secrets| {
            let is_it = |name: &&str| {
                place_of(name) == place && came_from(name, reference) && secrets.get(name) == Some(secret)
            };
            secrets.names().find(is_it).map(str::to_owned)
        };
        fits(&self.named).or_else(|| fits(&self.stood))
    }

    /// What the secret of a place is called.
    pub fn name_of(&self, place: &str) -> Option<String> {
        self.named.names().find(|name| place_of(name) == place).map(str::to_owned)
    }

    /// The secrets by name.
    pub fn named(&self) -> &Secrets {
        &self.named
    }
}

#[cfg(test)]
mod tests {
    use postern_config::document::Jwk;
    use postern_config::secrets::Purpose;

    use super::*;

    fn wanted(place: &str, reference: &str) -> Wanted {
        let key = Jwk { kty: "oct".to_owned(), ..Jwk::default() };
        let reference = Reference::read(reference).unwrap().unwrap();
        Wanted { place: place.to_owned(), reference, purpose: Purpose::Key(Box::new(key)) }
    }

    /// By a letter that base64 may end with.
    fn secret(letter: &str) -> SecretText {
        SecretText::new(letter.repeat(43))
    }

    fn following(known: &mut Known, wanted: &[&Wanted]) {
        let wanted = wanted.iter().map(|one| (*one).clone()).collect();
        known.follow(Taken { wanted, ..Taken::default() }, at(0));
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    fn counter() -> impl FnMut() -> u64 {
        let mut count = 0;
        move || {
            count += 1;
            count
        }
    }

    #[test]
    fn a_name_changes_with_the_secret_and_only_then() {
        let one = wanted("jwt/corp/0", "env:A");
        let (mut known, mut random) = (Known::default(), counter());
        following(&mut known, &[&one]);
        assert!(known.is_waiting(at(0)) && !known.is_waiting(at(limits::SECRET_PATIENCE)));
        assert!(known.take(&one, Some(secret("A"))) && !known.is_waiting(at(0)));
        known.name(&mut random);
        let first = known.name_of("jwt/corp/0").unwrap();
        assert!(!known.take(&one, Some(secret("A"))) && !known.take(&one, None));
        known.name(&mut random);
        assert_eq!(known.name_of("jwt/corp/0").as_ref(), Some(&first));
        assert!(known.take(&one, Some(secret("E"))));
        known.name(&mut random);
        let second = known.name_of("jwt/corp/0").unwrap();
        assert_ne!(first, second);
        assert_eq!(known.named().names().collect::<Vec<_>>(), [second.as_str()]);
        assert_eq!(known.named().get(&second), Some(&secret("E")));
    }

    #[test]
    fn what_was_read_last_holds_across_a_restart_and_follows_its_reference() {
        let (one, other) = (wanted("jwt/corp/0", "env:A"), wanted("jwt/corp/1", "env:B"));
        let (mut known, mut random) = (Known::default(), counter());
        following(&mut known, &[&one, &other]);
        known.take(&one, Some(secret("A")));
        known.take(&other, Some(secret("E")));
        known.name(&mut random);
        let stood = known.named().clone();
        let names: BTreeSet<String> = stood.names().map(str::to_owned).collect();

        // The keys have changed places, and neither can be read.
        let mut again = Known::of_standing(&stood, &names);
        let swapped = [wanted("jwt/corp/0", "env:B"), wanted("jwt/corp/1", "env:A"), wanted("jwt/corp/2", "env:C")];
        following(&mut again, &swapped.iter().collect::<Vec<_>>());
        again.name(&mut random);
        let held = |place: &str| again.name_of(place).and_then(|name| again.named().get(&name).cloned());
        assert_eq!(held("jwt/corp/0"), Some(secret("E")));
        assert_eq!(held("jwt/corp/1"), Some(secret("A")));
        assert_eq!(held("jwt/corp/2"), None);
        assert!(again.named().names().all(|name| !names.contains(name)), "a name means one secret for ever");
        assert!(again.is_waiting(at(0)), "for the third");

        // Nothing moved: the same names.
        let mut same = Known::of_standing(&stood, &names);
        following(&mut same, &[&one, &other]);
        same.name(&mut random);
        assert_eq!(same.named(), &stood);
    }

    #[test]
    fn what_cannot_serve_elsewhere_does_not_follow() {
        let one = wanted("jwt/corp/0", "env:A");
        let mut known = Known::default();
        following(&mut known, &[&one]);
        known.take(&one, Some(secret("A")));
        let key =
            Jwk { kty: "oct".to_owned(), alg: Some(postern_config::document::Algorithm::HS512), ..Jwk::default() };
        let longer = Wanted { purpose: Purpose::Key(Box::new(key)), ..one.clone() };
        following(&mut known, &[&longer]);
        assert!(!known.has("jwt/corp/0") && known.is_waiting(at(0)));
        assert!(!known.take(&one, Some(secret("A"))), "a task that was replaced");
        assert!(known.take(&longer, None) && !known.is_waiting(at(0)), "who waited goes on without");
    }
}
