//! The gateways of a stack, and where they are reached: one by itself, several through a front door.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::door::{Backend, Readiness};
use super::kept::Kept;
use super::servers::caller;
use super::service::Service;

/// Where callers reach the gateways.
pub(super) struct Urls {
    pub(super) public: String,
    pub(super) admin: String,
}

/// The variables that name a gateway's listeners, and the word for each in what is kept.
const LISTENERS: [(&str, &str); 2] =
    [("TIDELOG__GATEWAY__LISTEN", "gateway"), ("TIDELOG__ADMIN__LISTEN", "admin")];

/// The doors of both listeners, to be opened when the gateways run.
pub(super) struct Doors(Vec<Door>);

struct Door {
    address: String,
    /// The variable that names the listeners behind it.
    variable: &'static str,
}

/// So many gateways, of which `new` makes each. One listens itself where callers come in.
pub(super) fn describe(
    count: u16,
    kept: &mut Kept,
    new: impl Fn(&mut Kept, u16) -> Result<Service>,
) -> Result<(Vec<Service>, Urls, Doors)> {
    let mut services = (1..=count).map(|number| new(kept, number)).collect::<Result<Vec<_>>>()?;
    let (mut urls, mut doors) = (Vec::new(), Vec::new());
    for (variable, word) in LISTENERS {
        let address = match caller(variable) {
            Some(address) => address,
            None => format!("127.0.0.1:{}", kept.port(word)?),
        };
        urls.push(format!("http://{}", address.replace("0.0.0.0", "127.0.0.1")));
        if let [alone] = services.as_mut_slice() {
            alone.environment.insert(variable.to_owned(), address);
            continue;
        }
        for service in &mut services {
            let own = format!("127.0.0.1:{}", kept.port(&format!("{}-{word}", service.role))?);
            service.environment.insert(variable.to_owned(), own);
        }
        doors.push(Door { address, variable });
    }
    let [public, admin] = urls.try_into().unwrap_or_default();
    Ok((services, Urls { public, admin }, Doors(doors)))
}

impl Doors {
    /// Opens them to those of the services that listen behind them.
    pub(super) async fn open(self, services: &[Service]) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut readiness = Vec::new();
        for service in services.iter().filter(|service| service.role.starts_with("gateway")) {
            readiness.push((service, Readiness::watch(&service.operations_url)?));
        }
        for Door { address, variable } in self.0 {
            let backends = readiness.iter().map(|(service, ready)| {
                let address = service.environment.get(variable).context("a gateway listens nowhere")?;
                anyhow::Ok(Backend { address: address.parse::<SocketAddr>()?, ready: ready.clone() })
            });
            Backend::open_door(&address, backends.collect::<Result<_>>()?).await?;
        }
        Ok(())
    }
}
