//! What went wrong in a step, and what a person should do about it.

use std::time::Duration;

use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_providers::whatsapp::{App, NoToken, TokenFacts};

/// Why a step did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub detail: String,
    pub action: String,
}

/// How an attempt at a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completed(String),
    Skipped(String),
    /// To be tried again by itself.
    Later(Duration, Problem),
    Failed(Problem),
}

pub(super) const AGAIN: &str =
    "Start the signup again: the code that Meta's dialog gives is good for 30 seconds and for one use.";
const SECRET: &str = "Copy the app secret of the app META_APP_ID from Meta's App Dashboard, under App settings > Basic, \
                      to META_APP_SECRET, restart the server, and start the signup again.";
const APP: &str = "Copy the app id from the top of Meta's App Dashboard to META_APP_ID, restart the server, and start \
                   the signup again.";
const BUSY: &str = "Nothing to do: Kabar tries again by itself.";
const SCOPES: &[&str] = &["whatsapp_business_management", "whatsapp_business_messaging"];

/// A failure, final.
pub(super) fn failed(detail: impl Into<String>, action: impl Into<String>) -> Outcome {
    Outcome::Failed(Problem { detail: detail.into(), action: action.into() })
}

fn said(failure: &SendFailure) -> String {
    let error = &failure.error;
    let detail = error.detail.as_deref().filter(|detail| !detail.is_empty());
    let text = detail.map_or_else(|| error.title.clone(), |detail| format!("{}: {detail}", error.title));
    if error.code > 0 { format!("{} (Meta's code {})", text.trim_end_matches('.'), error.code) } else { text }
}

/// What Meta refused, or could not be asked. `action`: what helps against a refusal; else what the table of Meta's
/// codes says.
pub(super) fn refused(failure: &SendFailure, action: Option<&str>) -> Outcome {
    let detail = said(failure);
    match failure.verdict {
        Verdict::Retry { after } | Verdict::Hold { after } | Verdict::SlowRecipient { after } => {
            Outcome::Later(after.unwrap_or_default(), Problem { detail, action: BUSY.to_owned() })
        }
        _ => {
            // The token is of no more use.
            if matches!(failure.error.code, 0 | 104 | 190) && action.is_none() {
                return failed(detail, AGAIN);
            }
            let known = failure.error.action.as_deref().unwrap_or_default();
            failed(detail, format!("{} Then resume the signup.", action.unwrap_or(known)))
        }
    }
}

/// [`Outcome::Later`] for the last time.
pub(super) fn given_up(problem: Problem) -> Problem {
    Problem { action: "Resume the signup when Meta answers again.".to_owned(), ..problem }
}

pub(super) fn no_token(error: NoToken) -> Outcome {
    match error {
        NoToken::Expired => failed("The code is older than 30 seconds.", AGAIN),
        NoToken::Used => failed("The code was used already.", AGAIN),
        NoToken::Wrong(said) => failed(
            format!("Meta does not take the code: {said}"),
            "Start the signup again. If it happens again: the code must be of the app META_APP_ID, and `redirect_uri` \
             the address that the dialog was opened with, or absent when it was opened by Meta's script.",
        ),
        NoToken::Secret => failed("Meta says that the app secret is wrong.", SECRET),
        NoToken::App => failed("Meta knows no app with this id.", APP),
        NoToken::Other(failure) => match refused(&failure, Some(AGAIN)) {
            Outcome::Failed(problem) => failed(problem.detail, AGAIN),
            other => other,
        },
    }
}

/// The app's own token was refused.
pub(super) fn app_refused(failure: &SendFailure) -> Outcome {
    match refused(failure, None) {
        Outcome::Failed(problem) => failed(problem.detail, SECRET),
        other => other,
    }
}

/// What is wrong with a token for this business account, if anything.
pub(super) fn unfit(facts: &TokenFacts, app: &App, waba_id: &str) -> Option<Outcome> {
    if !facts.is_valid {
        let why = facts.error.as_deref().unwrap_or("Meta gives no reason");
        return Some(failed(format!("Meta says that the access token is not valid: {why}"), AGAIN));
    }
    if facts.app_id.as_ref().is_some_and(|id| *id != app.id) {
        let id = facts.app_id.as_deref().unwrap_or_default();
        return Some(failed(format!("The access token is of another app, {id}."), APP));
    }
    let lacks: Vec<_> =
        SCOPES.iter().filter(|wanted| !facts.scopes.iter().any(|scope| scope == *wanted)).copied().collect();
    if !lacks.is_empty() {
        return Some(failed(
            format!("The access token lacks the permission {}.", lacks.join(" and ")),
            "In Meta's App Dashboard, under Facebook Login for Business > Configurations, add the permission to the \
             configuration META_CONFIG_ID, and start the signup again.",
        ));
    }
    let reaches = |wabas: &Vec<String>| wabas.iter().any(|id| id == waba_id);
    if !facts.wabas.as_ref().is_none_or(reaches) {
        return Some(failed(
            format!("The access token does not reach the business account {waba_id}."),
            "Start the signup again and choose this business account in Meta's dialog; `waba_id` must be the one that \
             the dialog reports.",
        ));
    }
    None
}

/// What helps when a number cannot be registered.
pub(super) const fn registration(code: i64) -> Option<&'static str> {
    match code {
        133_005 => Some(
            "The number has a two-step PIN already: give it as `pin` when you resume, or switch two-step verification \
             off in WhatsApp Manager under Phone numbers > Settings.",
        ),
        133_006 => Some(
            "Verify the number with a code by text message or call, in WhatsApp Manager under Phone numbers.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_must_fit_app_permissions_and_business_account() {
        let app = App { id: "7".into(), secret: "s".into() };
        let good = TokenFacts {
            is_valid: true,
            app_id: Some("7".into()),
            scopes: SCOPES.iter().map(|&scope| scope.to_owned()).collect(),
            wabas: Some(vec!["9".into(), "8".into()]),
            ..TokenFacts::default()
        };
        assert_eq!(unfit(&good, &app, "8"), None);
        assert_eq!(unfit(&TokenFacts { wabas: None, ..good.clone() }, &app, "1"), None);
        let detail = |facts: &TokenFacts, waba: &str| match unfit(facts, &app, waba) {
            Some(Outcome::Failed(problem)) => problem.detail,
            other => panic!("{other:?}"),
        };
        assert!(detail(&good, "1").contains("does not reach"));
        assert!(
            detail(&TokenFacts { app_id: Some("6".into()), ..good.clone() }, "8").contains("another app, 6")
        );
        assert!(detail(&TokenFacts { is_valid: false, ..good.clone() }, "8").contains("not valid"));
        let less = TokenFacts { scopes: vec![SCOPES[0].into()], ..good };
        assert!(detail(&less, "8").contains("whatsapp_business_messaging"));
    }
}
