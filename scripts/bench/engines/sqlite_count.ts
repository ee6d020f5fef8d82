/**
 * How the tables of the schema are counted in a SQLite database.
 *
 * @module
 */

/** Counts the tables of the schema. */
export const COUNT_TABLES =
  `select count(*) as n from sqlite_master where type = 'table' and name glob 't[0-9][0-9][0-9]'`;
