//! Plans, what is paid for each organisation, and its invoices.

use kabar_domain::billing::{InvoiceStatus, Standing};
use kabar_domain::{InvoiceId, OrganisationId, PlanId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

/// Something an organisation can pay for. Amounts are in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: PlanId,
    /// Unique.
    pub slug: String,
    pub name: String,
    pub description: Option<String>,
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// That one payment is good for.
    pub months: i64,
    pub archived_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

const PLANS: &str = "SELECT id, slug, name, description, amount, currency, months, archived_at, created_at FROM billing_plans";

fn plan(mut row: Row) -> Result<Plan> {
    Ok(Plan {
        id: row.get(0)?,
        slug: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        amount: row.get(4)?,
        currency: row.get(5)?,
        months: row.get(6)?,
        archived_at: row.get(7)?,
        created_at: row.get(8)?,
    })
}

/// Writes a plan under its slug; one that is there keeps its id. A plan that was archived is offered again.
pub async fn set_plan(tx: &mut Tx, plan: &Plan) -> Result<()> {
    tx.execute(
        "INSERT INTO billing_plans (id, slug, name, description, amount, currency, months, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         ON CONFLICT (slug) DO UPDATE SET name = excluded.name, description = excluded.description,
             amount = excluded.amount, currency = excluded.currency, months = excluded.months, archived_at = NULL,
             updated_at = excluded.updated_at",
        args![
            plan.id,
            &plan.slug,
            &plan.name,
            plan.description.as_ref(),
            plan.amount,
            &plan.currency,
            plan.months,
            plan.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// `false`: there is no such plan on offer.
pub async fn archive_plan(tx: &mut Tx, slug: &str, now: Timestamp) -> Result<bool> {
    let sql =
        "UPDATE billing_plans SET archived_at = $2, updated_at = $2 WHERE slug = $1 AND archived_at IS NULL";
    Ok(tx.execute(sql, args![slug, now]).await? == 1)
}

/// The cheapest first; `all` with those no longer on offer.
pub async fn plans(db: &mut impl Db, all: bool) -> Result<Vec<Plan>> {
    let mut select = Select::new(PLANS, args![]);
    if !all {
        select.push("WHERE archived_at IS NULL", args![]);
    }
    select.push("ORDER BY amount, slug", args![]);
    select.fetch(db).await?.into_iter().map(plan).collect()
}

pub async fn plan_by_id(db: &mut impl Db, id: PlanId) -> Result<Option<Plan>> {
    Select::new(&format!("{PLANS} WHERE id = ?"), args![id]).fetch_optional(db).await?.map(plan).transpose()
}

/// What is paid for an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub organisation_id: OrganisationId,
    /// What was paid for last.
    pub plan_id: Option<PlanId>,
    /// `None`: it need not pay.
    pub paid_until: Option<Timestamp>,
    /// The day of the month that its periods end on.
    pub anchor_day: Option<i64>,
    /// As people were last told.
    pub standing: Standing,
}

const SUBSCRIPTIONS: &str =
    "SELECT s.organisation_id, s.plan_id, s.paid_until, s.anchor_day, s.standing FROM subscriptions s";

fn subscription(mut row: Row) -> Result<Subscription> {
    Ok(Subscription {
        organisation_id: row.get(0)?,
        plan_id: row.get(1)?,
        paid_until: row.get(2)?,
        anchor_day: row.get(3)?,
        standing: row.get(4)?,
    })
}

pub async fn subscription_of(db: &mut impl Db, organisation: OrganisationId) -> Result<Option<Subscription>> {
    Select::new(&format!("{SUBSCRIPTIONS} WHERE s.organisation_id = ?"), args![organisation])
        .fetch_optional(db)
        .await?
        .map(subscription)
        .transpose()
}

/// Every organisation's, with its slug.
pub async fn subscriptions(db: &mut impl Db) -> Result<Vec<(String, Subscription)>> {
    let sql = "SELECT o.slug, s.organisation_id, s.plan_id, s.paid_until, s.anchor_day, s.standing
               FROM subscriptions s JOIN organisations o ON o.id = s.organisation_id ORDER BY o.slug";
    let rows = db.fetch(sql, args![]).await?;
    rows.into_iter()
        .map(|mut row| {
            let slug = row.get(0)?;
            row.0.remove(0);
            Ok((slug, subscription(row)?))
        })
        .collect()
}

/// Those whose time ends by then, or has.
pub async fn ending(db: &mut impl Db, by: Timestamp) -> Result<Vec<Subscription>> {
    let sql = format!("{SUBSCRIPTIONS} WHERE s.paid_until <= ?");
    Select::new(&sql, args![by]).fetch(db).await?.into_iter().map(subscription).collect()
}

/// Gives every organisation that has none a trial.
pub async fn begin_trials(tx: &mut Tx, until: Timestamp, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO subscriptions (organisation_id, paid_until, standing, updated_at)
         SELECT o.id, $1, $2, $3 FROM organisations o
         WHERE NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.organisation_id = o.id)
         ON CONFLICT (organisation_id) DO NOTHING",
        args![until, Standing::Trial, now],
    )
    .await?;
    Ok(())
}

pub async fn save_subscription(tx: &mut Tx, subscription: &Subscription, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO subscriptions (organisation_id, plan_id, paid_until, anchor_day, standing, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (organisation_id) DO UPDATE SET plan_id = excluded.plan_id, paid_until = excluded.paid_until,
             anchor_day = excluded.anchor_day, standing = excluded.standing, updated_at = excluded.updated_at",
        args![
            subscription.organisation_id,
            subscription.plan_id,
            subscription.paid_until,
            subscription.anchor_day,
            subscription.standing,
            now,
        ],
    )
    .await?;
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    pub id: InvoiceId,
    /// As `INV-2026-000001`, of all organisations together.
    pub number: String,
    pub plan_id: PlanId,
    /// The plan as it was then, and so what follows.
    pub plan_name: String,
    /// In minor units.
    pub amount: i64,
    pub currency: String,
    pub months: i64,
    pub status: InvoiceStatus,
    pub due_at: Timestamp,
    /// What was paid for.
    pub period: Option<(Timestamp, Timestamp)>,
    pub paid_at: Option<Timestamp>,
    /// What went back of the amount.
    pub refunded: i64,
    pub created_at: Timestamp,
}

const INVOICES: &str =
    "SELECT id, number, plan_id, plan_name, amount, currency, months, status, due_at, period_from,
        period_to, paid_at, refunded, created_at
    FROM invoices WHERE organisation_id = ?";

fn invoice(mut row: Row) -> Result<Invoice> {
    Ok(Invoice {
        id: row.get(0)?,
        number: row.get(1)?,
        plan_id: row.get(2)?,
        plan_name: row.get(3)?,
        amount: row.get(4)?,
        currency: row.get(5)?,
        months: row.get(6)?,
        status: row.get(7)?,
        due_at: row.get(8)?,
        period: row.get::<Option<_>>(9)?.zip(row.get(10)?),
        paid_at: row.get(11)?,
        refunded: row.get(12)?,
        created_at: row.get(13)?,
    })
}

/// The next number of a year, from 1. Nobody else gets one until the transaction ends, so none is left out.
pub async fn next_invoice_number(tx: &mut Tx, year: i64) -> Result<i64> {
    let sql = "INSERT INTO invoice_numbers (year, last) VALUES ($1, 1)
               ON CONFLICT (year) DO UPDATE SET last = invoice_numbers.last + 1 RETURNING last";
    tx.fetch(sql, args![year]).await?.first_mut().map_or(Ok(1), |row| row.get(0))
}

/// Fails with a conflict on `invoices_open` when one is open already.
pub async fn insert_invoice(tx: &mut Tx, organisation: OrganisationId, invoice: &Invoice) -> Result<()> {
    tx.execute(
        "INSERT INTO invoices (organisation_id, id, number, plan_id, plan_name, amount, currency, months, status,
             due_at, period_from, period_to, paid_at, refunded, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        args![
            organisation,
            invoice.id,
            &invoice.number,
            invoice.plan_id,
            &invoice.plan_name,
            invoice.amount,
            &invoice.currency,
            invoice.months,
            invoice.status,
            invoice.due_at,
            invoice.period.map(|period| period.0),
            invoice.period.map(|period| period.1),
            invoice.paid_at,
            invoice.refunded,
            invoice.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what becomes of an invoice; what it asks for stays.
pub async fn update_invoice(tx: &mut Tx, organisation: OrganisationId, invoice: &Invoice) -> Result<()> {
    tx.execute(
        "UPDATE invoices SET status = $3, period_from = $4, period_to = $5, paid_at = $6, refunded = $7
         WHERE organisation_id = $1 AND id = $2",
        args![
            organisation,
            invoice.id,
            invoice.status,
            invoice.period.map(|period| period.0),
            invoice.period.map(|period| period.1),
            invoice.paid_at,
            invoice.refunded,
        ],
    )
    .await?;
    Ok(())
}

pub async fn find_invoice(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: InvoiceId,
) -> Result<Option<Invoice>> {
    let mut select = Select::new(INVOICES, args![organisation]);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(invoice).transpose()
}

/// The one that waits to be paid.
pub async fn open_invoice(db: &mut impl Db, organisation: OrganisationId) -> Result<Option<Invoice>> {
    let mut select = Select::new(INVOICES, args![organisation]);
    select.push("AND status = ?", args![InvoiceStatus::Open]);
    select.fetch_optional(db).await?.map(invoice).transpose()
}

/// The newest first.
pub async fn invoices(
    db: &mut impl Db,
    organisation: OrganisationId,
    status: Option<InvoiceStatus>,
    window: Window<InvoiceId>,
) -> Result<Vec<Invoice>> {
    let mut select = Select::new(INVOICES, args![organisation]);
    select.push_some("AND status = ?", status.map(Bind::value));
    select.push_some("AND id < ?", window.after.map(Bind::value));
    select.push("ORDER BY id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(invoice).collect()
}

pub async fn count_invoices(
    db: &mut impl Db,
    organisation: OrganisationId,
    status: Option<InvoiceStatus>,
) -> Result<i64> {
    let mut select =
        Select::new("SELECT COUNT(*) FROM invoices WHERE organisation_id = ?", args![organisation]);
    select.push_some("AND status = ?", status.map(Bind::value));
    select.count(db).await
}
