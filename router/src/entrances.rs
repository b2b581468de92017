//! The listeners that the settings ask for, bound.
//!
//! Owns the way from what is written in the settings to what a listener knows of itself. Must never know connections.

use std::net::SocketAddr;

use crate::StartError;
use crate::freshness::unix_now;
use crate::listener::{self, Bounds, CertificateFiles, Clients, Entrance, Keeper, Places, SetupError, TlsSetup};
use crate::observe::Certificates;
use crate::settings::{self, Settings};
use crate::stage::identify::OddNames;

/// The listeners of the settings, bound, and not yet taking connections.
#[derive(Default)]
pub(crate) struct Listeners {
    /// Where each of them listens.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For each core, one of each listener.
    pub(crate) entrances: Vec<Vec<Entrance>>,
    /// Of those that speak TLS.
    pub(crate) keepers: Vec<Keeper>,
    /// What those show.
    pub(crate) certificates: Vec<Certificates>,
}

/// Binds what the settings ask for, for so many cores.
///
/// # Errors
/// Which address cannot be had, or whose certificates cannot be used.
pub(crate) fn open(settings: &Settings, cores: usize) -> Result<Listeners, StartError> {
    let mut open = Listeners { entrances: (0..cores).map(|_| Vec::new()).collect(), ..Listeners::default() };
    for settings::Listener { address, tls, connections, odd_names } in settings.all_listeners() {
        let listen = |error| StartError::Listen { address, error };
        let wrong = |error: SetupError| StartError::Tls { address, why: error.to_string() };
        let keeper = tls.map(|tls| Keeper::open(&tls_setup(tls), unix_now())).transpose().map_err(wrong)?;
        let sockets = listener::bind(address, cores).map_err(listen)?;
        let bound = sockets[0].local_addr().map_err(listen)?;
        let (places, odd_names) = (Places::of(connections), OddNames::from(odd_names));
        for (entrances, socket) in open.entrances.iter_mut().zip(sockets) {
            let tls = keeper.as_ref().map(Keeper::tls);
            entrances.push(Entrance { number: entrances.len(), socket, tls, places: places.clone(), odd_names });
        }
        open.addresses.push(bound);
        open.certificates.extend(keeper.as_ref().map(|keeper| (bound, keeper.cells())));
        open.keepers.extend(keeper);
    }
    Ok(open)
}

impl From<settings::OddNames> for OddNames {
    fn from(said: settings::OddNames) -> Self {
        match said {
            settings::OddNames::Refuse => Self::Refuse,
            settings::OddNames::Drop => Self::Drop,
            settings::OddNames::Pass => Self::Pass,
        }
    }
}

fn tls_setup(tls: settings::ListenerTls) -> TlsSetup {
    let files =
        |pair: settings::CertificateFiles| CertificateFiles { certificate: pair.certificate_file, key: pair.key_file };
    let clients = |clients: settings::ClientAuthentication| Clients {
        name: clients.name.map(|name| name.as_str().into()),
        authorities: clients.ca_file,
        revoked: clients.crl_file,
        refuses_overdue: clients.crl_overdue == settings::Overdue::Refuse,
        optional: clients.mode == settings::ClientMode::Optional,
    };
    TlsSetup {
        certificates: tls.certificates.into_iter().map(files).collect(),
        clients: tls.client_authentication.map(clients),
        speaks_12: tls.minimum == settings::TlsVersion::V12,
    }
}

/// What a core takes in at once.
pub(crate) fn bounds(settings: &Settings, cores: usize) -> Bounds {
    let limits = &settings.limits;
    Bounds { cores, per_address: limits.connections_per_address, handshake: limits.handshake.duration() }
}
