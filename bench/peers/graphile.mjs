// Graphile Worker: fill a database with jobs, or work on them until stopped.
import { argsOf, begin, effect, load, noop, order } from "./worker.mjs";

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
  for (let done = 0; done < order.jobs; done += FILL_AT_ONCE) {
    const args = argsOf(done, Math.min(order.jobs - done, FILL_AT_ONCE));
    await utils.addJobs(args.map((payload) => ({ identifier: "noop", payload })));
  }
  await utils.release();
  await pgPool.end();
} else if (order.command === "work") {
  await run({ ...common, preset: { worker: order.options.worker }, taskList: { noop: effect } });
} else {
  await pgPool.query("SELECT 1");
  await begin();
  await run({ ...common, preset: { worker: order.options }, taskList: { noop } });
}
