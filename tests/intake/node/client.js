// Sends tasks by name with celery-node and prints what became of each, as JSON.
//   node client.js URL QUEUE '[{"protocol": 2, "id": "...", "args": [...], "kwargs": {...}}, ...]'
"use strict";
const { createClient } = require("celery-node");

const [url, queue, calls] = process.argv.slice(2);

async function ended(call) {
  const client = createClient(url, url, queue);
  client.conf.TASK_PROTOCOL = call.protocol;
  const sent = client.sendTask("godel_tasks.submit_task", call.args, call.kwargs || {}, call.id);
  try {
    return { result: await sent.get(20000, 50) };
  } catch (error) {
    return { state: error.message, error: error.exc_type, text: error.exc_message };
  } finally {
    await client.disconnect();
  }
}

Promise.all(JSON.parse(calls).map(ended)).then((ends) => console.log(JSON.stringify(ends)));
