// pg-boss: fill a database with jobs, or work on them until stopped.
import { argsOf, begin, effect, load, noop, order, pause } from "./worker.mjs";

const FILL_AT_ONCE = 10_000;
const QUEUE = "noop";
const LOOK_EVERY_MS = 100;

const { PgBoss } = await load("pg-boss");
const boss = new PgBoss({ ...order.database, max: 10, schedule: false, supervise: order.command !== "fill", ...order.options.boss });
boss.on("error", (error) => console.error(error));
await boss.start();

if (order.command === "fill") {
  await boss.createQueue(QUEUE, order.options.queue);
  for (let done = 0; done < order.jobs; done += FILL_AT_ONCE) {
    await boss.insert(QUEUE, argsOf(done, Math.min(order.jobs - done, FILL_AT_ONCE)).map((data) => ({ data })));
  }
  await boss.stop({ graceful: false });
} else if (order.command === "work") {
  for (;;) {
    const jobs = await boss.fetch(QUEUE, { batchSize: order.options.batchSize });
    await Promise.all(jobs.map((job) => effect(job.data)));
    if (jobs.length > 0) await boss.complete(QUEUE, jobs.map((job) => job.id));
    else await pause(LOOK_EVERY_MS);
  }
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
