//! The pages about payments: no script, nothing fetched, and they print well.

use kabar_domain::billing::{InvoiceStatus, Language, PaymentStatus};
use kabar_engine::billing::{Paper, PaymentView, amount_text};

use super::words::{self, Words};
use crate::html::{said, text};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2126; --faint: #56616b; --line: #d7dde2; --page: #fff; --act: #0b5d4e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebee; --faint: #a3adb6; --line: #3a434b; --page: #14181b; --act: #63c9b3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 44rem; padding: 2.5rem 1.25rem 4rem; color: var(--ink); background: var(--page);
  font: 16px/1.55 system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans Arabic', sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; } p { margin: .4rem 0; }
.faint { color: var(--faint); } .lines { white-space: pre-line; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 1.5rem 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; margin: 1.5rem 0; }
h2 { font-size: .9rem; font-weight: 600; color: var(--faint); margin: 0 0 .2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: start; padding: .5rem .25rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--faint); font-weight: 600; } td.n, th.n { text-align: end; white-space: nowrap; font-variant-numeric: tabular-nums; }
tfoot td, tfoot th { font-weight: 600; color: var(--ink); }
a { color: var(--act); } .act { display: inline-block; margin-top: 1.25rem; padding: .6rem 1.1rem; border: 1px solid currentColor; border-radius: .5rem; text-decoration: none; font-weight: 600; }
a:focus-visible { outline: 3px solid currentColor; outline-offset: 3px; }
@page { margin: 18mm 16mm; }
@media print { :root { --ink: #000; --faint: #444; --line: #bbb; --page: #fff; } body { max-width: none; padding: 0; } .act { display: none; } }
";

struct Html(String);

impl Html {
    fn put(&mut self, html: &str) {
        self.0.push_str(html);
    }
}

fn head(words: &Words, language: Language, title: &str) -> Html {
    Html(format!(
        "<!doctype html>\n<html lang=\"{}\" dir=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n",
        language.as_str(),
        words.direction
    ))
}

/// Latin whatever stands around it.
fn priced(amount: i64, currency: &str) -> String {
    format!("<bdi dir=\"ltr\">{} {}</bdi>", amount_text(amount), text(currency))
}

fn row(name: &str, value: &str) -> String {
    format!("<dt>{name}</dt><dd>{value}</dd>\n")
}

/// How a payment stands.
pub(super) fn payment(view: &PaymentView) -> String {
    let PaymentView { payment, invoice, is_doubtful } = view;
    let (language, words) = (payment.language, Words::of(payment.language));
    let (title, sentence) = words::outcome(payment.status, *is_doubtful, language);
    let mut html = head(words, language, title);
    html.put(&format!("<h1>{title}</h1>\n<p role=\"status\">{sentence}</p>\n<dl>\n"));
    html.put(&row(words.invoice, &said(&invoice.number)));
    html.put(&row(words.item, &said(&invoice.plan_name)));
    html.put(&row(words.amount, &priced(payment.amount, &invoice.currency)));
    if let (PaymentStatus::Captured, Some(reference)) = (payment.status, &payment.reference) {
        html.put(&row(words.reference, &said(reference)));
    }
    let on = if payment.status == PaymentStatus::Captured { words.go_on } else { words.try_again };
    html.put(&format!("</dl>\n<a class=\"act\" href=\"/app/billing\">{on}</a>\n</main>\n</body>\n</html>\n"));
    html.0
}

/// An invoice, or its receipt.
pub(super) fn receipt(paper: &Paper, language: Language) -> String {
    let (invoice, words) = (&paper.invoice, Words::of(language));
    let is_paid = matches!(invoice.status, InvoiceStatus::Paid | InvoiceStatus::Refunded);
    let title = if is_paid { words.receipt } else { words.invoice };
    let number = text(&invoice.number);
    let mut html = head(words, language, &format!("{title} {number}"));
    html.put(&format!("<h1>{title} <bdi>{number}</bdi></h1>\n<div class=\"sides\">\n"));
    if let Some(seller) = &paper.seller {
        html.put(&format!(
            "<div><h2>{}</h2><p class=\"lines\"><bdi>{}</bdi></p></div>\n",
            words.sold_by,
            text(seller)
        ));
    }
    html.put(&format!(
        "<div><h2>{}</h2><p><bdi>{}</bdi></p></div>\n</div>\n<dl>\n",
        words.sold_to,
        text(&paper.organisation)
    ));
    html.put(&row(words.number, &format!("<bdi>{number}</bdi>")));
    html.put(&row(words.date, &words.day(invoice.created_at)));
    match invoice.paid_at {
        Some(at) => html.put(&row(words.paid, &words.day(at))),
        None => html.put(&row(words.due, &words.day(invoice.due_at))),
    }
    html.put(&row(words.status, words::standing(invoice.status, language)));
    if let Some(payment) = &paper.payment {
        let known = [(words.reference, &payment.reference), (words.authorisation, &payment.authorisation)];
        for (name, value) in known {
            if let Some(value) = value {
                html.put(&row(name, &said(value)));
            }
        }
    }
    let period = invoice.period.map(|(from, to)| format!("{} \u{2013} {}", words.day(from), words.day(to)));
    let price = priced(invoice.amount, &invoice.currency);
    html.put(&format!(
        "</dl>\n<table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\" \
         class=\"n\">{}</th></tr></thead>\n<tbody><tr><td><bdi>{}</bdi></td><td>{}</td><td class=\"n\">{price}</td></tr>\
         </tbody>\n<tfoot><tr><th scope=\"row\" colspan=\"2\">{}</th><td class=\"n\">{price}</td></tr>",
        words.item,
        words.period,
        words.amount,
        text(&invoice.plan_name),
        period.as_deref().unwrap_or("\u{2013}"),
        words.total,
    ));
    if invoice.refunded > 0 {
        html.put(&format!(
            "<tr><th scope=\"row\" colspan=\"2\">{}</th><td class=\"n\">{}</td></tr>",
            words.refunded,
            priced(invoice.refunded, &invoice.currency)
        ));
    }
    html.put("</tfoot>\n</table>\n</main>\n</body>\n</html>\n");
    html.0
}
