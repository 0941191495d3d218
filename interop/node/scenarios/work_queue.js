const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { Inbox, assert, body, scenario, until, untilReady } = require('../harness');

// With prefetch 1, a worker busy with a long task gets no other; the idle ones take the rest.
scenario('tutorial_2_work_queue_fair_dispatch', async (broker) => {
  const boss = await broker.channel();
  const queue = await broker.queue(boss, { durable: true });
  const worker = async (acknowledge) => {
    const channel = await broker.channel();
    await channel.prefetch(1);
    return { channel, inbox: await Inbox.open(channel, queue, { acknowledge }) };
  };
  const busy = await worker(false);
  const idle = [await worker(true), await worker(true)];

  const tasks = Array.from({ length: 10 }, (_, n) => `task ${n}`);
  for (const task of tasks) boss.sendToQueue(queue, Buffer.from(task), { persistent: true });
  await until(() => idle[0].inbox.length + idle[1].inbox.length === 9, 'the idle workers did nine tasks');

  assert.equal(busy.inbox.length, 1);
  assert.ok(idle.every(({ inbox }) => inbox.length > 0), 'an idle worker got nothing');
  const done = [busy, ...idle].flatMap(({ inbox }) => inbox.bodies());
  assert.deepEqual(done.sort(), tasks.sort());
  busy.channel.ack(busy.inbox.messages[0]);
  await untilReady(boss, queue, 0);
});

// The task of a killed worker process goes to another worker, marked redelivered.
scenario('tutorial_2_dead_worker_task_is_redelivered', async (broker) => {
  const boss = await broker.channel();
  const queue = await broker.queue(boss, { durable: true });
  boss.sendToQueue(queue, Buffer.from('precious'), { persistent: true });

  const worker = fork(path.join(__dirname, '..', 'workers', 'hold_one_task.js'), [broker.uri, queue]);
  assert.deepEqual((await once(worker, 'message'))[0], { holding: 'precious' });
  const survivor = await Inbox.open(await broker.channel(), queue, { acknowledge: true });
  await untilReady(boss, queue, 0);
  worker.kill('SIGKILL');

  await until(() => survivor.length === 1, 'the task reaches the surviving worker');
  const [message] = survivor.messages;
  assert.equal(body(message), 'precious');
  assert.equal(message.fields.redelivered, true);
});
