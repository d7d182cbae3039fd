//! The definitions that every organisation has.

use std::sync::OnceLock;

use super::{Definition, Field, FieldKind};
use crate::classify::Class;
use crate::language::Language;

type Labels = &'static [&'static str];

/// A field's name, its labels in English, Indonesian and Arabic, whether it is required, and its kind.
type Row = (&'static str, [Labels; 3], bool, FieldKind);

const LANGUAGES: [Language; 3] = [Language::English, Language::Indonesian, Language::Arabic];

const LOCATION: [Labels; 3] = [
    &["Location", "Loc", "Place", "Site", "Where", "Building", "Address"],
    &["Lokasi", "Tempat", "Di mana", "Dimana", "Gedung", "Alamat", "Ruangan"],
    &["الموقع", "المكان", "موقع", "العنوان", "المبنى"],
];
const THING: [Labels; 3] = [
    &["Thing", "Equipment", "Asset", "Unit", "Machine", "Facility", "Item"],
    &["Alat", "Unit", "Peralatan", "Aset", "Mesin", "Fasilitas", "Barang"],
    &["الجهاز", "المعدة", "الأصل", "الآلة", "المرفق"],
];
const CATEGORY: [Labels; 3] = [
    &["Category", "Type", "Kind"],
    &["Kategori", "Jenis", "Tipe"],
    &["الفئة", "النوع", "التصنيف", "نوع البلاغ"],
];
const PERSON: [Labels; 3] = [
    &["Reported by", "Reporter", "Name", "By", "Technician"],
    &["Pelapor", "Nama", "Oleh", "Teknisi", "Petugas"],
    &["المبلغ", "الاسم", "الفني", "بواسطة"],
];
const DATE: [Labels; 3] = [&["Date", "When"], &["Tanggal", "Tgl", "Waktu"], &["التاريخ", "تاريخ"]];
const NOTE: [Labels; 3] = [
    &["Note", "Notes", "Remarks", "Comment"],
    &["Catatan", "Keterangan", "Ket"],
    &["ملاحظات", "ملاحظة", "ملاحظه"],
];

fn problem() -> Vec<Row> {
    let problem: [Labels; 3] = [
        &["Problem", "Issue", "Fault", "Description", "Complaint", "Details"],
        &["Masalah", "Keluhan", "Kerusakan", "Kendala", "Deskripsi", "Uraian", "Laporan"],
        &["المشكلة", "العطل", "الوصف", "الشكوى", "البلاغ", "التفاصيل"],
    ];
    let severity: [Labels; 3] = [
        &["Severity", "Priority", "Urgency", "Level"],
        &["Tingkat", "Prioritas", "Urgensi", "Keparahan", "Level"],
        &["الخطورة", "الأولوية", "الاولويه", "الأهمية", "المستوى"],
    ];
    vec![
        ("location", LOCATION, true, FieldKind::Text),
        ("thing", THING, false, FieldKind::Text),
        ("problem", problem, true, FieldKind::Text),
        ("severity", severity, false, FieldKind::Severity),
        ("category", CATEGORY, false, FieldKind::Text),
        ("reporter", PERSON, false, FieldKind::Text),
        ("date", DATE, false, FieldKind::Date),
        ("note", NOTE, false, FieldKind::Text),
    ]
}

fn update() -> Vec<Row> {
    let work: [Labels; 3] = [
        &["Work", "Work done", "Update", "Task", "Activity", "Job", "Description"],
        &["Pekerjaan", "Kegiatan", "Aktivitas", "Tugas", "Uraian", "Deskripsi", "Hasil"],
        &["العمل", "الأعمال", "المهمة", "النشاط", "الوصف", "العمل المنجز"],
    ];
    let status: [Labels; 3] = [&["Status", "State"], &["Status", "Kondisi"], &["الحالة", "الحاله"]];
    let progress: [Labels; 3] = [&["Progress"], &["Progres", "Progress"], &["نسبة الإنجاز", "التقدم"]];
    vec![
        ("location", LOCATION, true, FieldKind::Text),
        ("thing", THING, false, FieldKind::Text),
        ("work", work, true, FieldKind::Text),
        ("status", status, false, FieldKind::Text),
        ("progress", progress, false, FieldKind::Number),
        ("technician", PERSON, false, FieldKind::Text),
        ("date", DATE, false, FieldKind::Date),
        ("note", NOTE, false, FieldKind::Text),
    ]
}

/// A definition whose labels begin with those of one language and understand those of all.
fn definition(name: &str, class: Class, markers: [Labels; 3], rows: &[Row], of: usize) -> Definition {
    let order = [of, (of + 1) % 3, (of + 2) % 3];
    let all = |words: &[Labels; 3]| -> Vec<String> {
        order.iter().flat_map(|at| words[*at]).map(|word| (*word).to_owned()).collect()
    };
    Definition {
        name: name.to_owned(),
        language: LANGUAGES[of],
        markers: all(&markers),
        class: Some(class),
        fields: rows
            .iter()
            .map(|(name, labels, required, kind)| Field {
                name: (*name).to_owned(),
                labels: all(labels),
                required: *required,
                kind: kind.clone(),
            })
            .collect(),
    }
}

/// The built-in definitions: `problem` and `update`, each in three languages. A message in any of the languages is
/// understood by each; they differ in how they are rendered.
pub fn built_in() -> &'static [Definition] {
    static BUILT_IN: OnceLock<Vec<Definition>> = OnceLock::new();
    BUILT_IN.get_or_init(|| {
        let problems: [Labels; 3] = [
            &["#problem", "#issue", "#fault", "#report"],
            &["#masalah", "#keluhan", "#lapor", "#kerusakan"],
            &["#مشكلة", "#عطل", "#بلاغ", "#شكوى"],
        ];
        let updates: [Labels; 3] = [
            &["#update", "#work", "#done"],
            &["#pekerjaan", "#laporan", "#progres", "#selesai"],
            &["#تحديث", "#عمل", "#إنجاز"],
        ];
        let of = |at| definition("problem", Class::Problem, problems, &problem(), at);
        let other = |at| definition("update", Class::WorkUpdate, updates, &update(), at);
        vec![of(0), other(0), of(1), other(1), of(2), other(2)]
    })
}
