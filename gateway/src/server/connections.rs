//! How many connections there are, in all and of each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::caller::{Proxies, network_of};
use super::config::ServerConfig;

/// The connections of a listener. Clones share them.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    /// 0 for no limit.
    most_per_address: usize,
    proxies: Proxies,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place among them; free again when this is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    /// Where addresses are counted and this is no proxy's.
    address: Option<IpAddr>,
}

/// Why a connection is closed as soon as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

impl Full {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self(Arc::new(Shared {
            most: config.connections,
            most_per_address: config.connections_per_address,
            proxies: config.trusted_proxies.clone(),
            open: Mutex::default(),
        }))
    }

    /// A place for a connection of that address.
    pub(super) fn place(&self, peer: IpAddr) -> Result<Place, Full> {
        let shared = &self.0;
        let counted = shared.most_per_address > 0 && !shared.proxies.contain(peer);
        let address = counted.then(|| network_of(peer));
        let mut open = shared.open();
        if open.all >= shared.most {
            return Err(Full::All);
        }
        if let Some(address) = address {
            let of_address = open.by_address.entry(address).or_default();
            if *of_address >= shared.most_per_address {
                return Err(Full::Address);
            }
            *of_address += 1;
        }
        open.all += 1;
        metrics::gauge!("tidelog_gateway_connections").increment(1);
        Ok(Place { shared: shared.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("tidelog_gateway_connections").decrement(1);
        let mut open = self.shared.open();
        open.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(of_address) = open.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_by_address_and_free_again() {
        let proxies: Proxies = "10.0.0.1".parse().unwrap();
        let shared = Shared { most: 4, most_per_address: 2, proxies, open: Mutex::default() };
        let connections = Connections(Arc::new(shared));
        let place = |address: &str| connections.place(address.parse().unwrap());
        let held = [place("2001:db8::1").unwrap(), place("2001:db8::2").unwrap()];
        assert_eq!(place("2001:db8::3").err(), Some(Full::Address));
        let of_proxy = [place("10.0.0.1").unwrap(), place("10.0.0.1").unwrap()];
        assert_eq!(place("192.0.2.1").err(), Some(Full::All));
        drop(of_proxy);
        let more = [place("10.0.0.1").unwrap(), place("192.0.2.1").unwrap()];
        assert_eq!(place("10.0.0.1").err(), Some(Full::All));
        drop((held, more));
        let open = connections.0.open();
        assert_eq!((open.all, open.by_address.len()), (0, 0));
    }
}
