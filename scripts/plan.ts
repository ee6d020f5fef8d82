/**
 * Planning ahead, end to end: DDL that introspects and reads is planned on an in-memory SQLite, the
 * plan is shipped inside a Worker's bundle, and 16 isolates of it install it on D1 at once. Exits
 * with 1 if a promise was broken.
 *
 * @module
 */

import { type Kysely, sql } from 'kysely';

import { NotRecordableError, planSchema, type SchemaPlanData } from '../mod.ts';
import { bundle } from '../tests/engines/bundle.ts';
import { startWorkerd, type Workerd } from '../tests/engines/workerd.ts';
import { openSqlite } from '../tests/support/sqlite.ts';
import { printLines } from './demo/terminal.ts';
import { growingSchema, LAST_STEP } from './plan/schema.ts';
import { type Finding, verdict } from './plan/verdict.ts';
import type { Answer } from './plan/worker.ts';

const ISOLATES = 16;
const DEADLINE_MS = 60_000;

// What a schema is, whoever made it.
const SCHEMA = `select type, name, sql from sqlite_master
  where tbl_name not in ('migrations', 'sqlite_sequence') and tbl_name not glob '_cf_*'
  order by type, name`;

interface Planned {
  readonly plan: SchemaPlanData;
  /** How many statements the DDL has issued. */
  readonly issued: number;
  readonly schema: unknown;
  readonly refusal: unknown;
}

interface Installed {
  readonly answers: readonly Answer[];
  readonly again: readonly Answer[];
}

setTimeout(() => {
  console.error(`\nNot done after ${DEADLINE_MS} ms`);
  Deno.exit(1);
}, DEADLINE_MS);

const findings = await play();
printLines(verdict(findings));
Deno.exit(findings.every(({ kept }) => kept) ? 0 : 1);

async function play(): Promise<Finding[]> {
  const planned = await planOnShadow();
  const { plan, issued } = planned;
  printLines([
    `Planned on an in-memory SQLite: the DDL issued ${issued} statements, ${plan.statements.length} ` +
    'of them writes.',
    ...plan.statements.map((statement) => `  ${shorten(statement.sql)}`),
    `Checksum ${plan.checksum.slice(0, 16)}…`,
    '',
  ]);

  const script = await bundleWith(plan);
  printLines([`Bundled: ${Math.ceil(script.length / 1024)} KiB, the plan inside.`]);

  const workerd = await startWorkerd(
    Array.from({ length: ISOLATES }, (_, n) => ({ name: `w${n}`, script, d1Databases: ['DB'] })),
  );
  try {
    const installed = await installEverywhere(workerd);
    printLines([`${ISOLATES} isolates called at once on one D1, and once more when warm.`]);
    return judge(planned, script, installed, await schemaOnD1(workerd));
  } finally {
    await workerd.stop();
  }
}

async function planOnShadow(): Promise<Planned> {
  let issued = 0;
  const shadow = openSqlite(':memory:', { onStatement: () => issued++ });
  // The instance whose SQL is wanted needs no connection.
  const db = openSqlite(':memory:');
  const plan = await planSchema(db, growingSchema, { shadow });
  const count = issued;
  const refusal = await planSchema(db, growingSchema).catch((error: unknown) => error);
  const { rows } = await sql.raw(SCHEMA).execute(shadow);
  await Promise.all([db, shadow].map((one: Kysely<unknown>) => one.destroy()));
  return { plan: JSON.parse(JSON.stringify(plan)), issued: count, schema: rows, refusal };
}

function bundleWith(plan: SchemaPlanData): Promise<string> {
  return bundle({
    text: `
      import { workerWith } from '../../scripts/plan/worker.ts';
      export default workerWith(${JSON.stringify(plan)});`,
  });
}

async function installEverywhere(workerd: Workerd): Promise<Installed> {
  const all = Array.from({ length: ISOLATES }, (_, n) => `w${n}`);
  const ask = async (path: string): Promise<string[]> => {
    const answers = await Promise.all(all.map((name) => workerd.fetch(name, { path })));
    return answers.map(({ text }) => text);
  };
  // All isolates are up before the first one looks at the database.
  await ask('/awake');
  const answers = (await ask('/')).map((text) => JSON.parse(text) as Answer);
  const again = (await ask('/')).map((text) => JSON.parse(text) as Answer);
  return { answers, again };
}

async function schemaOnD1(workerd: Workerd): Promise<unknown> {
  const database = await workerd.d1('w0', 'DB') as {
    prepare(sql: string): { all(): Promise<{ results: unknown }> };
  };
  return (await database.prepare(SCHEMA).all()).results;
}

function judge(
  { plan, schema, refusal, issued }: Planned,
  script: string,
  { answers, again }: Installed,
  onD1: unknown,
): Finding[] {
  const told = answers.flatMap((answer) => 'result' in answer ? [answer] : []);
  const warm = again.flatMap((answer) => 'result' in answer ? [answer] : []);
  const errors = [...answers, ...again].flatMap((answer) =>
    'error' in answer ? [answer.error] : []
  );
  const installed = told.filter(({ result }) => result.installed);
  const ready = told.filter(({ numbers }) => numbers.join() === 'AT-0001,CI-0002,DE-0003');
  const reads = plan.statements.filter((statement) =>
    /^\s*(select|pragma|with)/i.test(statement.sql)
  );
  const hasCode = script.includes(LAST_STEP);
  const most = Math.max(...installed.map(({ calls }) => calls));
  const warmCalls = warm.reduce((sum, { calls }) => sum + calls, 0);
  const waited = told.filter(({ result }) => result.outcome === 'waited').length;
  return [
    {
      promise: 'without a shadow, DDL that reads is refused by name',
      kept: refusal instanceof NotRecordableError && /introspects/.test(refusal.message),
      found: refusal instanceof NotRecordableError
        ? shorten(refusal.message.replace(/^.*?: /, ''), 40)
        : `${refusal}`,
    },
    {
      promise: 'the plan holds what it wrote, not what it read',
      kept: reads.length === 0 && issued > plan.statements.length,
      found: `${reads.length} reads of ${issued - plan.statements.length}`,
    },
    {
      promise: 'the Worker ships statements, not the code that made them',
      kept: !hasCode && script.includes(plan.checksum),
      found: `${plan.statements.length} statements`,
    },
    {
      promise: 'one isolate installs',
      kept: installed.length === 1,
      found: `${installed.length} did, ${waited} waited`,
    },
    {
      promise: 'nobody throws',
      kept: errors.length === 0,
      found: errors[0] ?? `0 of ${answers.length}`,
    },
    {
      promise: 'resolved means ready',
      kept: ready.length === ISOLATES,
      found: `${ready.length} of ${ISOLATES} were`,
    },
    {
      promise: 'installing takes two calls of the binding',
      kept: most === 2,
      found: `${most}`,
    },
    {
      promise: 'a warm isolate takes none',
      kept: warm.length === ISOLATES && warmCalls === 0,
      found: `${warmCalls} of ${ISOLATES} isolates`,
    },
    {
      promise: 'the schema on D1 is the one on the shadow',
      kept: JSON.stringify(onD1) === JSON.stringify(schema),
      found: Array.isArray(onD1) ? `${onD1.length} objects` : 'none',
    },
  ];
}

function shorten(text: string, length = 76): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}
