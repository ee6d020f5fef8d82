import { raceProcesses, startCallers } from './caller_process.ts';
import { inDatabase, onLibsqlFile } from '../batch/subjects.ts';
const all = await startCallers(Number(Deno.args[0]));
for (let r = 0; r < 4; r++) {
  for (const strategy of ['transaction', 'batch', 'lease'] as const) {
    await inDatabase(onLibsqlFile, async (database) => {
      const settled = await raceProcesses(all, {
        open: { kind: 'open', engine: 'libsql-file', address: database.address!, busyTimeoutMs: 0 },
        call: { kind: 'call', strategy, tables: 30, waitTimeoutMs: 4000 },
      });
      console.log(strategy, settled.map((s) => s.outcome + Math.round(s.durationMs)).join(' '));
    });
  }
}
Deno.exit();
