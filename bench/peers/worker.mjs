// What the workers of JavaScript peers have in common: how they are told what to do, and how they tell what they did.
// The same words as in worker.py. The packages are those of the working directory.
import { openSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { stdin, stdout } from "node:process";

const COUNT_EVERY_MS = 10;
const EFFECT_MS = 4;
const require = createRequire(`${process.cwd()}/`);

/** Import a package of the working directory. */
export const load = (name) => import(require.resolve(name));

/** The order that this process was started with: command, database, jobs, args, options, numbered. */
export const order = JSON.parse(process.argv[2]);

/** The arguments of so many jobs: all alike, or with the number of the job as `n`. */
export const argsOf = (first, count) =>
  Array.from({ length: count }, (_, index) => (order.numbered ? { ...order.args, n: first + index } : order.args));

/** Wait so long. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let file;

/** Run one job: note when it began and when it had its effect in a file that many processes append to, see effects.py. */
export const effect = async ({ n }) => {
  file ??= openSync(order.options.effects, "a");
  writeSync(file, `s${String(n).padStart(7, "0")}\n`);
  await pause(EFFECT_MS);
  writeSync(file, `e${String(n).padStart(7, "0")}\n`);
};

/** Say that everything is connected, and wait until all processes may begin. */
export const begin = () => {
  stdout.write("ready\n");
  return new Promise((resolve) => stdin.once("data", resolve));
};

let startedUs = 0;
let ran = 0;
let told = 0;

/** Run one job: a no-op that counts. */
export const noop = () => {
  if (startedUs === 0) startedUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
  ran += 1;
};

setInterval(() => {
  if (ran === told) return;
  if (told === 0) stdout.write(`started ${startedUs}\n`);
  told = ran;
  stdout.write(`ran ${ran}\n`);
}, COUNT_EVERY_MS).unref();
