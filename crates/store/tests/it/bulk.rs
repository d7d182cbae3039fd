//! Many rows through one statement mean the same on both databases.

use kabar_store::{Bind as _, Db as _, Row, Rows, Store, Tx, Type, Value, args, of};
use uuid::Uuid;

use crate::both;

async fn cells(store: &Store) -> Tx {
    let mut tx = store.begin().await.unwrap();
    tx.execute(
        "CREATE TABLE cells (id UUID NOT NULL PRIMARY KEY, number BIGINT UNIQUE, flag BOOLEAN,
             ratio DOUBLE PRECISION, text TEXT, body BYTEA, other UUID)",
        args![],
    )
    .await
    .unwrap();
    tx
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn columns() -> Rows {
    Rows::new(&[
        ("id", of::<Uuid>()),
        ("number", of::<i64>()),
        ("flag", of::<bool>()),
        ("ratio", of::<f64>()),
        ("text", of::<String>()),
        ("body", of::<Vec<u8>>()),
        ("other", of::<Uuid>()),
    ])
}

type Cells = (Uuid, Option<i64>, Option<bool>, Option<f64>, Option<String>, Option<Vec<u8>>, Option<Uuid>);

fn read(mut row: Row) -> Cells {
    (
        row.get(0).unwrap(),
        row.get(1).unwrap(),
        row.get(2).unwrap(),
        row.get(3).unwrap(),
        row.get(4).unwrap(),
        row.get(5).unwrap(),
        row.get(6).unwrap(),
    )
}

async fn all(tx: &mut Tx) -> Vec<Cells> {
    let rows = tx
        .fetch("SELECT id, number, flag, ratio, text, body, other FROM cells ORDER BY id", args![])
        .await
        .unwrap();
    rows.into_iter().map(read).collect()
}

both! {
    async fn every_type_and_its_absence_come_back_as_they_went(store: Store) {
        let mut tx = cells(&store).await;
        let written: Vec<Cells> = vec![
            (id(1), None, None, None, None, None, None),
            (
                id(2),
                Some(i64::MIN),
                Some(false),
                Some(-0.5),
                Some("Pompa \"B\", {rows} $1 ?1 🌊 ' ; NULL".into()),
                Some(vec![0; 17]),
                Some(id(9)),
            ),
            // Sixteen bytes are a body here and an id there.
            (id(3), Some(i64::MAX), Some(true), Some(f64::MAX), Some(String::new()), Some(vec![7; 16]), Some(id(0))),
            (id(4), Some(0), None, Some(0.0), Some("x".repeat(70_000)), Some(Vec::new()), None),
        ];
        let mut rows = columns();
        for (id, number, flag, ratio, text, body, other) in written.clone() {
            rows.push([
                id.value(),
                number.value(),
                flag.value(),
                ratio.value(),
                text.value(),
                body.value(),
                other.value(),
            ]);
        }
        assert_eq!(tx.bulk_insert("cells", rows, "").await.unwrap(), 4);
        assert_eq!(all(&mut tx).await, written);
    }

    async fn no_rows_are_no_statement(store: Store) {
        let mut tx = cells(&store).await;
        assert_eq!(tx.bulk_insert("no such table", columns(), "").await.unwrap(), 0);
        assert_eq!(tx.bulk_insert_new("no such table", columns(), 0).await.unwrap(), Vec::<bool>::new());
        assert_eq!(tx.bulk_execute("no such statement {rows}", columns()).await.unwrap(), 0);
        assert!(tx.bulk_fetch("no such statement {rows}", columns()).await.unwrap().is_empty());
        // Nothing of it reached the database: the transaction still works.
        assert!(all(&mut tx).await.is_empty());
    }

    async fn it_is_told_which_rows_are_new_even_twice_in_one_batch(store: Store) {
        let mut tx = cells(&store).await;
        let rows = |pairs: &[(u128, Option<i64>)]| {
            let mut rows = Rows::new(&[("number", of::<i64>()), ("id", of::<Uuid>())]);
            for (number, value) in pairs {
                rows.push([value.value(), id(*number).value()]);
            }
            rows
        };
        let first = tx.bulk_insert_new("cells", rows(&[(1, Some(10)), (2, None)]), 1).await.unwrap();
        assert_eq!(first, [true, true]);
        let second = rows(&[
            (3, Some(30)), // new
            (4, Some(10)), // there from before
            (5, Some(30)), // there from this batch
            (6, None),     // NULLs are never the same
            (7, Some(70)),
        ]);
        let second = tx.bulk_insert_new("cells", second, 1).await.unwrap();
        assert_eq!(second, [true, false, false, true, true]);
        let kept: Vec<_> = all(&mut tx).await.into_iter().map(|cells| (cells.0, cells.1)).collect();
        assert_eq!(
            kept,
            [(id(1), Some(10)), (id(2), None), (id(3), Some(30)), (id(6), None), (id(7), Some(70))]
        );
    }

    async fn rows_are_a_table_to_join_and_to_update_from(store: Store) {
        let mut tx = cells(&store).await;
        let mut rows = Rows::new(&[("id", of::<Uuid>()), ("number", of::<i64>())]);
        for n in 0..1_500_u128 {
            rows.push([id(n).value(), (n as i64).value()]);
        }
        assert_eq!(tx.bulk_insert("cells", rows, "").await.unwrap(), 1_500);

        let mut change = Rows::new(&[("key", of::<i64>()), ("new_text", of::<String>())]);
        for n in [3_i64, 1_499, 99_999] {
            change.push([n.value(), (n != 3).then(|| format!("row {n}")).value()]);
        }
        let sql = "UPDATE cells SET text = u.new_text, flag = TRUE FROM {rows} WHERE cells.number = u.key";
        assert_eq!(tx.bulk_execute(sql, change).await.unwrap(), 2, "what is not there is not counted");

        let mut wanted = Rows::new(&[("tag", of::<String>()), ("key", of::<i64>())]);
        for (tag, n) in [("a", 3), ("b", 1_499), ("c", 99_999), ("d", 3)] {
            wanted.push([tag.value(), Value::Int(n)]);
        }
        let sql = "SELECT u.tag, c.id, c.text FROM {rows} JOIN cells c ON c.number = u.key AND c.flag";
        let mut found: Vec<(String, Uuid, Option<String>)> = tx
            .bulk_fetch(sql, wanted)
            .await
            .unwrap()
            .into_iter()
            .map(|mut row| (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap()))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                ("a".into(), id(3), None),
                ("b".into(), id(1_499), Some("row 1499".into())),
                ("d".into(), id(3), None)
            ]
        );
        assert_eq!(of::<Option<Vec<u8>>>(), Type::Bytes, "an absent value is declared as what it would be");
    }
}
