// What every rabbitmq-client scenario shares: registration, connections, unique names, waiting, cleaning up.

const assert = require('node:assert/strict');
const { exec } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const { promisify } = require('node:util');
const { Connection } = require('rabbitmq-client');

const DEADLINE_MS = 50_000;

const scenarios = new Map();

// Register a scenario. It receives a Broker.
function scenario(name, run) {
  scenarios.set(name, run);
}

// The broker under test, and everything one scenario has opened or created on it.
class Broker {
  constructor(url) {
    this.url = url;
    this.connections = [];
    this.queues = [];
    this.exchanges = [];
  }

  connect(options = {}) {
    const connection = new Connection({ url: this.url, retryLow: 50, retryHigh: 500, ...options });
    connection.errors = [];
    connection.on('error', (error) => connection.errors.push(error));
    this.connections.push(connection);
    return connection;
  }

  // A channel on a connection of its own.
  channel() {
    return this.connect().acquire();
  }

  // From here on use a broker that may be restarted. The function that does so, or the scenario is skipped.
  restartable() {
    const [url, command] = needed('RESTART_URI', 'RESTART_BROKER');
    this.url = url;
    return () => promisify(exec)(command);
  }

  name(kind = 'name') {
    return `interop.${kind}.${randomBytes(8).toString('hex')}`;
  }

  async queue(channel, options = {}) {
    const queue = this.name('queue');
    this.queues.push(queue);
    await channel.queueDeclare({ queue, ...options });
    return queue;
  }

  async exchange(channel, type, options = {}) {
    const exchange = this.name(type);
    this.exchanges.push(exchange);
    await channel.exchangeDeclare({ exchange, type, ...options });
    return exchange;
  }

  async cleanUp() {
    const connection = new Connection(this.url);
    // Connections wait for their consumers' messages to be settled, which here is not always so.
    for (const each of this.connections) each.unsafeDestroy();
    for (const queue of this.queues) await connection.queueDelete({ queue }).catch(() => {});
    for (const exchange of this.exchanges) await connection.exchangeDelete({ exchange });
    await connection.close();
  }
}

// A consumer of a channel that keeps what it is given.
class Inbox {
  static async open(channel, queue, options = {}) {
    const inbox = new Inbox();
    inbox.messages = [];
    const { consumerTag } = await channel.basicConsume({ queue, ...options }, (message) => inbox.messages.push(message));
    inbox.tag = consumerTag;
    return inbox;
  }

  get length() {
    return this.messages.length;
  }

  bodies() {
    return this.messages.map(body);
  }
}

function body(message) {
  return message.body.toString();
}

// Everything that is in the queue.
async function drain(channel, queue) {
  const messages = [];
  for (let message; (message = await channel.basicGet({ queue, noAck: true })); ) messages.push(message);
  return messages;
}

// Wait until the condition, which may be asynchronous, holds.
async function until(condition, what) {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

// How many messages are ready; the count may lag behind earlier publishes, so wait for it.
function untilReady(channel, queue, count) {
  return until(async () => (await channel.queueDeclare({ queue, passive: true })).messageCount === count,
    `${count} messages are ready`);
}

// The values of these environment variables; the scenario is skipped without them.
function needed(...names) {
  const values = names.map((name) => process.env[name]);
  if (!values.every(Boolean)) {
    console.log(`it needs ${names.join(' and ')}`);
    process.exit(77);
  }
  return values;
}

module.exports = { Broker, Inbox, assert, body, drain, needed, scenario, scenarios, until, untilReady };
