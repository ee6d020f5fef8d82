/**
 * How the tables of a database are listed, inside workerd and outside.
 *
 * @module
 */

/** By dialect: the names of all tables, sorted, without what the database has for itself. */
export const LIST_TABLES = {
  // `_cf_` is Cloudflare's.
  sqlite: `
    select name from sqlite_master
    where type = 'table' and name not glob 'sqlite_*' and name not glob '_cf_*'
    order by name`,
  // `schema.name` outside of `public`.
  postgres: `
    select case schemaname when 'public' then tablename else schemaname || '.' || tablename end as name
    from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
    order by 1`,
} as const;
