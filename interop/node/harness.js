// What every amqplib scenario shares: registration, connections, unique names, waiting, cleaning up.

const assert = require('node:assert/strict');
const { execSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const amqp = require('amqplib');

const DEADLINE_MS = 20_000;

const scenarios = new Map();

// Register a scenario. It receives a Broker.
function scenario(name, run) {
  scenarios.set(name, run);
}

// The broker under test, and everything one scenario has opened or created on it.
class Broker {
  constructor(uri) {
    this.uri = uri;
    this.connections = [];
    this.queues = [];
    this.exchanges = [];
  }

  // `changes` sets parts of the URL, { password, pathname, search }, and `options` are those of the socket.
  async connect(changes = {}, options = {}) {
    const connection = await amqp.connect(Object.assign(new URL(this.uri), changes).href, options);
    connection.on('error', (error) => { connection.failure = error; });
    connection.on('close', () => { connection.closed = true; });
    this.connections.push(connection);
    return connection;
  }

  // From here on use a broker that may be restarted. The function that does so, or the scenario is skipped.
  restartable() {
    const { RESTART_URI, RESTART_BROKER } = process.env;
    if (!RESTART_URI || !RESTART_BROKER) {
      skip('it needs RESTART_URI and RESTART_BROKER, a broker and the command that restarts it');
    }
    this.uri = RESTART_URI;
    return () => execSync(RESTART_BROKER);
  }

  // A channel, on a connection of its own unless one is given.
  async channel(connection, { confirm = false } = {}) {
    connection ??= await this.connect();
    const channel = await (confirm ? connection.createConfirmChannel() : connection.createChannel());
    channel.failure = new Promise((resolve) => channel.on('error', resolve));
    return channel;
  }

  name(kind = 'name') {
    return `interop.${kind}.${randomBytes(8).toString('hex')}`;
  }

  async queue(channel, options = {}) {
    const name = this.name('queue');
    this.queues.push(name);
    await channel.assertQueue(name, { durable: false, ...options });
    return name;
  }

  async exchange(channel, type, options = {}) {
    const name = this.name(type);
    this.exchanges.push(name);
    await channel.assertExchange(name, type, { durable: false, ...options });
    return name;
  }

  async cleanUp() {
    for (const connection of this.connections) {
      if (!connection.closed) await connection.close();
    }
    const connection = await amqp.connect(this.uri);
    const channel = await connection.createChannel();
    for (const name of this.queues) await channel.deleteQueue(name);
    for (const name of this.exchanges) await channel.deleteExchange(name);
    await connection.close();
  }
}

// A consumer that keeps what it is given, and acknowledges it if told so.
class Inbox {
  static async open(channel, queue, { acknowledge = false, ...options } = {}) {
    const inbox = new Inbox();
    inbox.messages = [];
    inbox.cancelled = false;
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message === null) {
        inbox.cancelled = true;
        return;
      }
      inbox.messages.push(message);
      if (acknowledge) channel.ack(message);
    }, options);
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

function skip(why) {
  console.log(why);
  process.exit(77);
}

function body(message) {
  return message.content.toString();
}

// Wait until the condition, which may be asynchronous, holds.
async function until(condition, what) {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await pause(5);
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// How many messages are ready; the count may lag behind earlier publishes, so wait for it.
function untilReady(channel, queue, count) {
  return until(async () => (await channel.checkQueue(queue)).messageCount === count,
    `${count} messages are ready`);
}

// Everything that is in the queue, taken with basic.get.
async function drain(channel, queue) {
  const messages = [];
  for (let message; (message = await channel.get(queue, { noAck: true })); ) messages.push(message);
  return messages;
}

// The broker must close the channel or connection with this code and exactly this text.
async function refused(code, text, attempt) {
  let error;
  try {
    await attempt();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error, `expected a refusal with ${code} ${text}`);
  assertRefusal(error, code, text);
}

// As above, for an error that came as an event.
function assertRefusal(error, code, text) {
  assert.equal(error.code, code, error.message);
  assert.ok(error.message.includes(`"${text}"`), `expected "${text}" in: ${error.message}`);
}

module.exports = {
  Broker, Inbox, assert, assertRefusal, body, drain, pause, refused, scenario, scenarios, skip,
  until, untilReady,
};
