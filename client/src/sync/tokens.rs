//! Where tokens come from: the app has them, and only the app can get a fresh one.

use std::time::Duration;

use serde::Deserialize;
use tidelog_events::id::UserId;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::SyncFailure;

/// How long the app may take to get a token.
const PATIENCE: Duration = Duration::from_mins(1);

/// Gives tokens. A function of the refused token that returns a future is one.
pub trait TokenSource: Send + Sync + 'static {
    /// A token of the store's user. `stale` is the token that the server has just refused, if there was one: a fresh
    /// one is wanted, or to be told why there is none.
    fn token(&self, stale: Option<String>) -> impl Future<Output = Result<String, NoToken>> + Send;
}

impl<S, F> TokenSource for S
where
    S: Fn(Option<String>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<String, NoToken>> + Send,
{
    fn token(&self, stale: Option<String>) -> impl Future<Output = Result<String, NoToken>> + Send {
        self(stale)
    }
}

/// Why the app has no token, for people: nobody is logged in, say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no token: {0}")]
pub struct NoToken(pub String);

/// The token that all spaces use. The app is asked for the first, and then each time one is refused.
pub(super) struct Tokens<S> {
    source: S,
    user: UserId,
    patience: Duration,
    current: Mutex<Option<String>>,
}

impl<S: TokenSource> Tokens<S> {
    pub(super) fn new(source: S, user: UserId) -> Self {
        Self { source, user, patience: PATIENCE, current: Mutex::new(None) }
    }

    /// The token in use.
    pub(super) async fn current(&self) -> Result<String, SyncFailure> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(token) => Ok(token.clone()),
            None => Ok(current.insert(self.ask(None).await?).clone()),
        }
    }

    /// Another token than the refused one. Where several spaces were refused with one token, the app is asked once.
    pub(super) async fn instead_of(&self, refused: &str) -> Result<String, SyncFailure> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(token) if token != refused => Ok(token.clone()),
            _ => Ok(current.insert(self.ask(Some(refused.to_owned())).await?).clone()),
        }
    }

    async fn ask(&self, stale: Option<String>) -> Result<String, SyncFailure> {
        let given = timeout(self.patience, self.source.token(stale)).await;
        let token = given.map_err(|_| NoToken("the app did not give one in time".to_owned()))??;
        // With another's token, this user's events would be pushed as that one's.
        match user_of(&token) {
            Some(other) if other != self.user.as_str() => Err(SyncFailure::OtherUser { token_of: other }),
            _ => Ok(token),
        }
    }
}

/// The user that a JWT names, its signature left to the server. `None` for what is no JWT, which the server refuses.
fn user_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let claims = token.split('.').nth(1)?;
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.sub)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn jwt(sub: &str, number: u32) -> String {
        let claims = data_encoding::BASE64URL_NOPAD.encode(format!(r#"{{"sub":"{sub}"}}"#).as_bytes());
        format!("e30.{claims}.{number}")
    }

    fn tokens(sub: &'static str) -> (Arc<AtomicU32>, Tokens<impl TokenSource>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let source = move |_| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move { Ok(jwt(sub, number)) }
        };
        (asked, Tokens::new(source, UserId::new("ann").unwrap()))
    }

    #[tokio::test]
    async fn the_app_is_asked_for_the_first_token_and_once_for_each_that_is_refused() {
        let (asked, tokens) = tokens("ann");
        assert_eq!(tokens.current().await.unwrap(), jwt("ann", 0));
        assert_eq!(tokens.current().await.unwrap(), jwt("ann", 0));
        let refused = jwt("ann", 0);
        let (one, other) = tokio::join!(tokens.instead_of(&refused), tokens.instead_of(&refused));
        assert_eq!((one.unwrap(), other.unwrap()), (jwt("ann", 1), jwt("ann", 1)));
        assert_eq!(tokens.current().await.unwrap(), jwt("ann", 1));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn another_users_token_is_not_used() {
        let (asked, tokens) = tokens("bob");
        for expect in 1..3 {
            let failure = tokens.current().await.unwrap_err();
            assert_eq!(failure, SyncFailure::OtherUser { token_of: "bob".to_owned() });
            assert_eq!(asked.load(Ordering::Relaxed), expect, "it was not kept");
        }
    }

    #[tokio::test]
    async fn an_app_that_does_not_answer_has_no_token() {
        let source = |_| std::future::pending::<Result<String, NoToken>>();
        let tokens = Tokens::new(source, UserId::new("ann").unwrap());
        let tokens = Tokens { patience: Duration::from_millis(10), ..tokens };
        assert_eq!(tokens.current().await.unwrap_err().code(), "no-token");
    }

    #[test]
    fn what_is_no_token_is_the_servers_to_refuse() {
        for token in ["", "opaque", "a.b.c", "a.!.c", "e30.e30.c"] {
            assert_eq!(user_of(token), None, "{token}");
        }
        assert_eq!(user_of(&jwt("équipe", 1)).as_deref(), Some("équipe"));
    }
}
