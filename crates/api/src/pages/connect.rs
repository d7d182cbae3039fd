//! The page that asks a person whether an app may act for them.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use kabar_domain::{Abilities, Ability, OrganisationId};
use kabar_engine::apps::{Asked, ConnectQuery, Request};
use kabar_engine::users::Membership;
use kabar_engine::{Error as EngineError, Principal};
use url::form_urlencoded;

use super::login::{login_first, remember, signed_in, stale};
use super::look::{Form, Page};
use super::words::{Language, Words};
use crate::error::{Error, Result};
use crate::html::{said, text};
use crate::session;
use crate::state::ApiState;

/// The fields of a link to this page; some have the names that OAuth gives them too.
const FIELDS: [&str; 8] = [
    "app",
    "client_id",
    "redirect_uri",
    "abilities",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
];

fn query_of(form: &Form) -> ConnectQuery<'_> {
    ConnectQuery {
        app: form.get("app").or(form.get("client_id")),
        redirect_uri: form.get("redirect_uri"),
        abilities: form.get("abilities").or(form.get("scope")),
        state: form.get("state"),
        code_challenge: form.get("code_challenge"),
        code_challenge_method: form.get("code_challenge_method"),
    }
}

fn given(form: &Form) -> impl Iterator<Item = (&'static str, &str)> {
    FIELDS.into_iter().filter_map(|name| Some((name, form.get(name)?)))
}

/// The link again, without what it does not need.
fn link(form: &Form) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(given(form)).finish()
}

fn unknown(language: Language, query: &str) -> Response {
    let words = language.words();
    let body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p class=\"faint\">{}</p>",
        words.bad_link, words.bad_link_why, words.bad_link_hint
    );
    let page = Page { language, title: words.bad_link, body, form_action: None, path: "/connect", query };
    page.into_response(StatusCode::BAD_REQUEST)
}

fn list(words: &Words, abilities: Abilities) -> String {
    let items = Ability::ALL.into_iter().filter(|ability| abilities.names().contains(&ability.as_str()));
    items.fold(String::new(), |mut html, ability| {
        writeln!(html, "<li>{}</li>", words.ability(ability)).unwrap_or_default();
        html
    })
}

/// The organisation's name and what the app would get there, which the person's role may cut down.
fn place(words: &Words, asked: &Asked, place: &Membership) -> String {
    let granted = asked.granted(place.role);
    let names = granted.names().into_iter().map(|name| words.short(name)).collect::<Vec<_>>();
    let what = if names.is_empty() { words.nothing.to_owned() } else { names.join(words.comma) };
    format!("{} <span class=\"faint\">{what}</span>", said(&place.name))
}

struct Consent<'a> {
    state: &'a ApiState,
    form: &'a Form,
    language: Language,
    caller: &'a Principal,
}

impl Consent<'_> {
    async fn page(&self, asked: &Asked, problem: Option<&str>) -> Result<Response> {
        let engine = &self.state.engine;
        let words = self.language.words();
        let places = engine.places_of(self.caller).await?;
        let email = engine.me(self.caller).await?.user.email;
        let query = link(self.form);
        let mut body = String::new();
        if let Some(logo) = engine.app_logo(&asked.app).await? {
            writeln!(body, "<img class=\"logo\" src=\"{}\" alt=\"\">", text(&logo)).unwrap_or_default();
        }
        let title = words.allow_app.replace("{app}", &asked.app.name);
        let heading = text(words.allow_app).replace("{app}", &said(&asked.app.name));
        let by = text(words.made_by).replace("{name}", &said(&asked.publisher));
        writeln!(body, "<h1>{heading}</h1>\n<p class=\"faint\">{by}</p>").unwrap_or_default();
        if let Some(problem) = problem {
            writeln!(body, "<p class=\"bad\" role=\"alert\">{}</p>", text(problem)).unwrap_or_default();
        }
        let mut hidden = String::new();
        let token = engine.csrf_token(self.caller);
        for (name, value) in given(self.form).chain([("_token", token.as_str())]) {
            writeln!(hidden, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", text(value))
                .unwrap_or_default();
        }
        let able: Vec<_> =
            places.iter().filter(|place| asked.granted(place.role) != Abilities::default()).collect();
        let inside = match able.as_slice() {
            [] => format!("<p class=\"bad\">{}</p>\n", words.nothing_to_give),
            [one] => {
                let granted = asked.granted(one.role);
                let whole = asked.abilities.names().iter().all(|name| granted.names().contains(name));
                let kept = if whole {
                    String::new()
                } else {
                    format!("<p class=\"faint\">{}</p>\n", words.role_caps)
                };
                format!(
                    "<p>{}</p>\n<ul class=\"can\">\n{}</ul>\n{kept}\
                     <input type=\"hidden\" name=\"organisation\" value=\"{}\">\n",
                    text(words.in_one).replace("{organisation}", &said(&one.name)),
                    list(words, granted),
                    one.organisation_id,
                )
            }
            several => {
                let chosen = self.form.get("organisation").and_then(|id| id.parse::<OrganisationId>().ok());
                let default = chosen.unwrap_or(self.caller.organisation_id);
                let mut html = format!(
                    "<p>{}</p>\n<ul class=\"can\">\n{}</ul>\n<fieldset>\n<legend>{}</legend>\n",
                    words.in_several,
                    list(words, asked.abilities),
                    words.which
                );
                let first = several.iter().find(|one| one.organisation_id == default).or(several.first());
                for one in several {
                    let checked = first.is_some_and(|first| first.organisation_id == one.organisation_id);
                    writeln!(
                        html,
                        "<label class=\"choice\"><input type=\"radio\" name=\"organisation\" value=\"{}\"{}><span>{}</span></label>",
                        one.organisation_id,
                        if checked { " checked" } else { "" },
                        place(words, asked, one),
                    )
                    .unwrap_or_default();
                }
                html.push_str("</fieldset>\n");
                html
            }
        };
        let allow = if able.is_empty() {
            String::new()
        } else {
            format!("<button name=\"answer\" value=\"allow\">{}</button>\n", words.allow)
        };
        let leads = text(words.leads_to)
            .replace("{host}", &format!("<bdi dir=\"ltr\">{}</bdi>", text(&asked.host())));
        let next = text(&format!("/connect?{query}"));
        write!(
            body,
            "<form method=\"post\" action=\"/connect\">\n{hidden}{inside}<p class=\"faint\">{leads}</p>\n\
             <div class=\"two\">{allow}<button class=\"plain\" name=\"answer\" value=\"refuse\">{}</button></div>\n</form>\n\
             <div class=\"who\"><p class=\"faint\">{}</p>\n<form method=\"post\" action=\"/logout\">\
             <input type=\"hidden\" name=\"_token\" value=\"{token}\">\
             <input type=\"hidden\" name=\"next\" value=\"{next}\">\
             <button class=\"link\">{}</button></form></div>",
            words.refuse,
            text(words.signed_in_as).replace("{email}", &format!("<bdi dir=\"ltr\">{}</bdi>", text(&email))),
            words.someone_else,
        )
        .unwrap_or_default();
        let action = asked.form_action();
        let page = Page {
            language: self.language,
            title: &title,
            body,
            form_action: Some(&action),
            path: "/connect",
            query: &query,
        };
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        Ok(page.into_response(status))
    }
}

/// Asks; whoever is not signed in signs in first.
pub(super) async fn show(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response> {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let (language, chosen) = Language::of(&form, &headers);
    let request = state.engine.connect_request(query_of(&form)).await?;
    let response = match (request, signed_in(&state, &headers).await) {
        (Request::Unknown, _) => unknown(language, &link(&form)),
        (_, None) => login_first(&format!("/connect?{}", link(&form))).into_response(),
        (Request::SendBack(to), _) => Redirect::to(&to).into_response(),
        (Request::Ask(asked), Some(caller)) => {
            let consent = Consent { state: &state, form: &form, language, caller: &caller };
            consent.page(&asked, None).await?
        }
    };
    Ok(remember(&state, response, chosen))
}

/// Takes the answer.
pub(super) async fn answer(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let form = Form::parse(&body);
    let (language, _) = Language::of(&form, &headers);
    let engine = &state.engine;
    let asked = match engine.connect_request(query_of(&form)).await? {
        Request::Unknown => return Ok(unknown(language, &link(&form))),
        Request::SendBack(to) => return Ok(Redirect::to(&to).into_response()),
        Request::Ask(asked) => asked,
    };
    let Some(caller) = signed_in(&state, &headers).await else {
        return Ok(login_first(&format!("/connect?{}", link(&form))).into_response());
    };
    let token = form.get("_token").unwrap_or_default();
    if session::is_from_elsewhere(&headers, engine) || !engine.is_csrf_token(&caller, token) {
        return Ok(stale(&form, &headers));
    }
    if form.get("answer") != Some("allow") {
        return Ok(Redirect::to(&asked.refused()).into_response());
    }
    let words = language.words();
    let consent = Consent { state: &state, form: &form, language, caller: &caller };
    let Some(organisation) = form.get("organisation").and_then(|id| id.parse().ok()) else {
        return consent.page(&asked, Some(words.which)).await;
    };
    match engine.allow_connect(&caller, &asked, organisation).await {
        Ok(to) => Ok(Redirect::to(&to).into_response()),
        Err(EngineError::NotFound(_)) => consent.page(&asked, Some(words.which)).await,
        Err(EngineError::Forbidden(_)) => consent.page(&asked, Some(words.nothing_to_give)).await,
        Err(error) => Err(Error::from(error)),
    }
}
