// Graphile Worker: fill a database with jobs, or work on them until stopped.
import { begin, load, noop, order } from "./worker.mjs";

const FILL_AT_ONCE = 10_000;
const SILENT = () => () => {};

const { Logger, makeWorkerUtils, run } = await load("graphile-worker");
const { Pool } = (await load("pg")).default;
const pgPool = new Pool({ ...order.database, max: 10 });
pgPool.on("error", console.error);
pgPool.on("connect", (client) => client.on("error", console.error));
const common = { pgPool, logger: new Logger(SILENT) };

if (order.command === "fill") {
  const utils = await makeWorkerUtils(common);
  await utils.migrate();
  for (let left = order.jobs; left > 0; left -= FILL_AT_ONCE) {
    const jobs = Array.from({ length: Math.min(left, FILL_AT_ONCE) }, () => ({ identifier: "noop", payload: order.args }));
    await utils.addJobs(jobs);
  }
  await utils.release();
  await pgPool.end();
} else {
  await pgPool.query("SELECT 1");
  await begin();
  await run({ ...common, preset: { worker: order.options }, taskList: { noop } });
}
