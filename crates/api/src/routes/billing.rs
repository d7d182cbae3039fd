//! What organisations pay: plans, invoices, the way to the bank and back.

mod page;
mod words;

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, header};
use kabar_domain::billing::{InvoiceStatus, Language, Standing};
use kabar_domain::{InvoiceId, PaymentId, PlanId, Timestamp};
use kabar_engine::billing::{self, CURRENCY, CheckoutRequest, Fields, PaymentAnswer};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, ClientAddress, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::pages::{self, Form};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(get_billing))
        .routes(routes!(list_plans))
        .routes(routes!(create_checkout))
        .routes(routes!(list_invoices))
        .routes(routes!(get_invoice))
        .routes(routes!(get_receipt))
        .routes(routes!(show_payment, return_from_payment))
        .routes(routes!(receive_payment_callback))
}

#[derive(Serialize, ToSchema)]
struct Plan {
    #[schema(value_type = Ulid)]
    id: PlanId,
    #[schema(example = "team")]
    slug: String,
    #[schema(example = "Team")]
    name: String,
    description: Option<String>,
    /// In minor units: 29900 is 299.00.
    #[schema(example = 29_900)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "SAR")]
    currency: String,
    /// That one payment is good for.
    #[schema(example = 1)]
    months: i64,
}

impl From<billing::Plan> for Plan {
    fn from(plan: billing::Plan) -> Self {
        let billing::Plan { id, slug, name, description, amount, currency, months, .. } = plan;
        Self { id, slug, name, description, amount, currency, months }
    }
}

#[derive(Serialize, ToSchema)]
struct Invoice {
    #[schema(value_type = Ulid)]
    id: InvoiceId,
    #[schema(example = "INV-2026-000042")]
    number: String,
    #[schema(value_type = Ulid)]
    plan_id: PlanId,
    /// The plan as it was when the invoice was written.
    plan_name: String,
    /// In minor units.
    #[schema(example = 29_900)]
    amount: i64,
    #[schema(example = "SAR")]
    currency: String,
    months: i64,
    /// `open`, `paid`, `void` (another took its place) or `refunded`.
    #[schema(value_type = String, example = "paid")]
    status: InvoiceStatus,
    #[schema(value_type = Time)]
    due_at: Timestamp,
    /// What was paid for begins then.
    #[schema(value_type = Option<Time>)]
    period_from: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    period_to: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    paid_at: Option<Timestamp>,
    /// What went back, in minor units.
    refunded: i64,
    #[schema(value_type = Time)]
    created_at: Timestamp,
}

impl From<billing::Invoice> for Invoice {
    fn from(invoice: billing::Invoice) -> Self {
        Self {
            id: invoice.id,
            number: invoice.number,
            plan_id: invoice.plan_id,
            plan_name: invoice.plan_name,
            amount: invoice.amount,
            currency: invoice.currency,
            months: invoice.months,
            status: invoice.status,
            due_at: invoice.due_at,
            period_from: invoice.period.map(|period| period.0),
            period_to: invoice.period.map(|period| period.1),
            paid_at: invoice.paid_at,
            refunded: invoice.refunded,
            created_at: invoice.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Billing {
    /// `false`: nothing has to be paid on this server, and the rest says nothing.
    enabled: bool,
    /// `exempt`, `trial`, `active`, `past_due` (its time ran out a short while ago) or `read_only`: messages are taken and
    /// everything can be read, but what changes or sends anything is a 402.
    #[schema(value_type = String, example = "active")]
    standing: Standing,
    /// What was paid for last.
    plan: Option<Plan>,
    /// ISO 4217.
    #[schema(example = "SAR")]
    currency: &'static str,
    /// `null`: it need not pay.
    #[schema(value_type = Option<Time>)]
    paid_until: Option<Timestamp>,
    /// Unless somebody pays it is read-only from then on.
    #[schema(value_type = Option<Time>)]
    read_only_at: Option<Timestamp>,
    /// The one that waits to be paid.
    open_invoice: Option<Invoice>,
}

impl From<Option<billing::Overview>> for Billing {
    fn from(found: Option<billing::Overview>) -> Self {
        let enabled = found.is_some();
        let (standing, plan, paid_until, read_only_at, open_invoice) = found
            .map_or((Standing::Exempt, None, None, None, None), |found| {
                (found.standing, found.plan, found.paid_until, found.read_only_at, found.open_invoice)
            });
        Self {
            enabled,
            standing,
            plan: plan.map(Into::into),
            currency: CURRENCY,
            paid_until,
            read_only_at,
            open_invoice: open_invoice.map(Into::into),
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateCheckoutRequest {
    /// What to pay for. An open invoice for the same is taken up.
    #[schema(value_type = Option<Ulid>)]
    plan_id: Option<String>,
    /// An open invoice to pay, instead of a plan.
    #[schema(value_type = Option<Ulid>)]
    invoice_id: Option<String>,
    /// `en`, `id` or `ar`: of the page after the payment, and of the bank's as far as it has it.
    #[schema(example = "en")]
    language: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Checkout {
    #[schema(value_type = Ulid)]
    invoice_id: InvoiceId,
    #[schema(value_type = Ulid)]
    payment_id: PaymentId,
    /// The bank's page. Send the customer's browser there.
    #[schema(format = "uri")]
    payment_url: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InvoiceQuery {
    /// `open`, `paid`, `void` or `refunded`.
    #[param(value_type = Option<String>)]
    status: Option<InvoiceStatus>,
}

/// How the organisation stands with what it has to pay.
#[utoipa::path(get, path = "/api/v1/billing", tag = "Billing", security(("bearer" = ["read"])), responses((status = 200, body = Data<Billing>)))]
async fn get_billing(State(state): State<ApiState>, Auth(caller): Auth) -> Result<axum::Json<Data<Billing>>> {
    Ok(data(state.engine.get_billing(&caller).await?.into()))
}

/// What can be paid for, the cheapest first.
#[utoipa::path(get, path = "/api/v1/billing/plans", tag = "Billing", security(("bearer" = ["read"])), params(PageQuery),
    responses((status = 200, body = List<Plan>)))]
async fn list_plans(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
) -> Result<axum::Json<List<Plan>>> {
    Ok(list(state.engine.list_plans(&caller, &page.request(25)?).await?))
}

/// Starts a payment on the bank's page.
///
/// An open invoice for the same is taken up, one for something else becomes void. What comes of the payment is told by
/// the events `invoice.paid` and `payment.updated`.
#[utoipa::path(post, path = "/api/v1/billing/checkout", tag = "Billing", security(("bearer" = ["admin"])),
    request_body = CreateCheckoutRequest, responses((status = 201, body = Data<Checkout>)))]
async fn create_checkout(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    ClientAddress(address): ClientAddress,
    Json(request): Json<CreateCheckoutRequest>,
) -> Result<impl IntoResponse> {
    let request = CheckoutRequest {
        plan_id: request.plan_id,
        invoice_id: request.invoice_id,
        language: request.language,
        // The gateway's check of risks wants it.
        addresses: address.as_ref().map(IpAddr::to_string).unwrap_or_default(),
    };
    let made = state.engine.create_checkout(&caller, request).await?;
    let (invoice_id, payment_id) = (made.invoice_id, made.payment_id);
    Ok(created(Checkout { invoice_id, payment_id, payment_url: made.payment_url.into() }))
}

/// Invoices, the newest first.
#[utoipa::path(get, path = "/api/v1/billing/invoices", tag = "Billing", security(("bearer" = ["admin"])), params(PageQuery, InvoiceQuery),
    responses((status = 200, body = List<Invoice>)))]
async fn list_invoices(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    page: PageQuery,
    Query(query): Query<InvoiceQuery>,
) -> Result<axum::Json<List<Invoice>>> {
    Ok(list(state.engine.list_invoices(&caller, query.status, &page.request(25)?).await?))
}

/// One invoice.
#[utoipa::path(get, path = "/api/v1/billing/invoices/{id}", tag = "Billing", security(("bearer" = ["admin"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Invoice>)))]
async fn get_invoice(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InvoiceId>,
) -> Result<axum::Json<Data<Invoice>>> {
    Ok(data(state.engine.get_invoice(&caller, id).await?.into()))
}

const PRIVATE: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// An invoice as a page to print: a receipt, once it is paid.
#[utoipa::path(get, path = "/api/v1/billing/invoices/{id}/receipt", tag = "Billing", security(("bearer" = ["admin"])),
    params(
        ("id" = Ulid, Path),
        ("lang" = Option<String>, Query, description = "`en`, `id` or `ar`; else what the browser asks for."),
    ),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")))]
async fn get_receipt(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InvoiceId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<impl IntoResponse> {
    let paper = state.engine.get_receipt(&caller, id).await?;
    let (language, _) = pages::Language::of(&Form::parse(query.unwrap_or_default().as_bytes()), &headers);
    let language = Language::from_name(language.code()).unwrap_or(Language::English);
    Ok((PRIVATE, page::receipt(&paper, language)))
}

/// Where the bank sends the customer's browser.
///
/// The page shows what is known of the payment. What the browser brings is noted and not believed; the bank is asked.
#[utoipa::path(get, path = "/billing/return/{id}", tag = "Billing", security(()), params(("id" = Ulid, Path)),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 303, description = "To the page itself, without what the bank added to its address."),
        (status = 404, description = "There is no such payment.", body = ref("#/components/schemas/Error")),
        (status = 503, description = "Not possible now.", body = ref("#/components/schemas/Error")),
    ))]
async fn show_payment(
    State(state): State<ApiState>,
    PathId(id): PathId<PaymentId>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        return came_back(&state, id, query.as_bytes()).await;
    }
    let view = state.engine.view_payment(id).await?;
    let mut response = (PRIVATE, page::payment(&view)).into_response();
    if view.is_awaited() {
        // The page has no script: it asks again by itself.
        response.headers_mut().insert("refresh", http::HeaderValue::from_static("3"));
    }
    Ok(response)
}

/// The same, for banks that send a form.
#[utoipa::path(post, path = "/billing/return/{id}", tag = "Billing", security(()), params(("id" = Ulid, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the page."),
        (status = 404, description = "There is no such payment.", body = ref("#/components/schemas/Error")),
        (status = 503, description = "Not possible now.", body = ref("#/components/schemas/Error")),
    ))]
async fn return_from_payment(
    State(state): State<ApiState>,
    PathId(id): PathId<PaymentId>,
    body: Bytes,
) -> Result<Response> {
    came_back(&state, id, &body).await
}

async fn came_back(state: &ApiState, id: PaymentId, form: &[u8]) -> Result<Response> {
    let fields = Fields::of_pairs(form_urlencoded::parse(form));
    state.engine.note_payment_return(id, &fields).await?;
    Ok(Redirect::to(&format!("/billing/return/{id}")).into_response())
}

/// Takes both messages of the payment gateway: the plain webhook, and the encrypted notification.
///
/// 200 says that the message is on disk. A notification that cannot be read or does not fit its payment is not
/// acknowledged, whereupon the gateway gives the money back.
#[utoipa::path(post, path = "/api/webhooks/neoleap", tag = "Webhooks", security(()),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = 200, description = "`[{\"status\":\"1\"}]`; to a notification also `result`, where the customer's browser goes.", body = Vec<Acknowledgement>),
        (status = 400, description = "No message of the gateway, or encrypted with another key.", body = ref("#/components/schemas/Error")),
        (status = 404, description = "A notification of no payment of ours, or payments are not set up.", body = ref("#/components/schemas/Error")),
        (status = 409, description = "A notification that does not fit its payment.", body = ref("#/components/schemas/Error")),
        (status = 413, description = "More than 3 MB.", body = ref("#/components/schemas/Error")),
        (status = 503, description = "Not durable now; send it again.", body = ref("#/components/schemas/Error")),
    ))]
async fn receive_payment_callback(
    State(state): State<ApiState>,
    body: Bytes,
) -> Result<axum::Json<[Acknowledgement; 1]>> {
    let result = match state.engine.accept_payment_callback(&body).await? {
        PaymentAnswer::Webhook => None,
        PaymentAnswer::Notification(url) => Some(url.into()),
    };
    Ok(axum::Json([Acknowledgement { status: "1", result }]))
}

#[derive(Serialize, ToSchema)]
struct Acknowledgement {
    #[schema(example = "1")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    result: Option<String>,
}
