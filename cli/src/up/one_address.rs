//! A stack on one machine: phones, benches and the simulation all call from one address, some of them as one user. So nothing
//! limits how often or how much one of them calls, unless whoever starts it has set that.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;
use tidelog_runtime::config::{Config, Sources};

/// The limits that such a stack has none of.
const LIMITS: [(&str, &str); 3] =
    [("rates", "address_per_second"), ("rates", "user_per_second"), ("server", "connections_per_address")];

/// The variables that lift those of them that `sources` leave as they are by default.
pub(crate) fn lifted_limits(sources: &Sources) -> Result<BTreeMap<String, String>> {
    let (default, set) = (Config::load(&Sources::default())?, Config::load(sources)?);
    let mut variables = BTreeMap::new();
    for (section, key) in LIMITS {
        let value = |config: &Config| -> Result<Option<Value>> {
            let mut values: BTreeMap<String, Value> = config.section(section)?;
            Ok(values.remove(key))
        };
        let variable = format!("TIDELOG__{}__{}", section.to_uppercase(), key.to_uppercase());
        if !sources.environment.contains_key(&variable) && value(&default)? == value(&set)? {
            variables.insert(variable, "0".to_owned());
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_holds() {
        let lifted = |environment: &[(&str, &str)]| {
            let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let sources = Sources { file: None, environment: environment.collect() };
            lifted_limits(&sources).unwrap().into_keys().collect::<Vec<_>>()
        };
        let [address, connections, user] = [
            "TIDELOG__RATES__ADDRESS_PER_SECOND",
            "TIDELOG__SERVER__CONNECTIONS_PER_ADDRESS",
            "TIDELOG__RATES__USER_PER_SECOND",
        ];
        assert_eq!(lifted(&[]), [address, user, connections]);
        assert_eq!(lifted(&[(address, "500")]), [user, connections], "even to what it is by default");
        assert_eq!(lifted(&[(user, "1")]), [address, connections]);
    }
}
