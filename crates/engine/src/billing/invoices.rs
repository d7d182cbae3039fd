//! Invoices and receipts, and how a payment stands for the browser that comes back from the bank.

use kabar_domain::billing::{InvoiceStatus, PaymentStatus};
use kabar_domain::{Ability, InvoiceId, PaymentId};
use kabar_store::billing::{self, Invoice};
use kabar_store::payments::{self, Payment};
use kabar_store::{Window, organisations};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::page::{Page, PageRequest};

/// An invoice as it is printed.
#[derive(Clone, Debug)]
pub struct Paper {
    pub invoice: Invoice,
    /// What paid it.
    pub payment: Option<Payment>,
    /// Who buys.
    pub organisation: String,
    /// Who sells, line by line.
    pub seller: Option<String>,
}

/// A payment, for whoever has its id: the browser that the bank sends back.
#[derive(Clone, Debug)]
pub struct PaymentView {
    pub payment: Payment,
    pub invoice: Invoice,
    /// The browser brought a refusal back, and nobody knows yet whether that is true.
    pub is_doubtful: bool,
}

impl PaymentView {
    /// Nobody knows yet, and nothing speaks against it.
    pub fn is_awaited(&self) -> bool {
        self.payment.status == PaymentStatus::Pending && !self.is_doubtful
    }
}

const fn not_found() -> Error {
    Error::NotFound("Invoice")
}

impl Engine {
    /// The newest first.
    pub async fn list_invoices(
        &self,
        principal: &Principal,
        status: Option<InvoiceStatus>,
        page: &PageRequest,
    ) -> Result<Page<Invoice>> {
        principal.require(Ability::Admin)?;
        let window: Window<InvoiceId> = page.window(InvoiceId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = billing::count_invoices(&mut db, principal.organisation_id, status).await?;
        let rows = billing::invoices(&mut db, principal.organisation_id, status, window).await?;
        Ok(page.page_of(rows, total, |invoice| invoice.id.uuid().into()))
    }

    pub async fn get_invoice(&self, principal: &Principal, id: InvoiceId) -> Result<Invoice> {
        principal.require(Ability::Admin)?;
        let mut db = self.store.reader().await?;
        billing::find_invoice(&mut db, principal.organisation_id, id).await?.ok_or_else(not_found)
    }

    /// An invoice with all that is printed of it.
    pub async fn get_receipt(&self, principal: &Principal, id: InvoiceId) -> Result<Paper> {
        let invoice = self.get_invoice(principal, id).await?;
        let mut db = self.store.reader().await?;
        let organisation = organisations::by_id(&mut db, principal.organisation_id).await?;
        Ok(Paper {
            payment: payments::of_invoice(&mut db, principal.organisation_id, id).await?,
            invoice,
            organisation: organisation.map(|found| found.name).unwrap_or_default(),
            seller: self.billing.as_ref().and_then(|billing| billing.seller.clone()),
        })
    }

    pub async fn view_payment(&self, id: PaymentId) -> Result<PaymentView> {
        let missing = || Error::NotFound("Payment");
        let mut db = self.store.reader().await?;
        let payment = payments::by_id(&mut db, id).await?.ok_or_else(missing)?;
        let invoice = billing::find_invoice(&mut db, payment.organisation_id, payment.invoice_id).await?;
        let shown = payments::last_return(&mut db, &payment).await?;
        let is_doubtful = shown.is_some_and(|notice| notice.error.is_some());
        Ok(PaymentView { is_doubtful, invoice: invoice.ok_or_else(missing)?, payment })
    }
}
