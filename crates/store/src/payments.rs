//! Attempts to pay an invoice, and what was said of them.

use kabar_domain::billing::{Language, PaymentStatus};
use kabar_domain::{InvoiceId, OrganisationId, PaymentId, Timestamp};

use crate::args;
use crate::error::Result;
use crate::select::Select;
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub organisation_id: OrganisationId,
    pub id: PaymentId,
    pub invoice_id: InvoiceId,
    /// Our name of it at the gateway.
    pub track_id: String,
    /// The gateway's own.
    pub gateway_id: Option<String>,
    pub transaction_id: Option<String>,
    /// In minor units.
    pub amount: i64,
    pub status: PaymentStatus,
    /// The gateway's last words.
    pub result: Option<String>,
    pub error: Option<String>,
    /// What banks find it by.
    pub reference: Option<String>,
    pub authorisation: Option<String>,
    /// The customer's network address, and those of proxies behind it.
    pub addresses: String,
    pub language: Language,
    /// When the gateway or the customer's browser last spoke of it.
    pub heard_at: Option<Timestamp>,
    /// When the gateway was last asked.
    pub asked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

const SELECT: &str =
    "SELECT organisation_id, id, invoice_id, track_id, gateway_id, transaction_id, amount, status,
        result, error, reference, authorisation, addresses, language, heard_at, asked_at, created_at
    FROM payments";

fn payment(mut row: Row) -> Result<Payment> {
    Ok(Payment {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        invoice_id: row.get(2)?,
        track_id: row.get(3)?,
        gateway_id: row.get(4)?,
        transaction_id: row.get(5)?,
        amount: row.get(6)?,
        status: row.get(7)?,
        result: row.get(8)?,
        error: row.get(9)?,
        reference: row.get(10)?,
        authorisation: row.get(11)?,
        addresses: row.get(12)?,
        language: row.get(13)?,
        heard_at: row.get(14)?,
        asked_at: row.get(15)?,
        created_at: row.get(16)?,
    })
}

/// Fails with a conflict when the track id is another payment's.
pub async fn insert(tx: &mut Tx, payment: &Payment) -> Result<()> {
    tx.execute(
        "INSERT INTO payments (organisation_id, id, invoice_id, track_id, amount, status, addresses, language,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        args![
            payment.organisation_id,
            payment.id,
            payment.invoice_id,
            &payment.track_id,
            payment.amount,
            payment.status,
            &payment.addresses,
            payment.language,
            payment.created_at,
        ],
    )
    .await?;
    Ok(())
}

/// Notes what the gateway calls a payment, or why it refused it, unless more is known of it by now. Fails with a conflict
/// when the gateway's name is another payment's.
pub async fn note_start(tx: &mut Tx, payment: &Payment, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE payments SET gateway_id = $3, status = $4, error = $5, updated_at = $6
         WHERE organisation_id = $1 AND id = $2 AND status = $7",
        args![
            payment.organisation_id,
            payment.id,
            payment.gateway_id.as_ref(),
            payment.status,
            payment.error.as_ref(),
            now,
            PaymentStatus::Pending,
        ],
    )
    .await?;
    Ok(())
}

/// Writes what became of a payment, and what the gateway calls it. Fails with a conflict when the gateway's name of it is
/// another payment's.
pub async fn update(tx: &mut Tx, payment: &Payment, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE payments SET invoice_id = $3, gateway_id = $4, transaction_id = $5, status = $6, result = $7,
             error = $8, reference = $9, authorisation = $10, asked_at = $11, updated_at = $12
         WHERE organisation_id = $1 AND id = $2",
        args![
            payment.organisation_id,
            payment.id,
            payment.invoice_id,
            payment.gateway_id.as_ref(),
            payment.transaction_id.as_ref(),
            payment.status,
            payment.result.as_ref(),
            payment.error.as_ref(),
            payment.reference.as_ref(),
            payment.authorisation.as_ref(),
            payment.asked_at,
            now,
        ],
    )
    .await?;
    Ok(())
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: PaymentId) -> Result<Option<Payment>> {
    let sql = format!("{SELECT} WHERE organisation_id = ? AND id = ?");
    Select::new(&sql, args![organisation, id]).fetch_optional(db).await?.map(payment).transpose()
}

/// The payment of a browser that comes back, whosever it is.
pub async fn by_id(db: &mut impl Db, id: PaymentId) -> Result<Option<Payment>> {
    let sql = format!("{SELECT} WHERE id = ?");
    Select::new(&sql, args![id]).fetch_optional(db).await?.map(payment).transpose()
}

/// The payment of any organisation that the gateway speaks of: by our name of it, else by its own, else by a
/// transaction's.
pub async fn named(
    db: &mut impl Db,
    track_id: Option<&str>,
    gateway_id: Option<&str>,
    transaction_id: Option<&str>,
) -> Result<Option<Payment>> {
    for (column, value) in
        [("track_id", track_id), ("gateway_id", gateway_id), ("transaction_id", transaction_id)]
    {
        let Some(value) = value else { continue };
        let sql = format!("{SELECT} WHERE {column} = ?");
        if let Some(row) = Select::new(&sql, args![value]).fetch_optional(db).await? {
            return payment(row).map(Some);
        }
    }
    Ok(None)
}

/// The newest first, of all organisations with their slugs.
pub async fn recent(
    db: &mut impl Db,
    status: Option<PaymentStatus>,
    limit: i64,
) -> Result<Vec<(String, Payment)>> {
    let mut select = Select::new(
        "SELECT o.slug, p.organisation_id, p.id, p.invoice_id, p.track_id, p.gateway_id, p.transaction_id, p.amount,
             p.status, p.result, p.error, p.reference, p.authorisation, p.addresses, p.language, p.heard_at,
             p.asked_at, p.created_at
         FROM payments p JOIN organisations o ON o.id = p.organisation_id WHERE 1 = 1",
        args![],
    );
    select.push_some("AND p.status = ?", status.map(Bind::value));
    select.push("ORDER BY p.id DESC LIMIT ?", args![limit]);
    let rows = select.fetch(db).await?;
    rows.into_iter()
        .map(|mut row| {
            let slug = row.get(0)?;
            row.0.remove(0);
            Ok((slug, payment(row)?))
        })
        .collect()
}

/// The one that paid an invoice.
pub async fn of_invoice(
    db: &mut impl Db,
    organisation: OrganisationId,
    invoice: InvoiceId,
) -> Result<Option<Payment>> {
    let mut select = Select::new(
        &format!("{SELECT} WHERE organisation_id = ? AND invoice_id = ?"),
        args![organisation, invoice],
    );
    let paid = [PaymentStatus::Captured, PaymentStatus::Reversed];
    select.push_in("AND status IN", paid.into_iter().map(Bind::value).collect());
    select.fetch_optional(db).await?.map(payment).transpose()
}

/// What was said of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whatever is repeated has the same.
    pub key: String,
    /// `webhook`, `notification` or `return`.
    pub source: String,
    pub transaction_id: Option<String>,
    pub result: Option<String>,
    pub error: Option<String>,
}

/// Keeps a notice and when it came. `false`: it is kept already, or there are `most` of this payment.
pub async fn keep_notice(
    tx: &mut Tx,
    payment: &Payment,
    notice: &Notice,
    most: i64,
    now: Timestamp,
) -> Result<bool> {
    let of = args![payment.organisation_id, payment.id];
    let sql = "SELECT COUNT(*) FROM payment_notices WHERE organisation_id = ? AND payment_id = ?";
    if Select::new(sql, of).count(tx).await? >= most {
        return Ok(false);
    }
    let kept = tx
        .execute(
            "INSERT INTO payment_notices (organisation_id, payment_id, notice_key, source, transaction_id, result,
                 error, received_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            args![
                payment.organisation_id,
                payment.id,
                &notice.key,
                &notice.source,
                notice.transaction_id.as_ref(),
                notice.result.as_ref(),
                notice.error.as_ref(),
                now,
            ],
        )
        .await?;
    tx.execute(
        "UPDATE payments SET heard_at = $3 WHERE organisation_id = $1 AND id = $2",
        args![payment.organisation_id, payment.id, now],
    )
    .await?;
    Ok(kept == 1)
}

/// Those whose answer is not known, in the order of their coming.
pub async fn unsettled(db: &mut impl Db, payment: &Payment) -> Result<Vec<Notice>> {
    let sql = "SELECT notice_key, source, transaction_id, result, error FROM payment_notices
               WHERE organisation_id = $1 AND payment_id = $2 AND settled_at IS NULL ORDER BY received_at, notice_key";
    notices(db.fetch(sql, args![payment.organisation_id, payment.id]).await?)
}

/// What the browser brought back last.
pub async fn last_return(db: &mut impl Db, payment: &Payment) -> Result<Option<Notice>> {
    let sql = "SELECT notice_key, source, transaction_id, result, error FROM payment_notices
               WHERE organisation_id = $1 AND payment_id = $2 AND source = 'return'
               ORDER BY received_at DESC, notice_key LIMIT 1";
    Ok(notices(db.fetch(sql, args![payment.organisation_id, payment.id]).await?)?.pop())
}

fn notices(rows: Vec<Row>) -> Result<Vec<Notice>> {
    let notice = |mut row: Row| {
        Ok(Notice {
            key: row.get(0)?,
            source: row.get(1)?,
            transaction_id: row.get(2)?,
            result: row.get(3)?,
            error: row.get(4)?,
        })
    };
    rows.into_iter().map(notice).collect()
}

/// The gateway's answer to a notice is known. `false`: another answer about the same transaction was there before.
pub async fn settle_notice(tx: &mut Tx, payment: &Payment, notice: &Notice, now: Timestamp) -> Result<bool> {
    let sql =
        "SELECT 1 FROM payment_notices WHERE organisation_id = $1 AND payment_id = $2 AND transaction_id = $3
               AND settled_at IS NOT NULL LIMIT 1";
    let known =
        tx.fetch(sql, args![payment.organisation_id, payment.id, notice.transaction_id.as_ref()]).await?;
    tx.execute(
        "UPDATE payment_notices SET settled_at = $4
         WHERE organisation_id = $1 AND payment_id = $2 AND notice_key = $3 AND settled_at IS NULL",
        args![payment.organisation_id, payment.id, &notice.key, now],
    )
    .await?;
    Ok(known.is_empty())
}
