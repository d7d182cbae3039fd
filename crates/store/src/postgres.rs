//! PostgreSQL: a pool, and results turned into the shared row.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Column as _, PgConnection, Postgres, Row as _, TypeInfo as _, ValueRef as _};

use tokio::net::TcpStream;

use crate::bulk::{Rows, bind_array};
use crate::error::{Error, Result};
use crate::value::{Row, Type, Value};

type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// A connection is normally had at once; after this long it is asked whether anybody listens at all.
const SUSPICION: Duration = Duration::from_millis(150);
const PROBE: Duration = Duration::from_millis(500);

/// Waits for a connection as long as the server is there: a pool would go on trying one that refuses.
pub(crate) async fn unless_away<T>(
    pool: &PgPool,
    connect: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T> {
    let mut connect = std::pin::pin!(connect);
    tokio::select! {
        connected = &mut connect => return Ok(connected?),
        () = tokio::time::sleep(SUSPICION) => {}
    }
    let options = pool.connect_options();
    if options.get_socket().is_none() {
        let probe = TcpStream::connect((options.get_host(), options.get_port()));
        match tokio::time::timeout(PROBE, probe).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::Unavailable(error.to_string())),
            Err(_) => return Err(Error::Unavailable("it does not answer".into())),
        }
    }
    Ok(connect.await?)
}

fn bind<'q>(query: PgQuery<'q>, value: &Value) -> PgQuery<'q> {
    match value {
        Value::Null(Type::Uuid) => query.bind(None::<uuid::Uuid>),
        Value::Null(Type::Int) => query.bind(None::<i64>),
        Value::Null(Type::Bool) => query.bind(None::<bool>),
        Value::Null(Type::Float) => query.bind(None::<f64>),
        Value::Null(Type::Text) => query.bind(None::<String>),
        Value::Null(Type::Bytes) => query.bind(None::<Vec<u8>>),
        Value::Uuid(id) => query.bind(*id),
        Value::Int(value) => query.bind(*value),
        Value::Bool(value) => query.bind(*value),
        Value::Float(value) => query.bind(*value),
        Value::Text(text) => query.bind(text.clone()),
        Value::Bytes(bytes) => query.bind(bytes.clone()),
    }
}

fn statement<'q>(sql: &str, args: &[Value]) -> PgQuery<'q> {
    // Every text is the code's own; values travel as parameters.
    args.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), bind)
}

fn bulk<'q>(sql: String, rows: Rows) -> PgQuery<'q> {
    rows.columns.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind_array)
}

fn read_row(row: &PgRow) -> Result<Row> {
    row.columns()
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let raw = row.try_get_raw(i)?;
            let name = column.type_info().name();
            Ok(match name {
                _ if raw.is_null() => Value::Null(Type::Text),
                "UUID" => Value::Uuid(row.try_get(i)?),
                "INT8" => Value::Int(row.try_get(i)?),
                "INT4" => Value::Int(i64::from(row.try_get::<i32, _>(i)?)),
                "BOOL" => Value::Bool(row.try_get(i)?),
                "FLOAT8" => Value::Float(row.try_get(i)?),
                "BYTEA" => Value::Bytes(row.try_get(i)?),
                "TEXT" | "VARCHAR" | "NAME" => Value::Text(row.try_get(i)?),
                _ => return Err(Error::Decode { column: i, detail: "a type the store does not use" }),
            })
        })
        .collect::<Result<Vec<_>>>()
        .map(Row)
}

pub(crate) async fn fetch(connection: &mut PgConnection, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
    statement(sql, args).fetch_all(connection).await?.iter().map(read_row).collect()
}

pub(crate) async fn execute(connection: &mut PgConnection, sql: &str, args: &[Value]) -> Result<u64> {
    Ok(statement(sql, args).execute(connection).await?.rows_affected())
}

pub(crate) async fn bulk_fetch(connection: &mut PgConnection, sql: String, rows: Rows) -> Result<Vec<Row>> {
    bulk(sql, rows).fetch_all(connection).await?.iter().map(read_row).collect()
}

pub(crate) async fn bulk_execute(connection: &mut PgConnection, sql: String, rows: Rows) -> Result<u64> {
    Ok(bulk(sql, rows).execute(connection).await?.rows_affected())
}
