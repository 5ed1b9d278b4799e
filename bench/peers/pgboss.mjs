// pg-boss: fill a database with jobs, or work on them until stopped.
import { begin, load, noop, order } from "./worker.mjs";

const FILL_AT_ONCE = 10_000;
const QUEUE = "noop";

const { PgBoss } = await load("pg-boss");
const boss = new PgBoss({ ...order.database, max: 10, schedule: false, supervise: order.command === "drain" });
boss.on("error", (error) => console.error(error));
await boss.start();

if (order.command === "fill") {
  await boss.createQueue(QUEUE);
  for (let left = order.jobs; left > 0; left -= FILL_AT_ONCE) {
    await boss.insert(QUEUE, Array.from({ length: Math.min(left, FILL_AT_ONCE) }, () => ({ data: order.args })));
  }
  await boss.stop({ graceful: false });
} else {
  const { batchSize, loops } = order.options;
  const drain = async () => {
    for (;;) {
      const jobs = await boss.fetch(QUEUE, { batchSize });
      if (jobs.length === 0) return;
      jobs.forEach(noop);
      await boss.complete(QUEUE, jobs.map((job) => job.id));
    }
  };
  await begin();
  await Promise.all(Array.from({ length: loops }, drain));
}
