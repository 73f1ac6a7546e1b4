// BullMQ: `enqueue COUNT FILE`, `verify FILE`, `work`; told by the same variables as client.py.
import { readFileSync, writeFileSync } from "node:fs";
import { Queue, Worker } from "bullmq";

const url = new URL(process.env.PEER_QUEUE);
const connection =
  url.protocol === "unix:"
    ? { path: decodeURIComponent(url.pathname) }
    : { host: url.hostname, port: Number(url.port), password: url.password };
const settings = JSON.parse(process.env.PEER_SETTINGS);
const CHUNK = 1000;
const payload = { tenant_id: "acme", payload: { n: 1 } };

async function enqueue(count, file) {
  const queue = new Queue("noop", { connection });
  const ids = [];
  while (ids.length < count) {
    const size = Math.min(CHUNK, count - ids.length);
    const jobs = await queue.addBulk(Array.from({ length: size }, () => ({ name: "noop", data: payload })));
    ids.push(...jobs.map((job) => job.id));
  }
  writeFileSync(file, JSON.stringify(ids));
  await queue.close();
}

async function verify(file) {
  const queue = new Queue("noop", { connection });
  const ids = new Set(JSON.parse(readFileSync(file, "utf8")));
  const wanted = ids.size;
  for (let start = 0; start < wanted; start += CHUNK) {
    for (const job of await queue.getCompleted(start, start + CHUNK - 1)) {
      if (job.returnvalue === null && job.finishedOn) ids.delete(job.id);
    }
  }
  console.log(wanted - ids.size);
  await queue.close();
}

function work() {
  const worker = new Worker("noop", async () => null, {
    connection: { ...connection, maxRetriesPerRequest: null },
    concurrency: settings.concurrency,
  });
  worker.on("error", (error) => console.error(error));
  process.on("SIGTERM", async () => {
    await worker.close();
    process.exit(0);
  });
}

const [verb, ...rest] = process.argv.slice(2);
await { enqueue: (count, file) => enqueue(Number(count), file), verify, work }[verb](...rest);
