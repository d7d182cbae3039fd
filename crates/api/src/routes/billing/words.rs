//! What the pages about payments say, in each language.

use kabar_domain::Timestamp;
use kabar_domain::billing::{InvoiceStatus, Language, PaymentStatus, utc_date};

/// The texts of one language.
pub(super) struct Words {
    pub direction: &'static str,
    pub receipt: &'static str,
    pub invoice: &'static str,
    pub number: &'static str,
    pub date: &'static str,
    pub due: &'static str,
    pub sold_by: &'static str,
    pub sold_to: &'static str,
    pub item: &'static str,
    pub period: &'static str,
    pub amount: &'static str,
    pub total: &'static str,
    pub refunded: &'static str,
    pub status: &'static str,
    pub paid: &'static str,
    pub reference: &'static str,
    pub authorisation: &'static str,
    pub go_on: &'static str,
    pub try_again: &'static str,
    months: [&'static str; 12],
}

const ENGLISH: Words = Words {
    direction: "ltr",
    receipt: "Receipt",
    invoice: "Invoice",
    number: "Number",
    date: "Date",
    due: "Due",
    sold_by: "From",
    sold_to: "To",
    item: "Plan",
    period: "Period",
    amount: "Amount",
    total: "Total",
    refunded: "Refunded",
    status: "Status",
    paid: "Paid",
    reference: "Bank reference",
    authorisation: "Authorisation",
    go_on: "Continue",
    try_again: "Back to billing",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
};

const INDONESIAN: Words = Words {
    direction: "ltr",
    receipt: "Kuitansi",
    invoice: "Faktur",
    number: "Nomor",
    date: "Tanggal",
    due: "Jatuh tempo",
    sold_by: "Dari",
    sold_to: "Kepada",
    item: "Paket",
    period: "Periode",
    amount: "Jumlah",
    total: "Total",
    refunded: "Dikembalikan",
    status: "Status",
    paid: "Dibayar",
    reference: "Referensi bank",
    authorisation: "Otorisasi",
    go_on: "Lanjutkan",
    try_again: "Kembali ke tagihan",
    months: [
        "Januari",
        "Februari",
        "Maret",
        "April",
        "Mei",
        "Juni",
        "Juli",
        "Agustus",
        "September",
        "Oktober",
        "November",
        "Desember",
    ],
};

const ARABIC: Words = Words {
    direction: "rtl",
    receipt: "إيصال",
    invoice: "فاتورة",
    number: "الرقم",
    date: "التاريخ",
    due: "تاريخ الاستحقاق",
    sold_by: "من",
    sold_to: "إلى",
    item: "الباقة",
    period: "الفترة",
    amount: "المبلغ",
    total: "الإجمالي",
    refunded: "المبلغ المسترد",
    status: "الحالة",
    paid: "تاريخ الدفع",
    reference: "مرجع البنك",
    authorisation: "رمز التفويض",
    go_on: "متابعة",
    try_again: "العودة إلى الفوترة",
    months: [
        "يناير",
        "فبراير",
        "مارس",
        "أبريل",
        "مايو",
        "يونيو",
        "يوليو",
        "أغسطس",
        "سبتمبر",
        "أكتوبر",
        "نوفمبر",
        "ديسمبر",
    ],
};

impl Words {
    pub const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Indonesian => &INDONESIAN,
            Language::Arabic => &ARABIC,
        }
    }

    /// `26 November 2026`.
    pub fn day(&self, at: Timestamp) -> String {
        let (year, month, day) = utc_date(at);
        let month = usize::from(month).checked_sub(1).and_then(|index| self.months.get(index));
        format!("{day} {} {year}", month.unwrap_or(&""))
    }
}

pub(super) const fn standing(status: InvoiceStatus, language: Language) -> &'static str {
    use InvoiceStatus as S;
    use Language as L;
    match (status, language) {
        (S::Open, L::English) => "To be paid",
        (S::Open, L::Indonesian) => "Belum dibayar",
        (S::Open, L::Arabic) => "بانتظار الدفع",
        (S::Paid, L::English) => "Paid",
        (S::Paid, L::Indonesian) => "Lunas",
        (S::Paid, L::Arabic) => "مدفوعة",
        (S::Void, L::English) => "Void",
        (S::Void, L::Indonesian) => "Batal",
        (S::Void, L::Arabic) => "ملغاة",
        (S::Refunded, L::English) => "Refunded",
        (S::Refunded, L::Indonesian) => "Dikembalikan",
        (S::Refunded, L::Arabic) => "مستردة",
    }
}

/// What a customer is told after the bank: a heading and a sentence. `doubtful`: the browser brought a refusal.
pub(super) const fn outcome(
    status: PaymentStatus,
    doubtful: bool,
    language: Language,
) -> (&'static str, &'static str) {
    use Language as L;
    use PaymentStatus as S;
    match (status, doubtful, language) {
        (S::Captured, _, L::English) => ("Payment received", "Thank you. The payment is confirmed."),
        (S::Captured, _, L::Indonesian) => {
            ("Pembayaran diterima", "Terima kasih. Pembayaran sudah dikonfirmasi.")
        }
        (S::Captured, _, L::Arabic) => ("تم استلام الدفعة", "شكرًا لك. تم تأكيد الدفع."),
        (S::Pending, false, L::English) => (
            "Confirming with the bank",
            "This page refreshes by itself. You may also close it: the payment is not lost.",
        ),
        (S::Pending, false, L::Indonesian) => (
            "Menunggu konfirmasi bank",
            "Halaman ini memperbarui diri sendiri. Anda juga boleh menutupnya: pembayaran tidak akan hilang.",
        ),
        (S::Pending, false, L::Arabic) => {
            ("جارٍ التأكد من البنك", "تتحدث هذه الصفحة تلقائيًا. يمكنك أيضًا إغلاقها، فلن تضيع الدفعة.")
        }
        (S::Pending, true, L::English) => (
            "The payment was not completed",
            "That is what the bank's page said. If money was taken after all, it will be found and counted.",
        ),
        (S::Pending, true, L::Indonesian) => (
            "Pembayaran tidak selesai",
            "Demikian keterangan halaman bank. Jika ternyata uang terpotong, pembayaran tetap akan ditemukan dan dihitung.",
        ),
        (S::Pending, true, L::Arabic) => (
            "لم تكتمل عملية الدفع",
            "هذا ما أفادت به صفحة البنك. وإذا خُصم المبلغ رغم ذلك فسيُعثر عليه ويُحتسب.",
        ),
        (S::Failed, _, L::English) => ("The payment failed", "No money was taken. You can try again."),
        (S::Failed, _, L::Indonesian) => {
            ("Pembayaran gagal", "Tidak ada uang yang terpotong. Anda bisa mencoba lagi.")
        }
        (S::Failed, _, L::Arabic) => ("فشلت عملية الدفع", "لم يُخصم أي مبلغ. يمكنك المحاولة مرة أخرى."),
        (S::Expired, _, L::English) => ("The payment has expired", "Nothing was paid. You can start again."),
        (S::Expired, _, L::Indonesian) => {
            ("Pembayaran kedaluwarsa", "Tidak ada yang dibayar. Anda bisa memulai lagi.")
        }
        (S::Expired, _, L::Arabic) => ("انتهت صلاحية الدفعة", "لم يُدفع شيء. يمكنك البدء من جديد."),
        (S::Reversed, _, L::English) => ("The money was given back", "The bank has returned this payment."),
        (S::Reversed, _, L::Indonesian) => ("Uang dikembalikan", "Bank telah mengembalikan pembayaran ini."),
        (S::Reversed, _, L::Arabic) => ("أُعيد المبلغ", "أعاد البنك هذه الدفعة."),
        (S::Review, _, L::English) => (
            "The payment is being checked",
            "Somebody looks into it. Please do not pay again before you hear from us.",
        ),
        (S::Review, _, L::Indonesian) => (
            "Pembayaran sedang diperiksa",
            "Pembayaran sedang kami periksa. Mohon jangan membayar lagi sebelum ada kabar.",
        ),
        (S::Review, _, L::Arabic) => {
            ("الدفعة قيد المراجعة", "نقوم بمراجعة الدفعة. يُرجى عدم الدفع مرة أخرى قبل أن نتواصل معك.")
        }
    }
}
