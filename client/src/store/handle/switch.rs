//! Another user on the same device.

use std::path::PathBuf;

use super::{Store, StoreConfig};
use crate::store::{Closed, OpenError, StoreError, bound_to, set_aside};

/// A store that was opened for whoever is logged in now.
pub struct Switched {
    /// It.
    pub store: Store,
    /// Where the other user's file is now, if there was one.
    pub set_aside: Option<PathBuf>,
}

impl Store {
    /// Opens the store for `config.user`. If the file is another user's, it is set aside, under a name beside it, and a
    /// new one made. Where that user has events that are not synced, only if `force` says so: those stay in the file
    /// that is set aside. Nothing is deleted. The other user's store must be closed before.
    pub async fn switch_user(config: StoreConfig, force: bool) -> Result<Switched, OpenError> {
        let (path, user) = (config.path.clone(), config.user.clone());
        let moving = tokio::task::spawn_blocking(move || match bound_to(&path)? {
            Some(bound) if bound.user != user && bound.pending > 0 && !force => {
                Err(OpenError::OtherUser { bound_to: bound.user, pending: bound.pending })
            }
            Some(bound) if bound.user != user => set_aside(&path).map(Some),
            _ => Ok(None),
        });
        let set_aside = moving.await.map_err(|_| OpenError::Store(StoreError::Closed(Closed)))??;
        Ok(Switched { store: Self::open(config).await?, set_aside })
    }
}
