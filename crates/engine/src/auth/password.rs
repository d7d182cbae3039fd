//! Passwords: argon2id, hashed apart from the threads that serve requests.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::error::{Error, Invalid, Result};

/// Characters.
const SHORTEST: usize = 8;

/// A hash of nobody's password, with the parameters of every hash made here: an unknown e-mail address costs the
/// same time as a known one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$hnQ7aiu+PODeFQrAVTUaoQ$zvGHEMb9nQVE1zR/gMhZ4vreho1q1hpuN3Drn/JOGTY";

async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Internal(format!("a password could not be hashed: {error}")))
}

/// A PHC string. Takes about 19 MiB and some tens of milliseconds.
pub(crate) async fn hash(password: &str) -> Result<String> {
    let password = password.to_owned();
    apart(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string())
    })
    .await?
    .map_err(|error| Error::Internal(format!("a password could not be hashed: {error}")))
}

/// Whether `password` is the one behind `hash`. Without a hash it takes as long and is never right.
pub(crate) async fn verify(password: &str, hash: Option<&str>) -> Result<bool> {
    let password = password.to_owned();
    let known = hash.is_some();
    let hash = hash.unwrap_or(NOBODY).to_owned();
    apart(move || match PasswordHash::new(&hash) {
        Ok(parsed) => known & Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash cannot be read; reset that password");
            false
        }
    })
    .await
}

pub(crate) fn check(invalid: &mut Invalid, password: &str) {
    if password.is_empty() {
        invalid.require("password", false);
    } else if password.chars().count() < SHORTEST {
        invalid.add("password", format!("The password field must be at least {SHORTEST} characters."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_only_for_its_own_hash() {
        let made = hash("correct horse").await.unwrap();
        assert!(verify("correct horse", Some(&made)).await.unwrap());
        assert!(!verify("correct house", Some(&made)).await.unwrap());
        assert!(!verify("correct horse", Some("not a hash")).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody_and_is_never_right() {
        let made = hash("x").await.unwrap();
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(&made), cost(NOBODY));
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!verify("nobody", None).await.unwrap());
    }
}
